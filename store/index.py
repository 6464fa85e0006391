"""The copy of one collection in Chroma: what it holds and how it is told of changes; not when."""

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from search.types import Embedding
from store.catalog import Catalog
from store.chroma import Chroma, ChromaError, Kept
from store.vectors import unpack

log = logging.getLogger(__name__)

BATCH = 300  # rows in one upsert: large enough to be fast, short enough to wait for
_PROBE = 10

State = Literal["off", "building", "ready", "down"]


@dataclass(frozen=True, slots=True)
class Handle:
    """One Chroma collection on one server; a new server or a rebuild makes a new one."""

    chroma: Chroma
    kept: Kept


@dataclass(frozen=True, slots=True)
class View:
    """What Chroma has at one moment: every row up to the watermark, for as long as it `holds`."""

    index: "Index"
    handle: Handle
    watermark: int
    removals: int

    def nearest(self, vector: Embedding, count: int) -> list[int] | None:
        """Sequence numbers, best first; None where Chroma does not answer, or has dropped rows since the view."""
        try:
            found = self.handle.chroma.nearest(self.handle.kept, vector, count=count)
        except ChromaError as error:
            self.index.lost(self.handle, str(error))
            return None
        return found if self.index.holds(self) else None


class Index:
    """One collection's copy. `advance` belongs to the indexer's thread, all else to any."""

    def __init__(self, catalog: Catalog, *, name: str, dim: int, wake: Callable[[], None]) -> None:
        self.name, self.wake = name, wake
        self._state: State = "building"
        self._catalog, self._dim = catalog, dim
        self._handle: Handle | None = None
        self._removals = 0
        self._closed = False
        self._busy = threading.Lock()

    @property
    def state(self) -> State:
        return self._state if self.is_wanted else "ready"

    @property
    def is_behind(self) -> bool:
        return not self._closed and (self._handle is None or self._catalog.watermark < self._catalog.sequence)

    @property
    def is_wanted(self) -> bool:
        return self._catalog.sequence > 0

    def view(self) -> View | None:
        handle, removals, watermark = self._handle, self._removals, self._catalog.watermark
        if handle is None or self._state != "ready":
            return None
        return View(self, handle, watermark, removals)

    def holds(self, view: View) -> bool:
        return self._handle is view.handle and self._removals == view.removals

    def lost(self, handle: Handle | None, reason: str) -> None:
        """Searches go on without Chroma until the indexer has looked at it."""
        if handle is None or self._handle is handle:
            self._handle, self._state = None, "down"
            log.warning("index=down collection=%s reason=%r", self.name, reason)
            self.wake()

    def close(self) -> None:
        """Waits for a batch under way; nothing touches the catalog afterwards."""
        self._closed = True
        with self._busy:
            self._handle, self._state = None, "off"

    def advance(self, chroma: Chroma) -> None:
        """Tells Chroma the next changes. Raises: ChromaError."""
        with self._busy:
            if self._closed:
                return
            handle = self._handle or self._attach(chroma)
            pending = self._catalog.pending(most=BATCH)
            if pending.seqs:
                chroma.upsert(handle.kept, pending.seqs, unpack(pending.packed, dim=self._dim))
            if pending.gone:
                self._removals += 1  # before they go: a search that began earlier may still need them
                chroma.remove(handle.kept, pending.gone)
            if pending.upto > self._catalog.watermark:
                self._catalog.set_watermark(pending.upto)
            if self._handle is handle and self._catalog.watermark == self._catalog.sequence:
                self._state = "ready"

    def _attach(self, chroma: Chroma) -> Handle:
        kept = chroma.find(self.name)
        if kept is None or not self._is_sound(chroma, kept):
            if kept:
                chroma.delete(self.name)
            token = secrets.token_hex(16)
            self._catalog.set_watermark(0, token=token)
            kept = chroma.create(self.name, token=token)
            log.info("index=building collection=%s rows=%d", self.name, self._catalog.count)
        self._handle, self._state = Handle(chroma, kept), "building"
        return self._handle

    def settle(self) -> None:
        """A query waits until the server has written what it was told. Raises: ChromaError."""
        if handle := self._handle:
            handle.chroma.nearest(handle.kept, self._probe(), count=1)

    def _probe(self) -> Embedding:
        return np.full(self._dim, self._dim**-0.5, np.float32)

    def _is_sound(self, chroma: Chroma, kept: Kept) -> bool:
        rows = self._catalog.indexed_count()
        if kept.token != self._catalog.state("token") or chroma.count(kept) != rows:
            return False
        few = min(rows, _PROBE)
        return few == 0 or len(chroma.nearest(kept, self._probe(), count=few)) == few
