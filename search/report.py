"""What an evaluation found, as one value and as the JSON that is kept of it; judges and shows nothing."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from search.intervals import Estimate
from search.labels import Remark
from search.measures import Outcome

FORMAT = 1

Figures = Mapping[str, Estimate | None]  # by name; None where there is no query to judge it by


@dataclass(frozen=True, slots=True)
class Slice:
    """The queries with one value in one column of the labels; all of them where both are empty."""

    column: str
    value: str
    queries: int
    answerable: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Asked:
    """The labels file that was asked."""

    name: str
    sha256: str
    lines: int  # with a query
    columns: tuple[str, ...]
    remarks: tuple[Remark, ...]  # the first few hundred
    remarks_count: int


@dataclass(frozen=True, slots=True)
class Report:
    id: str
    made_at: str  # ISO 8601, UTC
    collection: str
    version: str  # of the collection
    model: str
    fingerprint: str
    size: int  # images in the collection
    asked: Asked
    via: Literal["exact", "chroma", "both"]
    overall: Slice
    curve: tuple[Estimate, ...]  # recall at 1 … 10; empty where nothing is answerable
    slices: tuple[Slice, ...]
    ann_recall_at_10: Estimate | None  # None: every image was compared
    latency_ms: Mapping[str, float]  # p50 and p95 of one query after another
    weak_below: float  # the score of a best hit below which words are flagged
    seconds: float
    outcomes: tuple[Outcome, ...]


def to_json(report: Report) -> dict[str, Any]:
    """A value beyond the first thousand ranks is infinite here and null there: JSON has no infinity."""
    told: dict[str, Any] = _finite({"format": FORMAT, **asdict(report)})
    return told


def from_json(told: Mapping[str, Any]) -> Report:
    """Raises: ValueError, KeyError, TypeError for what is no report of this format."""
    if told["format"] != FORMAT:
        raise ValueError(f"a report of format {told['format']!r}")
    known = {field.name: told[field.name] for field in fields(Report)}
    remarks = tuple(Remark(**remark) for remark in told["asked"]["remarks"])
    return Report(
        **{
            **known,
            "asked": Asked(**{**told["asked"], "columns": tuple(told["asked"]["columns"]), "remarks": remarks}),
            "overall": _slice(told["overall"]),
            "curve": tuple(Estimate(**point) for point in told["curve"]),
            "slices": tuple(_slice(one) for one in told["slices"]),
            "ann_recall_at_10": _estimate(told["ann_recall_at_10"]),
            "outcomes": tuple(_outcome(one) for one in told["outcomes"]),
        }
    )


def _slice(told: Mapping[str, Any]) -> Slice:
    return Slice(**{**told, "figures": {name: _estimate(one) for name, one in told["figures"].items()}})


def _estimate(told: Mapping[str, float | None] | None) -> Estimate | None:
    if told is None:
        return None
    value, low, high = (told[name] for name in ("value", "low", "high"))
    if value is None:
        return Estimate(math.inf, low, math.inf)
    return Estimate(value, low, math.inf if high is None and low is not None else high)


def _outcome(told: Mapping[str, Any]) -> Outcome:
    listed = {name: tuple(told[name]) for name in ("values", "places", "found", "missed")}
    return Outcome(**{**told, **listed})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
