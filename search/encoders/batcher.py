"""Dynamic batching: texts that are asked for while others are encoded make the next batch; no timer is involved."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from search.errors import SearchError
from search.types import Embeddings


@dataclass(slots=True, eq=False)
class _Call:
    texts: Sequence[str]
    woken: threading.Event = field(default_factory=threading.Event)  # its own, so that nobody wakes for others
    leads: bool = False
    rows: Embeddings | None = None


class Batcher:
    """Thread-safe. One batch of `most` texts runs at a time; a call with more of them runs beside it, by itself."""

    def __init__(self, encode: Callable[[Sequence[str]], Embeddings], *, most: int) -> None:
        self._encode, self._most = encode, most
        self._lock = threading.Lock()
        self._waiting: list[_Call] = []
        self._busy = False

    @property
    def waiting(self) -> int:
        """Calls that the next batches will hold."""
        return len(self._waiting)

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """In the order given. Raises what `encode` raises for these texts alone."""
        if len(texts) > self._most:
            return self._encode(texts)
        call = _Call(texts)
        with self._lock:
            call.leads = not self._busy
            self._busy = True
            if not call.leads:
                self._waiting.append(call)
        if not call.leads:
            call.woken.wait()
        if call.leads:
            self._lead(call)
        return self._encode(texts) if call.rows is None else call.rows

    def _lead(self, call: _Call) -> None:
        batch = self._batch(call)
        try:
            rows = self._encode([text for one in batch for text in one.texts])
            start = 0
            for one in batch:
                one.rows = rows[start : start + len(one.texts)]
                start += len(one.texts)
        except SearchError:
            if len(batch) == 1:
                raise  # else each tries its own texts, so that nobody fails for another's
        finally:
            self._hand_on()
            for one in batch[1:]:
                one.woken.set()

    def _batch(self, call: _Call) -> list[_Call]:
        """The caller's and as many as fit of those that wait, the earliest first."""
        with self._lock:
            batch, count = [call], len(call.texts)
            while self._waiting and count + len(self._waiting[0].texts) <= self._most:
                batch.append(self._waiting.pop(0))
                count += len(batch[-1].texts)
        return batch

    def _hand_on(self) -> None:
        with self._lock:
            self._busy = bool(self._waiting)
            if self._busy:
                following = self._waiting.pop(0)
                following.leads = True
                following.woken.set()
