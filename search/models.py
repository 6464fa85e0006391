"""The models that can be named on this machine: which are here, what the others cost, and the download that runs.

It loads no model; how a name is resolved and fetched is decided in search.encoders.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from search.encoders.download import Plan, fetch_model, plan_model, plan_of
from search.encoders.fingerprint import weights_of
from search.encoders.hub import Hub
from search.encoders.hub_errors import Cancelled
from search.encoders.load import (
    find_model,
    has_torch,
    hash_weights,
    known_fingerprint,
    needs_export,
    size_in_memory,
)
from search.encoders.names import parse_name
from search.encoders.needs import Needs, export_needs, needs_of_weights
from search.encoders.pins import Pin, note_of, pins, read_pin
from search.encoders.removal import Removed, remove_model
from search.encoders.speed import Speed
from search.errors import Busy, ModelError, ModelNotDownloaded, ModelNotFound, SearchError
from search.speeds import measure_in_process

log = logging.getLogger(__name__)

_HIDES = "This is a folder here, which is used; open_clip's weights of that name are not."
_RATE_OVER_S = 5.0
_MOST_FINISHED = 20


@dataclass(frozen=True, slots=True)
class ModelState:
    """A name, and what stands between it and an encoder. Bytes, revision and `where` are of what comes from a hub."""

    name: str
    state: Literal["ready", "needs_export", "needs_download", "unknown"]
    total_bytes: int | None = None
    missing_bytes: int | None = None  # None: not known before the hub is asked
    revision: str = ""
    where: str = ""
    note: str = ""  # what somebody should know of it; why it is unknown
    needs_full: bool = False  # it can't be used before `make full`, or in the image's target `serve`


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


class Models:
    """Thread-safe. `ends_within_s`: how long a fetch waits for one that was cancelled: it ends with its next bytes."""

    def __init__(self, models_dir: Path, *, bundled: Path, hub: Hub, ends_within_s: float = 10.0) -> None:
        self._models_dir, self._bundled, self._hub, self._ends_within_s = models_dir, bundled, hub, ends_within_s
        self._downloads: dict[str, Download] = {}
        self._running: tuple[str, threading.Event, threading.Thread] | None = None
        self._shown: dict[str, Pin] = {}  # the last look-up
        self._hashed: set[tuple[Path, int, int]] = set()  # weights whose hash was begun, by path, size and time
        self._removing: set[str] = set()
        self._lock = threading.Lock()  # guards all of these
        self._hash_turn = threading.Lock()  # one at a time

    def state(self, name: str) -> ModelState:
        """As far as this machine knows; asks nobody and raises nothing."""
        try:
            parsed = parse_name(name)
            if parsed.endpoint:
                return ModelState(name, "ready", where=f"the SageMaker endpoint {parsed.endpoint}")
            folder, is_exported = find_model(name, bundled=self._bundled, models_dir=self._models_dir)
            pin = read_pin(name, models_dir=self._models_dir) if parsed.is_remote else None
            waits = not is_exported and self._waits_for_export(folder)
            notes = [
                pin.note if pin else _HIDES if parsed.hides else "",
                _of_export(export_needs(folder)) if waits else "",
            ]
        except ModelNotDownloaded as error:
            pin = read_pin(name, models_dir=self._models_dir)
            if pin:
                return _state(plan_of(pin, hub=self._hub))
            lacks = parsed.kind in ("open_clip", "hf-hub") and not has_torch()
            return ModelState(name, "needs_download", note=str(error), needs_full=lacks)
        except ModelError as error:
            return ModelState(name, "unknown", note=str(error))
        except OSError as error:
            return ModelState(name, "unknown", note=f"Its files can't be read: {error.strerror}.")
        found = _state(Plan(pin, 0)) if pin else ModelState(name, "ready")
        lacks = waits and not has_torch()
        state: Literal["needs_export", "ready"] = "needs_export" if waits else "ready"
        return replace(found, state=state, note=" ".join(filter(None, notes)), needs_full=lacks)

    def look_up(self, name: str) -> ModelState:
        """The same, having asked the hub for what is not here. Raises: ModelError."""
        state = self.state(name)
        if state.state == "unknown":
            raise ModelNotFound(state.note)
        if state.state != "needs_download":
            return state
        plan = self._resolve(name)
        with self._lock:
            self._shown = {name: plan.pin}
        return _state(plan)

    def size_in_memory(self, name: str) -> int:
        """About, in bytes; 0 where it is not here."""
        return size_in_memory(name, bundled=self._bundled, models_dir=self._models_dir)

    def measure(self, name: str) -> tuple[str, Speed]:
        """Its fingerprint and its speed on this machine, in some seconds. Raises: ModelError."""
        return measure_in_process(name, bundled=self._bundled, models_dir=self._models_dir)

    def fingerprint(self, name: str) -> str | None:
        """As far as it was computed before."""
        return known_fingerprint(name, bundled=self._bundled, models_dir=self._models_dir)

    def here(self, *, beside: Collection[str] = ()) -> list[ModelState]:
        """What was fetched, or begun to be, but for the names `beside`; a damaged one goes by its file's name."""
        found, damaged = pins(self._models_dir)
        told = {note_of(name, models_dir=self._models_dir).stem for name in beside}
        states = [self.state(pin.name) for pin in found if pin.name not in beside]
        return states + [ModelState(file, "unknown", note=why) for file, why in damaged.items() if file not in told]

    def fetch(self, name: str) -> Download:
        """Starts the download in the background: call it where somebody agreed. Returns the one that runs already.

        Raises: ModelError, Busy while another model is being fetched, or this one is still being stopped.
        """
        with self._lock:
            ending = self._running[2] if self._running and self._running[1].is_set() else None
        if ending:  # cancelled just now
            ending.join(self._ends_within_s)
        with self._lock:
            if running := self._same(name):
                return running
        plan = self._plan(name)
        with self._lock:
            if running := self._same(name):
                return running
            stop = threading.Event()
            thread = threading.Thread(target=self._work, args=(name, plan, stop), name="fetch", daemon=True)
            here_bytes = plan.pin.total_bytes - plan.missing_bytes
            self._downloads.pop(name, None)
            self._downloads[name] = Download(name, "running", here_bytes, plan.pin.total_bytes)
            self._running = (name, stop, thread)
            thread.start()
            return self._downloads[name]

    def downloads(self) -> list[Download]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._downloads.values()))

    def download(self, name: str) -> Download:
        """Raises: ModelNotFound."""
        with self._lock:
            if name not in self._downloads:
                raise ModelNotFound(f'"{name}" is not being downloaded.')
            return self._downloads[name]

    def cancel(self, name: str) -> Download:
        """Soon; what came is kept, and the next fetch goes on from there. Raises: ModelNotFound."""
        with self._lock:
            if self._running and self._running[0] == name:
                self._running[1].set()
        return self.download(name)

    def remove(self, name: str, *, wanted: Collection[str]) -> Removed:
        """`wanted`: fingerprints whose exports stay. Raises: ModelNotFound, ModelDamaged, Busy while it is fetched."""
        with self._lock:
            if self._running and self._running[0] == name:
                raise Busy(f'"{name}" is being downloaded: cancel that first.')
            self._downloads.pop(name, None)
            self._removing.add(name)
        try:
            return remove_model(name, models_dir=self._models_dir, bundled=self._bundled, hub=self._hub, wanted=wanted)
        finally:
            with self._lock:
                self._removing.discard(name)

    def wait(self) -> None:
        """Until the download that runs has ended."""
        with self._lock:
            running = self._running
        if running:
            running[2].join()

    def wait_for(self, name: str) -> Download:
        """Until that one has ended, which it may have done. Raises: ModelNotFound."""
        while (download := self.download(name)).state == "running":
            with self._lock:
                running = self._running
            if running and running[0] == name:
                running[2].join()
        return download

    def close(self) -> None:
        with self._lock:
            if self._running:
                self._running[1].set()

    def _plan(self, name: str) -> Plan:
        """What was shown last is what is fetched."""
        with self._lock:
            shown = self._shown.pop(name, None)
        return plan_of(shown, hub=self._hub) if shown else self._resolve(name)

    def _resolve(self, name: str) -> Plan:
        parsed = parse_name(name)
        if not parsed.is_remote:
            raise ModelNotFound(f'"{name}" is not fetched from anywhere: it is on this machine, or it is not.')
        return plan_model(parsed, models_dir=self._models_dir, hub=self._hub)

    def _waits_for_export(self, folder: Path) -> bool:
        """As far as is known; what must be hashed first is hashed in the background, once."""
        waits = needs_export(folder, models_dir=self._models_dir)
        if waits is not None:
            return waits
        try:
            status = weights_of(folder).stat()
        except OSError:
            return True
        state = (folder.resolve(), status.st_size, status.st_mtime_ns)
        with self._lock:
            if state not in self._hashed:
                self._hashed.add(state)
                threading.Thread(target=self._hash, args=(folder,), name="hash", daemon=True).start()
        return True

    def _hash(self, folder: Path) -> None:
        try:
            with self._hash_turn:
                hash_weights(folder, models_dir=self._models_dir)
        except ModelError as error:  # its load will say so
            log.warning("hash folder=%s reason=%r", folder.name, str(error))

    def _same(self, name: str) -> Download | None:
        if self._removing:  # it may share files with what goes
            raise Busy("A model is being removed: try again in a moment.")
        if self._running is None:
            return None
        if self._running[0] != name:
            raise Busy(f'"{self._running[0]}" is being downloaded: wait until it is here, or cancel it.')
        if self._running[1].is_set():
            raise Busy(f'The download of "{name}" is still being stopped: ask again in some seconds.')
        return self._downloads[name]

    def _work(self, name: str, plan: Plan, stop: threading.Event) -> None:
        pace = _Pace()
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
            self._downloads[name] = replace(self._downloads[name], **changes)  # type: ignore[arg-type]

    def _end(self, name: str, **changes: object) -> None:
        with self._lock:
            self._running = None
            self._downloads[name] = replace(self._downloads[name], **changes)  # type: ignore[arg-type]
            for old in list(self._downloads)[:-_MOST_FINISHED]:
                del self._downloads[old]


class _Pace:
    def __init__(self) -> None:
        self._lately: deque[tuple[float, int]] = deque()

    def rate(self, done: int) -> float:
        now = time.monotonic()
        self._lately.append((now, done))
        while len(self._lately) > 2 and now - self._lately[0][0] > _RATE_OVER_S:
            self._lately.popleft()
        since, done_then = self._lately[0]
        return max(0.0, (done - done_then) / (now - since)) if now > since else 0.0


def _of_export(needs: Needs) -> str:
    return (
        f"The first use exports it: some minutes, {needs.memory_bytes / 1e9:.1f} GB of memory meanwhile, "
        f"{needs.disk_bytes / 1e6:,.0f} MB of disk for good."
    )


def _state(plan: Plan) -> ModelState:
    """Of a name that is pinned; of what is not whole, what its first use will take."""
    pin = plan.pin
    weights = sum(entry.file.size_bytes for entry in pin.files if entry.target == "open_clip_model.safetensors")
    export = _of_export(needs_of_weights(weights)) if weights and plan.missing_bytes else ""
    return ModelState(
        pin.name,
        "needs_download",
        total_bytes=pin.total_bytes,
        missing_bytes=plan.missing_bytes,
        revision=pin.commit,
        where=pin.where,
        note=" ".join(filter(None, [pin.note, export])),
        needs_full=weights > 0 and not has_torch(),
    )
