"""Judges retrieval on labelled queries: recall, precision and how often "nothing here fits well" is said rightly."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.engine import SearchEngine
from search.errors import SourceError
from search.query import parse_text
from search.types import Query

UNANSWERABLE = "unanswerable"  # the kind of a query that no image of the collection answers
DEEPEST = 10


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    text: str
    kind: str
    relevant: frozenset[str]  # ids of the images it should find; empty only where it is unanswerable


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the queries of one kind. recall@k: share of a query's images found among the first k."""

    kind: str
    queries: int
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    precision_at_10: float
    flagged: float  # share of the queries told "nothing here fits well"


def read_queries(path: Path) -> list[LabelledQuery]:
    """Reads a CSV with the columns query, kind and relevant (ids separated by spaces). Raises: SourceError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                LabelledQuery(row["query"], row["kind"], frozenset(row["relevant"].split()))
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The queries in {path.name} can't be read: give a CSV file in UTF-8.") from error
    except (KeyError, AttributeError) as error:
        raise SourceError(f"{path.name} needs the columns query, kind and relevant in every line.") from error


def judge(engine: SearchEngine, queries: Iterable[LabelledQuery]) -> list[Quality]:
    """One Quality for each kind, in the order of first appearance."""
    outcomes: dict[str, list[Mapping[str, float]]] = {}
    for query in queries:
        outcomes.setdefault(query.kind, []).append(_outcome(engine, query))
    return [_mean(kind, rows) for kind, rows in outcomes.items()]


def answerable(qualities: Sequence[Quality]) -> float:
    """The share of answerable queries flagged by mistake, over all kinds."""
    rows = [quality for quality in qualities if quality.kind != UNANSWERABLE]
    return sum(row.flagged * row.queries for row in rows) / max(1, sum(row.queries for row in rows))


def as_text(qualities: Sequence[Quality]) -> str:
    """A table for a terminal; recall and precision in percent."""
    head = f"{'kind':<14}{'queries':>8}{'R@1':>8}{'R@5':>8}{'R@10':>8}{'P@10':>8}{'flagged':>9}"
    lines = [head]
    for row in qualities:
        figures = (row.recall_at_1, row.recall_at_5, row.recall_at_10, row.precision_at_10)
        shown = "".join(f"{'–' if row.kind == UNANSWERABLE else f'{100 * x:.1f}':>8}" for x in figures)
        lines.append(f"{row.kind:<14}{row.queries:>8}{shown}{100 * row.flagged:>8.1f}%")
    lines.append(f"answerable queries flagged by mistake: {100 * answerable(qualities):.1f}%")
    return "\n".join(lines)


def _outcome(engine: SearchEngine, query: LabelledQuery) -> dict[str, float]:
    answer = engine.search(Query(parts=parse_text(query.text), top_k=DEEPEST))
    good = [hit.id in query.relevant for hit in answer.hits]
    labelled = max(1, len(query.relevant))
    return {
        "recall_at_1": sum(good[:1]) / labelled,
        "recall_at_5": sum(good[:5]) / labelled,
        "recall_at_10": sum(good) / labelled,
        "precision_at_10": sum(good) / DEEPEST,
        "flagged": float(answer.weak),
    }


def _mean(kind: str, rows: Sequence[Mapping[str, float]]) -> Quality:
    def mean(name: str) -> float:
        return sum(row[name] for row in rows) / len(rows)

    return Quality(
        kind=kind,
        queries=len(rows),
        recall_at_1=mean("recall_at_1"),
        recall_at_5=mean("recall_at_5"),
        recall_at_10=mean("recall_at_10"),
        precision_at_10=mean("precision_at_10"),
        flagged=mean("flagged"),
    )
