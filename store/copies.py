"""Copies of a data folder's collections and uploads in another place: what one is made of, sent and restored.

An object is named by the SHA-256 of its bytes: it is sent once, never replaced, never removed. A manifest names the
files of one moment and is written last, so that whatever it names is there. Each process that copies takes a
generation, a number that nobody took before: the manifests of the highest count, whoever has a lower one stops.
"""

import json
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from search.errors import StorageConflict, StorageError, StorageNotFound, StoreUnavailable, shown
from store import files
from store.database import connect, sqlite_errors
from store.places import Place

log = logging.getLogger(__name__)

FORMAT = 1
MANIFEST_BYTES = 512 * 2**20  # a file has 280 bytes in it
AT_ONCE = 8
_TRIES = 5
_NUMBERED = re.compile(r"generations/(\d{8})")
_MANIFEST = re.compile(r"manifests/\d{8}-\d{8}\.json")
_COLLECTION = r"collections/[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}"
_FILE = re.compile(
    rf"{_COLLECTION}/current"
    rf"|{_COLLECTION}/[0-9a-f]{{16}}/(catalog\.sqlite|manifest\.json|thumbs/[\w-]{{2}}/[\w-]{{2,128}}\.webp)"
    r"|uploads/[0-9a-f]{2}/[0-9a-f]{64}(\.[a-z0-9]{1,5})?",
    re.ASCII,
)


class Superseded(StorageConflict):
    """A process that started later copies to the same place."""


class DamagedCopy(StorageError):
    """An object, or a manifest, is not what was sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the data folder, by its name there."""

    name: str
    sha256: str
    size_bytes: int

    @property
    def object(self) -> str:
        return f"objects/{self.sha256[:2]}/{self.sha256}"


def claim(place: Place, note: str) -> int:
    """A generation that is higher than any before. Raises: StorageError."""
    for _ in range(_TRIES):
        generation = newest_generation(place) + 1
        with suppress(StorageConflict):
            place.put(f"generations/{generation:08}", note.encode(), new=True)
            return generation
    raise StorageConflict(f"Others began to copy to {place.title} at the same moment, {_TRIES} times: try again.")


def newest_generation(place: Place) -> int:
    found = [_NUMBERED.fullmatch(name) for name in place.names("generations")]
    return max((int(one[1]) for one in found if one), default=0)


class Sender:
    """Sends what is new since the last time; one thread at a time. What it knows is lost with the process."""

    def __init__(self, data_dir: Path, place: Place) -> None:
        self._data_dir, self._place = data_dir, place
        self._there: set[str] | None = None  # objects
        self._hashes: dict[str, tuple[tuple[int, int, int], str]] = {}  # of files, while they stay as they were
        self._last: list[Entry] | None = None
        self._number = 0

    def send(self, served: Mapping[str, Path], *, generation: int, at: str, go_on: Callable[[], None]) -> int:
        """Makes the copy complete; how many objects were new. `go_on` is called before each and may raise.

        Raises: Superseded, StorageError, StoreUnavailable, DiskFull.
        """
        self._check(generation)
        if self._there is None:
            self._there = set(self._place.names("objects"))
        with files.disk_errors("the copy"), TemporaryDirectory(dir=self._data_dir, prefix=".copying-") as scratch:
            found = dict(self._files(served, Path(scratch)))
            hashed = [entry for name, path in found.items() if (entry := self._hashed(name, path))]
            new = {entry.object: entry for entry in hashed if entry.object not in self._there}

            def sent(entry: Entry) -> bool:
                go_on()
                return self._put(entry, found[entry.name])

            with ThreadPoolExecutor(AT_ONCE) as threads:
                gone = {
                    entry.object
                    for entry, kept in zip(new.values(), threads.map(sent, new.values()), strict=True)
                    if not kept
                }
        entries = [entry for entry in hashed if entry.object not in gone]
        if entries != self._last:
            self._check(generation)
            name = f"manifests/{generation:08}-{self._number + 1:08}.json"
            self._place.put(name, _written(entries, at))
            self._number, self._last = self._number + 1, entries
        return len(new) - len(gone)

    def _check(self, generation: int) -> None:
        if newest_generation(self._place) > generation:
            raise Superseded(
                f"Another process copies to {self._place.title} since it started later: this one no longer does. What "
                "is changed here is lost with this machine."
            )

    def _files(self, served: Mapping[str, Path], scratch: Path) -> Iterator[tuple[str, Path]]:
        """Catalogs first: what they name was written before them."""
        for number, (name, folder) in enumerate(sorted(served.items())):
            kept = f"collections/{name}"
            snapshot(folder / "catalog.sqlite", scratch / str(number))
            yield f"{kept}/{folder.name}/catalog.sqlite", scratch / str(number)
            yield f"{kept}/{folder.name}/manifest.json", folder / "manifest.json"
            yield f"{kept}/current", folder.parent / "current"
            yield from self._below(folder / "thumbs")
        yield from self._below(self._data_dir / "uploads")

    def _below(self, folder: Path) -> Iterator[tuple[str, Path]]:
        for parent, folders, names in os.walk(folder):
            folders.sort()
            kept = Path(parent).relative_to(self._data_dir).as_posix()
            for name in sorted(names):
                yield f"{kept}/{name}", Path(parent, name)

    def _hashed(self, name: str, path: Path) -> Entry | None:
        """None for what is not ours, or was removed at this moment."""
        if not _FILE.fullmatch(name):
            return None
        try:
            kept = self._hashes.get(name)
            if kept is None or kept[0] != _state(path.stat()):
                with path.open("rb") as file:
                    state = _state(os.fstat(file.fileno()))  # it may be another file by now
                    self._hashes[name] = kept = (state, file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            self._hashes.pop(name, None)
            return None
        (_, size_bytes, _), digest = kept
        return Entry(name, digest, size_bytes)

    def _put(self, entry: Entry, path: Path) -> bool:
        """False where it was removed or replaced meanwhile."""
        assert self._there is not None
        with suppress(FileNotFoundError), path.open("rb") as file:
            if file_digest(file, "sha256").hexdigest() == entry.sha256:
                file.seek(0)
                self._place.put(entry.object, file)
                self._there.add(entry.object)
                return True
        return False


def _state(told: os.stat_result) -> tuple[int, int, int]:
    return told.st_ino, told.st_size, told.st_mtime_ns


def snapshot(catalog: Path, into: Path) -> None:
    """All of one moment, while others write. Raises: StoreUnavailable, DiskFull."""
    with sqlite_errors(), closing(connect(catalog, mode="read")) as source, closing(sqlite3.connect(into)) as copy:
        source.backup(copy)


def restore(place: Place, data_dir: Path) -> int:
    """Brings the newest complete copy into a data folder without collections; how many files, 0 where there is none.

    A copy with a damaged object is passed over for the one before. Raises: StoreUnavailable where there are copies and
    none is sound, StorageError, DiskFull.
    """
    for left in data_dir.glob(".restoring-*"):
        shutil.rmtree(left, ignore_errors=True)
    reason = ""
    for name in sorted(filter(_MANIFEST.fullmatch, place.names("manifests")), reverse=True):
        try:
            entries = _manifest(place, name)
            _bring(place, entries, data_dir)
        except (DamagedCopy, StorageNotFound) as error:
            reason = reason or str(error)
            log.error("copy=%s not_restored=%s reason=%r", place.title, name, str(error))
            continue
        log.info("copy=%s restored=%s files=%d", place.title, name, len(entries))
        return len(entries)
    if reason:
        raise StoreUnavailable(
            f"None of the copies in {place.title} can be restored. {reason} Put that object back, or set "
            "SIGHTLINE_COPY to another place to start without them."
        )
    return 0


def _bring(place: Place, entries: Sequence[Entry], data_dir: Path) -> None:
    """Uploads go where they belong, being named by their bytes; collections appear all at once."""
    with (
        files.disk_errors("what is restored"),
        TemporaryDirectory(dir=data_dir, prefix=".restoring-") as scratch,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):

        def bring(entry: Entry) -> None:
            _fetch(place, entry, Path(scratch) / entry.name)

        list(threads.map(bring, entries))
        uploads, collections = Path(scratch) / "uploads", Path(scratch) / "collections"
        for path in uploads.glob("*/*"):
            files.make_folder(data_dir / "uploads" / path.parent.name)
            path.replace(data_dir / path.relative_to(scratch))
        collections.mkdir(exist_ok=True)
        os.sync()  # many small files: sooner done than one by one
        collections.replace(data_dir / "collections")
        files.sync_folder(data_dir)


def _fetch(place: Place, entry: Entry, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w+b") as file:
        place.fetch(entry.object, file, most_bytes=entry.size_bytes)
        file.seek(0)
        if file_digest(file, "sha256").hexdigest() != entry.sha256:
            raise DamagedCopy(f"The object {entry.object} in {place.title} is damaged.")


def _written(entries: Sequence[Entry], at: str) -> bytes:
    kept = [[entry.name, entry.object, entry.sha256, entry.size_bytes] for entry in entries]
    body = json.dumps({"format": FORMAT, "at": at, "files": kept}, separators=(",", ":"))
    return json.dumps({"sha256": sha256(body.encode()).hexdigest(), "copy": body}).encode()


def _manifest(place: Place, name: str) -> list[Entry]:
    """Raises: DamagedCopy, StoreUnavailable for one of a later format."""
    read = BytesIO()
    place.fetch(name, read, most_bytes=MANIFEST_BYTES)
    damaged = DamagedCopy(f"The manifest {name} in {place.title} is damaged.")
    try:
        outer = json.loads(read.getvalue())
        body = outer["copy"].encode()
        if sha256(body).hexdigest() != outer["sha256"]:
            raise damaged
        told = json.loads(body)
        kept = [Entry(name, sha, size) for name, _, sha, size in told["files"]]
        is_later = told["format"] != FORMAT
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged from error
    if is_later:
        raise StoreUnavailable(f"The manifest {name} in {place.title} is not of format {FORMAT}: update Sightline.")
    for entry in kept:
        if not (_is_text(entry.name, _FILE) and _is_text(entry.sha256, _SHA256)):
            raise DamagedCopy(f"The manifest {name} in {place.title} names {shown(str(entry.name))!r}: it is not ours.")
        if type(entry.size_bytes) is not int or entry.size_bytes < 0:
            raise damaged
    return kept


_SHA256 = re.compile(r"[0-9a-f]{64}")


def _is_text(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None
