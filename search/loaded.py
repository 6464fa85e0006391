"""The encoders in memory: loaded on demand, one at a time for each name, dropped least recently used first.

How an encoder is loaded and how large it is are passed in; how much memory there is for them is decided in memory.py.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.errors import ModelDamaged, ModelError, SearchError
from search.memory import Held, to_drop
from search.types import Embeddings, Encoder

log = logging.getLogger(__name__)

_LATELY_S = 5.0  # between two batches of one job a model is still in use
_LOOK_EVERY_S = 10.0  # whether other programs want the memory


@dataclass(frozen=True, slots=True)
class Loading:
    """A model on its way into memory. `stage`: of an export, or "" while it is only read."""

    model: str
    stage: str
    since_s: float


@dataclass(slots=True)
class _Slot:
    name: str
    loading: threading.Lock = field(default_factory=threading.Lock)  # held while it is loaded
    encoder: Encoder | None = None  # None: not loaded, or dropped
    shown: "OnDemandEncoder | None" = None  # what others hold, from the first load on
    size_bytes: int = 0
    coming_bytes: int = 0  # while it is loaded: what is free now is promised to it
    users: int = 0
    used_at: float = 0.0
    began_at: float | None = None
    stage: str = ""
    warning: str = ""
    coming: "Future[None] | None" = None  # of a load in the background


class Encoders:
    """Thread-safe. `size_of`: a model's weights in bytes, 0 where unknown; `available`: free memory, None: no limit."""

    def __init__(
        self,
        load: Callable[[str], Encoder],
        *,
        size_of: Callable[[str], int] = lambda name: 0,
        available: Callable[[], int | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load, self._size_of, self._available, self._clock = load, size_of, available, clock
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.RLock()  # guards the slots; never held while a model is loaded
        self._settled = threading.Condition(self._lock)  # told when a load has ended
        self._looked_at = clock()

    def get(self, name: str) -> Encoder:
        """Loads it if it never was. Raises: what `load` raises, ModelError where the memory is too small."""
        slot = self._slot(name)
        if slot.shown is None:
            self._loaded(slot)
        assert slot.shown is not None
        return slot.shown

    @contextmanager
    def using(self, name: str) -> Iterator[Encoder]:
        """The encoder itself, which is not dropped meanwhile; loads it again where it was. Raises as `get`."""
        slot = self._slot(name)
        with self._lock:
            slot.users += 1
            slot.used_at = self._clock()
        try:
            yield slot.encoder or self._loaded(slot)
        finally:
            with self._lock:
                slot.users -= 1
                slot.used_at = self._clock()
        self._relieve()

    def begin(self, name: str, *, within_s: float) -> Loading | None:
        """Has it loaded in the background; None once it is. Waits `within_s` at most. Raises as `get`."""
        slot = self._slot(name)
        with self._lock:
            if slot.encoder is not None:
                return None
            coming = slot.coming
            if coming is None or (coming.done() and coming.exception() is None):  # it was loaded, and dropped since
                coming = slot.coming = Future()
                threading.Thread(target=self._fulfil, args=(slot, coming), name="load-model", daemon=True).start()
        wait([coming], timeout=within_s)
        if not coming.done():
            return self.loading(name) or Loading(name, "", 0.0)
        with self._lock:
            if slot.coming is coming:
                slot.coming = None
        coming.result()
        return None

    def loading(self, name: str) -> Loading | None:
        slot = self._slot(name)
        with self._lock:
            if slot.began_at is None:
                return None
            return Loading(name, slot.stage, self._clock() - slot.began_at)

    def is_loaded(self, name: str) -> bool:
        return self._slot(name).encoder is not None

    def fingerprint(self, name: str) -> str | None:
        """Of a model that was loaded once."""
        shown = self._slot(name).shown
        return shown.fingerprint if shown else None

    def loaded(self) -> list[str]:
        """By name, most recently used first."""
        with self._lock:
            return [slot.name for slot in reversed(self._by_use())]

    def tell(self, name: str, stage: str) -> None:
        """How far the load is that runs."""
        self._slot(name).stage = stage

    def warn(self, name: str, warning: str) -> None:
        """What somebody should know of the model as it is loaded now."""
        self._slot(name).warning = warning

    def warning(self, name: str) -> str:
        return self._slot(name).warning

    def forget(self, name: str) -> bool:
        """Drops it unless it is in use, whether or not memory asks; whether it is out of memory now."""
        with self._lock:
            slot = self._slots.get(name)
            if slot is None:
                return True
            if slot.users or slot.began_at is not None:
                return False
            del self._slots[name]
        return True

    def _slot(self, name: str) -> _Slot:
        with self._lock:
            return self._slots.setdefault(name, _Slot(name))

    def _fulfil(self, slot: _Slot, coming: "Future[None]") -> None:
        try:
            self._loaded(slot)
        except SearchError as error:  # whoever waits for it gets it
            coming.set_exception(error)
        except Exception as error:
            log.exception("model=%s state=failed", slot.name)
            coming.set_exception(error)
        else:
            coming.set_result(None)

    def _loaded(self, slot: _Slot) -> Encoder:
        with slot.loading:
            if slot.encoder is not None:
                return slot.encoder
            with self._lock:
                slot.began_at, slot.stage, slot.warning = self._clock(), "", ""
            try:
                self._make_room(slot)
                encoder = self._load(slot.name)
                if slot.shown is not None and slot.shown.fingerprint != encoder.fingerprint:
                    raise ModelDamaged(
                        f'"{slot.name}" is another model than before: its files were changed while it was in use. '
                        "Start Sightline again."
                    )
            finally:
                with self._settled:
                    took_s, slot.began_at = self._clock() - (slot.began_at or 0.0), None
                    slot.coming_bytes = 0
                    self._settled.notify_all()
            size_bytes = self._size_of(slot.name)
            with self._lock:
                slot.size_bytes, slot.used_at = size_bytes, self._clock()
                slot.encoder = encoder
                slot.shown = slot.shown or OnDemandEncoder(slot.name, encoder, self)
            log.info("model=%s state=loaded mb=%d seconds=%.1f", slot.name, slot.size_bytes / 1e6, took_s)
            return encoder

    def _make_room(self, slot: _Slot) -> None:
        """Waits for models that are being loaded where only their promised memory is too little. Raises: ModelError."""
        wanted = self._size_of(slot.name)
        with self._settled:
            while (available := self._available()) is not None:
                coming = sum(other.coming_bytes for other in self._slots.values())
                free = max(0, available - coming)
                free += self._drop(wanted, free)
                if wanted <= free:
                    break
                if not coming:
                    raise ModelError(
                        f'"{slot.name}" takes {wanted / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: end '
                        "other programs or searches with other models, or take a smaller one."
                    )
                self._settled.wait()
            slot.coming_bytes = wanted

    def _relieve(self) -> None:
        """Drops what is idle where other programs have taken the memory; the last one used stays."""
        with self._lock:
            if self._clock() - self._looked_at < _LOOK_EVERY_S:
                return
            self._looked_at = self._clock()
            available = self._available()
            if available is not None:
                self._drop(0, available, keep_last=True)

    def _drop(self, wanted: int, available: int, *, keep_last: bool = False) -> int:
        """How many bytes that frees. The lock is held."""
        slots, now = self._by_use(), self._clock()
        held = [Held(slot.name, slot.size_bytes, slot.users > 0 or now - slot.used_at < _LATELY_S) for slot in slots]
        names = to_drop(held[:-1] if keep_last else held, wanted_bytes=wanted, available_bytes=available)
        for name in names:
            self._slots[name].encoder = None
        if names:
            log.info("models=dropped names=%s", ",".join(names))
        return sum(model.size_bytes for model in held if model.name in names)

    def _by_use(self) -> Sequence[_Slot]:
        loaded = [slot for slot in self._slots.values() if slot.encoder is not None]
        return sorted(loaded, key=lambda slot: slot.used_at)


class OnDemandEncoder:
    """An Encoder whose weights may leave the memory between two calls; the next call loads them again."""

    def __init__(self, key: str, encoder: Encoder, encoders: Encoders) -> None:
        """`key`: what the encoders know it by."""
        self._key, self._encoders = key, encoders
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self.dim, self.preprocess = encoder.dim, encoder.preprocess

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        with self._encoders.using(self._key) as encoder:
            return encoder.encode_texts(texts)

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        with self._encoders.using(self._key) as encoder:
            return encoder.encode_images(pixels)
