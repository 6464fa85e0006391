"""Records of searches and marks for whoever improves the search: buffered, written elsewhere once a minute.

Nobody's search waits for it, and none fails by it: what can't be kept is dropped, oldest first, and counted.
"""

import json
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from search.errors import SearchError
from search.types import Answer, Observer
from ui.telemetry import current_request_id

log = logging.getLogger(__name__)

PERIOD_S = 60.0
STOP_WITHIN_S = 5.0  # for what is left at the end: with all else below the 20 s that a process has to stop
MOST_HELD = 20_000  # records, about a kilobyte each; more than a process answers in a minute
HITS = 10
ACTIONS = ("open", "select", "add", "subtract", "export")


class Place(Protocol):
    """A folder or a prefix in a bucket. Raises: SearchError."""

    def put(self, name: str, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody did with an image, in answer to which request, where that is known."""

    id: str
    action: str
    request_id: str
    collection: str


class Events:
    """Thread-safe; writes in a thread of its own from `start` to `close`."""

    def __init__(
        self,
        place: Place,
        *,
        with_queries: bool = False,
        clock: Callable[[], float] = time.time,
        most_held: int = MOST_HELD,
    ) -> None:
        self._place, self._with_queries, self._clock, self._most_held = place, with_queries, clock, most_held
        self._process = secrets.token_hex(4)  # two processes never write the same object
        self._written = 0
        self._held: deque[dict[str, object]] = deque()
        self._dropped = 0
        self._lock = threading.Lock()  # guards the two
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def searched(self, answer: Answer, texts: Sequence[str]) -> None:
        event: dict[str, object] = {
            "request_id": current_request_id(),
            "collection": answer.collection,
            "fingerprint": answer.fingerprint,
            "hits": [{"id": hit.id, "score": round(hit.score, 6)} for hit in answer.hits[:HITS]],
            "took_ms": round(sum(answer.took_ms.values()), 1),
            "weak": answer.weak,
        }
        if self._with_queries:
            event["query"] = list(texts)
        self._add("search", event)

    def marked(self, mark: Mark) -> None:
        known = {"request_id": mark.request_id, "collection": mark.collection}
        self._add(
            "mark", {**{name: value for name, value in known.items() if value}, "id": mark.id, "action": mark.action}
        )

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Writes what is left, unless that takes too long."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN_S)
            if self._thread.is_alive():
                log.error("events_lost=%d reason='they could not be written in time'", len(self._held))

    def write(self) -> None:
        """One object of all that is held; what can't be written is held for the next time."""
        with self._lock:
            held, dropped = list(self._held), self._dropped
            self._held.clear()
            self._dropped = 0
        if not held and not dropped:
            return
        now = datetime.fromtimestamp(self._clock(), UTC)
        name = f"{now:%Y/%m/%d/%H%M}-{self._process}-{self._written + 1:06}.jsonl"
        lines = [{"time": _iso(now), "type": "dropped", "count": dropped}] if dropped else []
        try:
            self._place.put(name, b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, *held]))
        except SearchError as error:
            log.error("events_held=%d not written, tried again in a minute: %s", len(held), error)
            with self._lock:
                room = max(0, self._most_held - len(self._held))
                self._dropped += dropped + max(0, len(held) - room)
                self._held.extendleft(reversed(held[len(held) - min(room, len(held)) :]))
        else:
            self._written += 1

    def _add(self, kind: Literal["search", "mark"], event: Mapping[str, object]) -> None:
        timed = {"time": _iso(datetime.fromtimestamp(self._clock(), UTC)), "type": kind, **event}
        with self._lock:
            self._held.append(timed)
            if len(self._held) > self._most_held:
                self._held.popleft()
                self._dropped += 1

    def _run(self) -> None:
        while not self._closing.wait(PERIOD_S):
            self._write_logged()
        self._write_logged()

    def _write_logged(self) -> None:
        try:
            self.write()
        except Exception:  # a thread's entry point: the next minute must be written, and the log has the traceback
            log.exception("events could not be written")


@dataclass(frozen=True, slots=True)
class Recording:
    """An Observer that counts as another one does, and has each search recorded."""

    counts: Observer
    events: Events

    def searched(self, answer: Answer, texts: Sequence[str]) -> None:
        self.counts.searched(answer, texts)
        self.events.searched(answer, texts)

    def encoded(self, kind: Literal["text", "image"], *, new: int, cached: int) -> None:
        self.counts.encoded(kind, new=new, cached=cached)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
