"""The reports that are kept in the data folder, a few for each collection; it judges nothing."""

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from search.comparison import Comparison, compare
from search.errors import DiskFull, ItemNotFound, StoreUnavailable
from search.report import Report, from_json, to_json

log = logging.getLogger(__name__)

KEPT = 5  # of a collection

_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")  # names in the order of time


class Reports:
    """`folder`/COLLECTION/ID.json; any process may add one, and none changes one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
        kept = self.ids(report.collection)[:KEPT]
        for old in folder.glob("*.json"):  # and what a killed process was writing
            id = old.stem.removeprefix(".")
            if kept and id < kept[-1] and _ID.fullmatch(id):
                with suppress(OSError):
                    old.unlink()

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
        """With the last one before it that was asked the same labels."""
        for before in self._before(report):
            comparison = compare(report, before)
            if comparison is not None:
                return comparison
        return None

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
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("report=%s/%s unreadable=%r", collection, id, str(error))
            return None
