"""Files beside the catalog: thumbnails by content hash, originals under a source's root, writes that last."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from search.errors import DiskFull, SourceError, StoreUnavailable

_SYNCS_AT_ONCE = 8  # a file system commits what is synced together in one go
_MOST_THUMBNAIL_BYTES = 2**21  # twice what `import` takes; ours have some kB
_HASH = re.compile(r"[A-Za-z0-9_-]{2,128}")


def is_hash(text: str) -> bool:
    """Whether it may be part of a file name here."""
    return _HASH.fullmatch(text) is not None


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"The disk is full: {what} was not kept. Free some space and try again.") from error
        raise StoreUnavailable(f"{what.capitalize()} can't be written: {error.strerror}.") from error


def write_synced(path: Path, data: bytes) -> None:
    """A reader sees the old file or the new one, and so does whoever looks after a power cut."""
    replace_synced(path, data)
    sync_folder(path.parent)


def replace_synced(path: Path, data: bytes) -> None:
    """The file's bytes are synced, its name is not: that is its folder's."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def write_durably(path: Path, data: bytes) -> None:
    with disk_errors(path.name):
        write_synced(path, data)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """With those above it where they are missing; synced, so that what is synced in it lasts."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def thumbnail_path(folder: Path, content_hash: str) -> Path:
    return folder / "thumbs" / content_hash[:2] / f"{content_hash}.webp"


def write_thumbnails(folder: Path, thumbnails: Mapping[str, bytes]) -> list[str]:
    """By content hash; synced when this returns. Those that were new. An error keeps none of them.

    Raises: DiskFull, StoreUnavailable.
    """
    new = {thumbnail_path(folder, hash): hash for hash in thumbnails if read_thumbnail(folder, hash) is None}
    if not new:
        return []
    try:
        with disk_errors("a thumbnail"), ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
            folders = {path.parent for path in new}
            for parent in folders:
                make_folder(parent)
            list(threads.map(lambda path: replace_synced(path, thumbnails[new[path]]), new))
            list(threads.map(sync_folder, folders))
    except BaseException:
        remove_thumbnails(folder, list(new.values()))
        raise
    return list(new.values())


def read_thumbnail(folder: Path, content_hash: str) -> bytes | None:
    if not is_hash(content_hash):
        return None
    with suppress(OSError), open(thumbnail_path(folder, content_hash), "rb", opener=open_regular) as file:
        return file.read(_MOST_THUMBNAIL_BYTES) or None
    return None


def copy_thumbnail(folder: Path, into: Path, content_hash: str) -> bool:
    """Whether there was one."""
    data = read_thumbnail(folder, content_hash)
    return data is not None and bool(write_thumbnails(into, {content_hash: data}))


def remove_thumbnails(folder: Path, content_hashes: list[str]) -> None:
    for content_hash in content_hashes:
        with suppress(OSError):
            thumbnail_path(folder, content_hash).unlink()


def open_regular(path: str, flags: int) -> int:
    """What was a file when it was listed may be a link out of its folder by now, or a pipe that never answers."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def open_original(root: Path, relative: str) -> BinaryIO:
    """Opens a regular file under the root, whatever the name is made of and whatever changes meanwhile."""
    name = relative.rpartition("/")[2]
    try:
        inside = root.resolve(strict=True)
        parts = (inside / relative).resolve(strict=True).relative_to(inside).parts
        return os.fdopen(_open_below(inside, parts), "rb")
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(f"The original of {name!r} is not where it was; index its folder again.") from error


def _open_below(folder: Path, parts: tuple[str, ...]) -> int:
    """Walks resolved parts from handle to handle, so that a link put there after the check is not followed."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for number, part in enumerate(parts, start=1):
        kind = os.O_DIRECTORY if number < len(parts) else os.O_NONBLOCK  # a pipe must not hold us up
        above = handle
        try:
            handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=above)
        finally:
            os.close(above)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("not a regular file")
    return handle
