"""How far an indexing run is: its counts, rate and remaining time, told now and then; it does none of the work."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from search.errors import SearchError
from search.pace import Pace
from search.types import Failure, SourceFile

_TOLD_EVERY_S = 0.25
_RATE_OVER_S = 10.0

Phase = Literal["looking", "indexing", "done"]
Fate = Literal["indexed", "unchanged", "moved"]


@dataclass(frozen=True, slots=True)
class Progress:
    source: str
    phase: Phase
    total: int  # files; while looking, those found so far
    done: int
    indexed: int  # new or changed
    unchanged: int
    moved: int
    failed: int
    rate_per_s: float  # files, lately
    remaining_s: float | None  # None: not known yet


@dataclass(slots=True)
class Tally:
    """The counts of one run; `tell` hears of them."""

    source: str
    tell: Callable[[Progress], None]
    phase: Phase = "looking"
    total: int = 0
    indexed: int = 0
    unchanged: int = 0
    moved: int = 0
    failures: list[Failure] = field(default_factory=list)
    _told_at: float = 0.0
    _pace: Pace = field(default_factory=lambda: Pace(over_s=_RATE_OVER_S))

    @property
    def done(self) -> int:
        return self.indexed + self.unchanged + self.moved + len(self.failures)

    def count(self, fate: Fate) -> None:
        if fate == "indexed":
            self.indexed += 1
        elif fate == "moved":
            self.moved += 1
        else:
            self.unchanged += 1

    def fail(self, file: SourceFile, error: SearchError) -> None:
        self.failures.append(Failure(file.uri, error.code, str(error)))

    def enter(self, phase: Phase) -> None:
        self.phase = phase
        if phase == "indexing":
            self._pace = Pace(over_s=_RATE_OVER_S)  # what was looked at says nothing about the speed to come
        self._tell(time.monotonic())

    def report(self) -> None:
        """Cheap enough to be called for each file."""
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._tell(now)

    def _tell(self, now: float) -> None:
        self._told_at = now
        rate = self._pace.rate(self.done)
        remaining = 0.0 if self.phase == "done" else None
        if self.phase == "indexing" and rate > 0:
            remaining = (self.total - self.done) / rate
        self.tell(
            Progress(
                source=self.source,
                phase=self.phase,
                total=self.total,
                done=self.done,
                indexed=self.indexed,
                unchanged=self.unchanged,
                moved=self.moved,
                failed=len(self.failures),
                rate_per_s=rate,
                remaining_s=remaining,
            )
        )
