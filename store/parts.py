"""Parts that came from elsewhere: where several lie, and one to be read; nothing that its files say is trusted."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from search.types import Collection
from store import database
from store.collection import CATALOG
from store.library import open_folder
from store.release import MANIFEST, PACKED
from store.s3 import S3, connect, is_address, parse_address


def find_parts(where: str, *, open_s3: Callable[[], S3] = connect) -> list[str]:
    """The parts that lie directly below, folders and archives, by name; else `where` itself. Raises: StorageError."""
    if where.endswith(PACKED):
        return [where]
    names = open_s3().names(parse_address(where)) if is_address(where) else _names(Path(where).expanduser())
    found = [name for name in names if not name.startswith(".")]  # what is hidden is unfinished
    parts = [name.rstrip("/") for name in sorted(found) if name.endswith(("/", *PACKED))]
    if MANIFEST in found or not parts:
        return [where]
    return [f"{where.rstrip('/')}/{name}" for name in parts]


def _names(folder: Path) -> Iterator[str]:
    """A folder's ends with a slash, as in S3."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            yield f"{entry.name}/" if entry.is_dir() else entry.name


def open_part(folder: Path) -> Collection:
    """The collection folder of a part. Raises: StoreUnavailable where its catalog is none that Sightline makes."""
    database.check(folder / CATALOG)
    return open_folder(folder)
