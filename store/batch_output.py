"""What a Batch Transform wrote, item by item: files or objects named as their input and `.out`; judges no item."""

from collections.abc import Callable, Iterator
from pathlib import Path

from search.errors import SourceError, shown
from store.s3 import S3, connect, is_address, parse_address

SUFFIX = ".out"
MOST_ITEM_BYTES = 4 * 2**20  # a thumbnail and an embedding in base64


def read_outputs(where: str, *, open_s3: Callable[[], S3] = connect) -> Iterator[tuple[str, bytes]]:
    """Each input's key below the folder, and its item; one byte too many says that it is too large.

    Raises: SourceError where there is none, StorageError.
    """
    found = False
    for key, data in _objects(where, open_s3()) if is_address(where) else _files(Path(where).expanduser()):
        found = True
        yield key.removesuffix(SUFFIX), data
    if not found:
        raise SourceError(f"{shown(where)} has no file that ends in {SUFFIX}: name the folder that the job wrote to.")


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                yield path.relative_to(folder).as_posix(), file.read(MOST_ITEM_BYTES + 1)


def _objects(where: str, s3: S3) -> Iterator[tuple[str, bytes]]:
    folder = parse_address(where).below("")
    for stored in s3.list(folder):
        if stored.key.endswith(SUFFIX):
            address = parse_address(f"s3://{folder.bucket}/{stored.key}")
            yield stored.key.removeprefix(folder.key), s3.read(address, most_bytes=MOST_ITEM_BYTES)[1]
