"""The models that can be named on this machine: which are here, and what the others cost.

It loads no model; how a name is resolved and fetched is decided in search.encoders.
"""

import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from search.encoders.download import Plan, plan_model, plan_of
from search.encoders.fingerprint import weights_of
from search.encoders.hub import Hub
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
from search.errors import ModelError, ModelNotDownloaded, ModelNotFound
from search.model_downloads import Download, ModelDownloads
from search.speeds import measure_in_process

log = logging.getLogger(__name__)

_HIDES = "This is a folder here, which is used; open_clip's weights of that name are not."


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


class Models:
    """Thread-safe. `ends_within_s`: how long a fetch waits for one that was cancelled: it ends with its next bytes."""

    def __init__(self, models_dir: Path, *, bundled: Path, hub: Hub, ends_within_s: float = 10.0) -> None:
        self.downloads = ModelDownloads(models_dir, hub=hub, ends_within_s=ends_within_s)
        self._models_dir, self._bundled, self._hub = models_dir, bundled, hub
        self._shown: dict[str, Pin] = {}  # the last look-up
        self._hashed: set[tuple[Path, int, int]] = set()  # weights whose hash was begun, by path, size and time
        self._lock = threading.Lock()  # guards both
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
        return self.downloads.start(name, lambda: self._plan(name))

    def remove(self, name: str, *, wanted: Collection[str]) -> Removed:
        """`wanted`: fingerprints whose exports stay. Raises: ModelNotFound, ModelDamaged, Busy while it is fetched."""
        with self.downloads.held_off(name):
            return remove_model(name, models_dir=self._models_dir, bundled=self._bundled, hub=self._hub, wanted=wanted)

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
