"""What a Batch Transform wrote, item by item: files or objects named as their input and `.out`; judges no item."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from search.errors import SourceError, StorageConflict, StorageNotFound, StorageRefused, shown
from store.files import open_regular
from store.s3 import S3, Address, connect, is_address, parse_address

SUFFIX = ".out"
MOST_ITEM_BYTES = 4 * 2**20  # a thumbnail and an embedding in base64

Output = tuple[str, Callable[[], bytes]]  # its input's key below the folder, and how it is read


def read_outputs(where: str, *, open_s3: Callable[[], S3] = connect) -> Iterator[Output]:
    """An item is read up to one byte too many, which says that it is too large.

    Raises: SourceError where there is none, or for the one that is read; StorageError.
    """
    found = False
    for output in _objects(where, open_s3()) if is_address(where) else _files(Path(where).expanduser()):
        found = True
        yield output
    if not found:
        raise SourceError(
            f"{shown(where)} has no file that ends in {SUFFIX}: name the folder that a batch job wrote to. Parts are "
            "imported without an address as --source."
        )


def _files(folder: Path) -> Iterator[Output]:
    """Links are not followed."""
    for path, below, names in os.walk(folder, onerror=_refuse):
        below.sort()
        for name in sorted(names):
            if name.endswith(SUFFIX):
                file = Path(path, name)
                yield file.relative_to(folder).as_posix().removesuffix(SUFFIX), partial(_read_file, file)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise SourceError(f"The folder {shown(str(error.filename))} can't be read: {error.strerror}.") from error


def _read_file(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=open_regular) as file:
            return file.read(MOST_ITEM_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{shown(path.name)} can't be read: {error.strerror}.") from error


def _objects(where: str, s3: S3) -> Iterator[Output]:
    folder = parse_address(where).below("")
    for stored in s3.list(folder):
        if stored.key.endswith(SUFFIX):
            key = stored.key.removeprefix(folder.key).removesuffix(SUFFIX)
            yield key, partial(_read_object, s3, folder.bucket, stored.key)


def _read_object(s3: S3, bucket: str, key: str) -> bytes:
    try:
        return s3.read(parse_address(str(Address(bucket, key))), most_bytes=MOST_ITEM_BYTES)[1]
    except (StorageNotFound, StorageRefused, StorageConflict) as error:  # of this one; S3 itself answers
        raise SourceError(str(error)) from error
