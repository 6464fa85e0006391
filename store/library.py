"""Collections by name in a data folder: which there are, which version of each is served, who may write."""

import logging
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import CollectionError, CollectionExists, CollectionNotFound, ReadOnly, SearchError, StoreUnavailable
from search.types import Collection, CollectionInfo, CopyState
from store import files, manifest, uploads
from store.collection import StoredCollection
from store.collection_folder import create_folder, open_in
from store.copying import Copying
from store.database import Mode
from store.lock import Holder, Lock
from store.mounts import MOUNTS, refuse_network
from store.places import open_place
from store.release_cache import drop_unused
from store.s3 import S3, connect

if TYPE_CHECKING:
    from store.indexer import Indexer

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")
_VERSION = re.compile(r"[0-9a-f]{16}")


class LocalLibrary:
    """The collections of one data folder, and the read-only ones that come with the product."""

    def __init__(
        self,
        data_dir: Path,
        *,
        bundled: Sequence[tuple[str, Path]] = (),
        exact_up_to: int = 10_000,
        chroma_url: str | None = None,
        write: bool = True,
        copy_to: str = "",
        bucket: Callable[[], S3] = connect,
        mounts: Path = MOUNTS,
    ) -> None:
        """`bucket`: how S3 is reached for the originals that are there, and the copy that goes to `copy_to`, a folder
        or an address in S3.

        Raises: StoreBusy where another process has the data folder open for writing, StoreUnavailable where it is on a
        network; with `copy_to` also StorageError and StoreUnavailable where a copy is needed and can't be restored.
        """
        self._data_dir, self._bundled, self._exact_up_to = data_dir, dict(bundled), exact_up_to
        self._open: dict[str, StoredCollection] = {}
        self._changing = threading.RLock()
        self._chroma_url, self._bucket = chroma_url, cache(bucket)
        self._indexer: Indexer | None = None
        self._lock: Lock | None = None
        self._copying: Copying | None = None
        if write or self._served():
            for folder in (data_dir, self._collections, data_dir / "chroma"):
                refuse_network(folder, mounts=mounts)
        if write:
            with files.disk_errors("the data folder"):
                for folder in (self._collections, self._uploads):
                    files.make_folder(folder)
            self._lock = Lock(data_dir)
            self._sweep()
            drop_unused(data_dir / "releases")
            if copy_to:
                self._copy_to(copy_to)

    @property
    def _collections(self) -> Path:
        return self._data_dir / "collections"

    @property
    def _uploads(self) -> Path:
        return self._data_dir / "uploads"

    @property
    def read_only(self) -> bool:
        return self._lock is None

    @property
    def holder(self) -> Holder | None:
        """This process as others see it, where it is the one that writes."""
        return self._lock.holder if self._lock else None

    @property
    def copy_state(self) -> CopyState | None:
        return self._copying.state if self._copying else None

    def announce(self, address: str) -> None:
        """Tells commands that want to write where this process takes their jobs."""
        if self._lock:
            self._lock.announce(address)

    def start_index(self) -> None:
        """Keeps every writable collection in Chroma from now on; to be called once the app is up. Returns at once."""
        from store.chroma_server import ChromaServer
        from store.indexer import Indexer

        self._refuse_if_read_only()
        with self._changing:
            if self._indexer:
                return
            indexer = Indexer(self._chroma_url or ChromaServer(self._data_dir / "chroma"))
            for name in self._served():
                with suppress(StoreUnavailable):  # `list` logs it
                    self.open(name)
            for collection in self._open.values():
                if not collection.info.read_only:
                    collection.index_with(indexer)
            indexer.start()
            self._indexer = indexer
            if self._copying:
                self._copying.start()

    def list(self) -> list[CollectionInfo]:
        """The bundled ones first, then by name; without one deleted meanwhile, or damaged, which is logged."""
        own = sorted(self._served().items(), key=lambda pair: pair[0].casefold())
        bundled = [(name, folder) for name, folder in self._bundled.items() if name not in dict(own)]
        found = []
        for name, folder in bundled + own:
            try:
                found.append(self._info(name, folder))
            except StoreUnavailable as error:
                if folder in (self._bundled.get(name), self._served().get(name)):
                    log.error("collection_unusable=%r reason=%r", name, str(error))
        return found

    def open(self, name: str) -> Collection:
        with self._changing:
            if name not in self._open:
                opened = self._open[name] = self._opened(name)
                if self._indexer and not opened.info.read_only:
                    opened.index_with(self._indexer)
            return self._open[name]

    def check_new(self, name: str) -> None:
        self._refuse_if_read_only()
        _check_name(name)
        taken = {other.casefold(): other for other in [*self._bundled, *self._served()]}
        if name.casefold() in taken:
            raise CollectionExists(f"There is a collection {taken[name.casefold()]!r} already; choose another name.")
        if (self._collections / name).exists():
            raise CollectionExists(
                f"There is a collection {name!r} already, and its file `current`, which names the version that counts, "
                "can't be read: put that back, or move the collection's folder away."
            )

    def create(self, name: str, *, model: str, fingerprint: str, dim: int, description: str = "") -> Collection:
        with self._changing:
            self.check_new(name)
            info = manifest.new_info(name, model=model, fingerprint=fingerprint, dim=dim, description=description)
            folder = self._collections / name / info.version
            try:
                create_folder(folder, info)
                files.write_durably(folder.parent / "current", f"{info.version}\n".encode())
            except SearchError:
                shutil.rmtree(folder.parent, ignore_errors=True)
                raise
            files.sync_folder(self._collections)
            return self.open(name)

    def delete(self, name: str) -> None:
        self._refuse_if_read_only()
        with self._changing:
            if name not in self._served():
                if name in self._bundled:
                    raise ReadOnly(f"The collection {name!r} comes with Sightline and can't be deleted.")
                raise _not_found(name)
            uploads.mark_untidy(self._uploads)
            gone = self._collections / f".deleted-{secrets.token_hex(8)}"
            with files.disk_errors(f"the collection {name!r}"):
                (self._collections / name).rename(gone)
                files.sync_folder(self._collections)
            collection = self._open.pop(name, None)
        if collection is not None:  # outside: it may wait for Chroma, and other collections must not
            collection.close()
            if self._indexer and collection.index:
                self._indexer.forget(collection.index)
        shutil.rmtree(gone, ignore_errors=True)

    def keep_upload(self, data: bytes, suffix: str) -> str:
        self._refuse_if_read_only()
        return uploads.keep(self._uploads, data, suffix)

    def tidy_uploads(self, wanted: frozenset[str]) -> None:
        """Removes originals that no collection has, but for the wanted ones, which may come into one.

        Looks only where a collection was deleted or something kept since it last did. To be called while nothing is
        being added. While a collection can't be read, all stay.
        """
        used = set(wanted)
        with suppress(StoreUnavailable), files.disk_errors("the folder of uploads"):
            if not uploads.is_untidy(self._uploads):
                return
            served = self._served()
            if any(folder.name not in served for folder in self._collections.glob("[!.]*/")):
                log.warning("uploads=untidy reason='a collection has no readable pointer'")
                return
            for name in served:
                uris = (record.uri for record in self.open(name).known(self._uploads.name))
                used.update(uri.removeprefix(f"{self._uploads.name}/") for uri in uris)
            uploads.remove_all_but(used, self._uploads)

    def close(self) -> None:
        with self._changing:
            if self._indexer:
                self._indexer.stop()
            for collection in self._open.values():
                collection.close()
            self._open.clear()
            if self._copying:
                self._copying.close()
                self._copying = None
            if self._lock:
                self._lock.close()
                self._lock = None

    def _copy_to(self, place: str) -> None:
        """Nothing is to start empty while a copy of what it had can't be reached."""
        assert self._lock is not None
        copying = Copying(self._data_dir, open_place(place, bucket=self._bucket), served=self._served)
        try:
            if copying.begin():
                uploads.mark_untidy(self._uploads)
        except SearchError:
            self._lock.close()
            raise
        self._copying = copying

    def _served(self) -> dict[str, Path]:
        """The folder of the served version of each collection of the user's."""
        served = {}
        for pointer in self._collections.glob("[!.]*/current"):
            with suppress(FileNotFoundError):  # deleted meanwhile, which hides no other
                version = pointer.read_text(errors="replace").strip()
                if _VERSION.fullmatch(version):
                    served[pointer.parent.name] = pointer.parent / version
        return served

    def _info(self, name: str, folder: Path) -> CollectionInfo:
        own = folder.parent.parent == self._collections
        info = manifest.read(folder, read_only=self.read_only or not own)
        return info if info.name == name else replace(info, name=name)

    def _opened(self, name: str) -> StoredCollection:
        served = self._served()
        if name in served:
            mode: Mode = "read" if self.read_only else "write"
            folder, exact_up_to = served[name], self._exact_up_to
            info, kept = self._info(name, folder), self._uploads
            return open_in(folder, info, mode=mode, uploads=kept, exact_up_to=exact_up_to, bucket=self._bucket)
        if name in self._bundled:
            folder = self._bundled[name]
            return open_in(folder, self._info(name, folder), mode="immutable", exact_up_to=self._exact_up_to)
        raise _not_found(name)

    def _refuse_if_read_only(self) -> None:
        if self._lock is None:
            raise ReadOnly("What is served here can't be changed, as a release can't: build another one.")

    def _sweep(self) -> None:
        """What a process that was killed had begun to delete, or to create and not named."""
        for folder in self._collections.iterdir():
            if folder.is_dir() and (folder.name.startswith(".deleted-") or not (folder / "current").exists()):
                shutil.rmtree(folder, ignore_errors=True)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name[-1] in " .":
        raise CollectionError(
            f"{name[:64]!r} can't be a collection's name: use 1 to 64 letters, digits, spaces, and _ . - inside; "
            "begin with a letter or digit, end with no space or dot."
        )


def _not_found(name: str) -> CollectionNotFound:
    return CollectionNotFound(f"There is no collection {name[:64]!r}; `collections` lists those there are.")
