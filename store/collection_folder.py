"""A collection folder: how one is made, filled to ship, and opened; which one a name stands for is the library's."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from search.types import Collection, CollectionInfo
from store import database, files, manifest, s3
from store.catalog import Catalog
from store.collection import CATALOG, StoredCollection
from store.database import Mode


def create_folder(folder: Path, info: CollectionInfo) -> None:
    """An empty collection folder, synced."""
    with files.disk_errors("the collection"):
        (folder / "thumbs").mkdir(parents=True)
    database.create(folder / CATALOG)
    manifest.write(folder, info)


def open_in(
    folder: Path,
    info: CollectionInfo,
    *,
    mode: Mode,
    uploads: Path | None = None,
    exact_up_to: int = 10_000,
    bucket: Callable[[], s3.S3] = s3.connect,
) -> StoredCollection:
    kept = Catalog(folder / CATALOG, mode=mode, dim=info.dim)
    return StoredCollection(
        folder,
        info,
        kept,
        uploads=uploads,
        exact_up_to=exact_up_to,
        is_portable=mode == "immutable",
        bucket=bucket,
    )


def open_folder(folder: Path) -> Collection:
    """A collection folder by itself, read-only: a release, or the bundled gallery."""
    return open_in(folder, manifest.read(folder, read_only=True), mode="immutable")


@contextmanager
def build_folder(
    folder: Path, *, name: str, model: str, fingerprint: str, dim: int, description: str, created_at: str = ""
) -> Iterator[StoredCollection]:
    """A collection to fill; left without an error, its folder ships: compact, to be opened read-only.

    The same items put in the same order with the same `created_at` make the same bytes.
    """
    version = hashlib.sha256(f"{name}\n{fingerprint}".encode()).hexdigest()[:16]
    info = CollectionInfo(name, version, model, fingerprint, dim, created_at, False, description)
    create_folder(folder, info)
    filled = open_in(folder, info, mode="write")
    try:
        yield filled
    finally:
        filled.close()
    database.finish(folder / CATALOG)
