"""The reports that are kept in the data folder, a few for each collection; it judges nothing."""

import errno
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from search.comparison import Comparison, compare
from search.errors import DiskFull, ItemNotFound, StoreUnavailable
from search.report import Report, from_json, to_json

log = logging.getLogger(__name__)

KEPT = 5  # of a collection
_COMPARED = 50  # comparisons in memory: a few figures each
_ABANDONED_S = 3600.0  # writing one takes seconds; another machine's processes can't be asked whether they live

_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")  # names in the order of time


class Reports:
    """`folder`/COLLECTION/ID.json; any process may add one, and none changes one. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._compared: dict[tuple[str, str], Comparison | None] = {}  # by collection and id
        self._lock = threading.Lock()  # guards it

    def keep(self, report: Report) -> None:
        """Synced; the oldest ones go. Raises: DiskFull, StoreUnavailable."""
        folder = self._folder / report.collection
        path, partial = folder / f"{report.id}.json", folder / f".{report.id}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with partial.open("w", encoding="utf-8") as file:
                json.dump(to_json(report), file, ensure_ascii=False, allow_nan=False)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("The disk is full: the report was not kept. Free some space and try again.") from error
            raise StoreUnavailable(f"The report can't be kept in the data folder: {error.strerror}.") from error
        for id in self.ids(report.collection)[KEPT:]:
            with suppress(OSError):
                (folder / f"{id}.json").unlink()
        _remove_abandoned(folder)

    def ids(self, collection: str) -> list[str]:
        """Newest first. `collection` is the name of one that there is."""
        names = [path.stem for path in (self._folder / collection).glob("[0-9]*.json")]
        return sorted((name for name in names if _ID.fullmatch(name)), reverse=True)

    def get(self, collection: str, id: str | None = None) -> Report:
        """The one of that id, or the last. Raises: ItemNotFound."""
        if id is not None and not _ID.fullmatch(id):
            raise ItemNotFound("There is no such report: its id is the one that a list of reports shows.")
        for wanted in [id] if id else self.ids(collection):
            report = self._read(collection, wanted)
            if report is not None:
                return report
        raise ItemNotFound(f'There is no {"such " if id else ""}report of "{collection}": evaluate it first.')

    def compared(self, report: Report) -> Comparison | None:
        """With the last one before it that was asked the same labels; worked out once, as no report changes."""
        key = (report.collection, report.id)
        with self._lock:
            if key in self._compared:
                return self._compared[key]
        compared = (compare(report, before) for before in self._before(report))
        comparison = next((one for one in compared if one is not None), None)
        with self._lock:
            self._compared[key] = comparison
            for old in list(self._compared)[:-_COMPARED]:
                del self._compared[old]
        return comparison

    def forget(self, collection: str) -> None:
        shutil.rmtree(self._folder / collection, ignore_errors=True)

    def _before(self, report: Report) -> Iterator[Report]:
        for id in self.ids(report.collection):
            before = self._read(report.collection, id) if id < report.id else None
            if before is not None:
                yield before

    def _read(self, collection: str, id: str) -> Report | None:
        try:
            return from_json(json.loads((self._folder / collection / f"{id}.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("report=%s/%s unreadable=%r", collection, id, str(error))
            return None


def _remove_abandoned(folder: Path) -> None:
    """What a killed process was writing; what another one is writing now stays."""
    for partial in folder.glob(".*.json"):
        with suppress(OSError):
            if _ID.fullmatch(partial.stem.removeprefix(".")) and time.time() - partial.stat().st_mtime > _ABANDONED_S:
                partial.unlink()
