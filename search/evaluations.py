"""Evaluations asked for by a face: one after another on a thread of their own, with progress; the reports are kept.

A process that ends takes those that are not done with it: nothing of anybody's is lost, and the labels are asked again.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from search.engine import SearchEngine
from search.errors import BadQuery, Busy, JobNotFound, SearchError
from search.evaluate import evaluate
from search.labels import Labels, read_labels
from search.reports import Reports

log = logging.getLogger(__name__)

MOST_WAITING = 4
MOST_FINISHED = 20

State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    id: str
    collection: str
    labels: str  # the file's name
    state: State
    created_at: str  # ISO 8601, UTC
    done: int = 0  # queries
    total: int = 0
    remaining_s: float | None = None  # None: not known yet
    report: str | None = None  # its id, once it is kept
    error: str | None = None
    error_code: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Evaluations:
    """Thread-safe. `labels`: by collection those that come with it."""

    def __init__(
        self,
        reports: Reports,
        *,
        open_engine: Callable[[str], SearchEngine],
        labels: Mapping[str, Path],
    ) -> None:
        self.reports = reports
        self._open_engine, self._labels = open_engine, dict(labels)
        self._all: dict[str, Evaluation] = {}
        self._waiting: dict[str, Labels] = {}
        self._unwanted: set[str] = set()
        self._closing = False
        self._lock = threading.Lock()  # guards all of these
        self._keeping = threading.Lock()  # a report is kept before its collection is forgotten, or not at all
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="evaluation")

    def has_labels(self, collection: str) -> bool:
        return collection in self._labels

    def submit(self, collection: str, labels: bytes | None, *, name: str) -> Evaluation:
        """Without labels those that come with the collection. Raises: SourceError, BadQuery, Busy."""
        if labels is None:
            path = self._labels.get(collection)
            if path is None:
                raise BadQuery(f'No labelled queries come with "{collection}": send a CSV file of your own.')
            labels, name = path.read_bytes(), path.name
        read = read_labels(labels, name=name)
        made = Evaluation(secrets.token_hex(8), collection, read.name, "waiting", datetime.now(UTC).isoformat())
        with self._lock:
            waiting = sum(not one.is_finished for one in self._all.values())
            if self._closing or waiting >= MOST_WAITING:
                raise Busy(f"{waiting} evaluations are running or waiting; try again when one is done.")
            self._all[made.id], self._waiting[made.id] = made, read
            self._pool.submit(self._run, made.id)
        return made

    def get(self, id: str) -> Evaluation:
        """Raises: JobNotFound."""
        with self._lock:
            return self._one(id)

    def list(self) -> list[Evaluation]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._all.values()))

    def cancel(self, id: str) -> Evaluation:
        """Soon; at once where it waits. Raises: JobNotFound."""
        with self._lock:
            one = self._one(id)
            if self._waiting.pop(id, None) is not None:
                self._all[id] = replace(one, state="cancelled")
            elif not one.is_finished:
                self._unwanted.add(id)
            return self._all[id]

    def forget(self, collection: str) -> None:
        """What is known of a collection that was deleted."""
        for one in self.list():
            if one.collection == collection:
                with suppress(JobNotFound):
                    self.cancel(one.id)
        with self._keeping:
            self.reports.forget(collection)

    def close(self) -> None:
        with self._lock:
            self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, id: str) -> None:
        with self._lock:
            labels = self._waiting.pop(id, None)
        if labels is None:  # cancelled
            return
        try:
            self._change(id, state="running")
            started = time.monotonic()

            def tell(done: int, total: int) -> None:
                took_s = time.monotonic() - started
                self._change(id, done=done, total=total, remaining_s=took_s / done * (total - done) if done else None)

            engine = self._open_engine(self.get(id).collection)
            report = evaluate(engine, labels, tell=tell, cancelled=lambda: self._closing or id in self._unwanted)
            with self._keeping:
                if report is None or id in self._unwanted:
                    self._change(id, state="cancelled")
                    return
                self.reports.keep(report)
            self._change(id, state="done", report=report.id)
            log.info("evaluation=%s queries=%d seconds=%.1f", id, report.overall.queries, report.seconds)
        except SearchError as error:
            log.warning("evaluation=%s failed code=%s reason=%r", id, error.code, str(error))
            self._change(id, state="failed", error=str(error), error_code=error.code)
        except Exception:
            log.exception("evaluation=%s failed", id)
            self._change(id, state="failed", error="A defect stopped it; the log says more.", error_code="error")

    def _change(self, id: str, **changes: object) -> None:
        with self._lock:
            self._all[id] = replace(self._all[id], **changes)  # type: ignore[arg-type]  # fields of Evaluation
            finished = [one.id for one in self._all.values() if one.is_finished]
            for old in finished[:-MOST_FINISHED]:
                del self._all[old]
                self._unwanted.discard(old)

    def _one(self, id: str) -> Evaluation:
        if id not in self._all:
            raise JobNotFound("There is no such evaluation, or it is long finished.")
        return self._all[id]
