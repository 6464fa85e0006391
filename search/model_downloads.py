"""The download of a model that runs, and those that ended lately; what a name needs is planned by who asks.

One at a time, in a thread of its own.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from search.encoders.download import Plan, fetch_model
from search.encoders.hub import Hub
from search.encoders.hub_errors import Cancelled
from search.errors import Busy, ModelNotFound, SearchError
from search.pace import Pace

log = logging.getLogger(__name__)

_RATE_OVER_S = 5.0
_MOST_FINISHED = 20


@dataclass(frozen=True, slots=True)
class Download:
    name: str
    state: Literal["running", "done", "cancelled", "failed"]
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float = 0.0  # lately
    remaining_s: float | None = None  # None: not known yet
    error: str = ""
    error_code: str = ""


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    stop: threading.Event
    thread: threading.Thread


class ModelDownloads:
    """Thread-safe. `ends_within_s`: how long a start waits for one that was cancelled: it ends with its next bytes."""

    def __init__(self, models_dir: Path, *, hub: Hub, ends_within_s: float) -> None:
        self._models_dir, self._hub, self._ends_within_s = models_dir, hub, ends_within_s
        self._all: dict[str, Download] = {}
        self._running: _Running | None = None
        self._removing: set[str] = set()
        self._lock = threading.Lock()  # guards all of these

    def start(self, name: str, plan_it: Callable[[], Plan]) -> Download:
        """In the background. Returns the one that runs already.

        Raises: ModelError, Busy while another model is being fetched, or this one is still being stopped.
        """
        with self._lock:
            ending = self._running.thread if self._running and self._running.stop.is_set() else None
        if ending:  # cancelled just now
            ending.join(self._ends_within_s)
        with self._lock:
            if running := self._same(name):
                return running
        plan = plan_it()
        with self._lock:
            if running := self._same(name):
                return running
            stop = threading.Event()
            thread = threading.Thread(target=self._work, args=(name, plan, stop), name="fetch", daemon=True)
            here_bytes = plan.pin.total_bytes - plan.missing_bytes
            self._all.pop(name, None)
            self._all[name] = Download(name, "running", here_bytes, plan.pin.total_bytes)
            self._running = _Running(name, stop, thread)
            thread.start()
            return self._all[name]

    def list(self) -> list[Download]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._all.values()))

    def get(self, name: str) -> Download:
        """Raises: ModelNotFound."""
        with self._lock:
            if name not in self._all:
                raise ModelNotFound(f'"{name}" is not being downloaded.')
            return self._all[name]

    def cancel(self, name: str) -> Download:
        """Soon; what came is kept, and the next fetch goes on from there. Raises: ModelNotFound."""
        with self._lock:
            if self._running and self._running.name == name:
                self._running.stop.set()
        return self.get(name)

    @contextmanager
    def held_off(self, name: str) -> Iterator[None]:
        """None starts meanwhile; that one is forgotten. Raises: Busy while it runs."""
        with self._lock:
            if self._running and self._running.name == name:
                raise Busy(f'"{name}" is being downloaded: cancel that first.')
            self._all.pop(name, None)
            self._removing.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._removing.discard(name)

    def wait(self) -> None:
        """Until the download that runs has ended."""
        with self._lock:
            running = self._running
        if running:
            running.thread.join()

    def wait_for(self, name: str) -> Download:
        """Until that one has ended, which it may have done. Raises: ModelNotFound."""
        while (download := self.get(name)).state == "running":
            with self._lock:
                running = self._running
            if running and running.name == name:
                running.thread.join()
        return download

    def close(self) -> None:
        with self._lock:
            if self._running:
                self._running.stop.set()

    def _same(self, name: str) -> Download | None:
        """Where it runs already. Raises: Busy where none may start."""
        if self._removing:  # it may share files with what goes
            raise Busy("A model is being removed: try again in a moment.")
        if self._running is None:
            return None
        if self._running.name != name:
            raise Busy(f'"{self._running.name}" is being downloaded: wait until it is here, or cancel it.')
        if self._running.stop.is_set():
            raise Busy(f'The download of "{name}" is still being stopped: ask again in some seconds.')
        return self._all[name]

    def _work(self, name: str, plan: Plan, stop: threading.Event) -> None:
        pace = Pace(over_s=_RATE_OVER_S)
        started = time.monotonic()

        def tell(done: int, total: int) -> None:
            rate = pace.rate(done)
            remaining = (total - done) / rate if rate > 0 else None
            self._set(name, done_bytes=done, total_bytes=total, rate_bytes_per_s=rate, remaining_s=remaining)

        try:
            fetch_model(plan, models_dir=self._models_dir, hub=self._hub, stop=stop, progress=tell)
        except Cancelled as error:
            self._end(name, state="cancelled", error=str(error), error_code=error.code)
        except SearchError as error:
            log.warning("fetch model=%s state=failed code=%s reason=%r", name, error.code, str(error))
            self._end(name, state="failed", error=str(error), error_code=error.code)
        except Exception:
            log.exception("fetch model=%s state=failed", name)
            self._end(name, state="failed", error="A defect stopped it; the log says more.", error_code="error")
        else:
            log.info("fetch model=%s bytes=%d seconds=%.1f", name, plan.missing_bytes, time.monotonic() - started)
            self._end(name, state="done", done_bytes=plan.pin.total_bytes, remaining_s=0.0)

    def _set(self, name: str, **changes: object) -> None:
        with self._lock:
            self._all[name] = replace(self._all[name], **changes)  # type: ignore[arg-type]

    def _end(self, name: str, **changes: object) -> None:
        with self._lock:
            self._running = None
            self._all[name] = replace(self._all[name], **changes)  # type: ignore[arg-type]
            for old in list(self._all)[:-_MOST_FINISHED]:
                del self._all[old]
