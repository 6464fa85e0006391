"""What one query's answer is worth: recall, precision, reciprocal rank, nDCG; it asks nothing and sums nothing up."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEPTH = 10  # hits that are judged
MEASURES = ("recall_at_1", "recall_at_5", "recall_at_10", "precision_at_10", "mrr", "ndcg_at_10")

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one query."""

    line: int  # in the labels file
    text: str
    image: str
    values: tuple[str, ...]  # one for each column that splits the queries
    relevant: int  # images that it should find; 0: nothing answers it
    places: tuple[int, ...]  # ranks of those among the first ten
    first_rank: int | None  # None: none among the first thousand
    score: float | None  # of the best hit; None where there is none
    flagged: bool  # it was told "nothing here fits well"
    found: tuple[str, ...]  # ids of the first ten
    missed: tuple[str, ...]  # ids of a few that it should have found among them
    took_ms: float
    ann_recall: float | None  # share of the exact first ten that were found; None where every image was compared

    @property
    def is_answerable(self) -> bool:
        return self.relevant > 0


def recall(outcome: Outcome, k: int) -> float:
    """The share of the labelled images that are among the first k (k ≤ 10)."""
    return sum(place <= k for place in outcome.places) / outcome.relevant


def precision_at_10(outcome: Outcome) -> float:
    return len(outcome.places) / DEPTH


def reciprocal_rank(outcome: Outcome) -> float:
    """1 / rank of the first relevant image, 0 where none is among the first thousand.

    Source: Voorhees, "The TREC-8 Question Answering Track Report" (1999).
    """
    return 1 / outcome.first_rank if outcome.first_rank else 0.0


def ndcg_at_10(outcome: Outcome) -> float:
    """Discounted gain of the first ten over that of the best order, gains 1 and 0, discount log2(rank + 1).

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002; the
    discount, which lets rank 1 count fully and rank 2 less, is Burges et al., "Learning to rank" (2005).
    """
    gains = 1 / np.log2(np.arange(1, DEPTH + 1) + 1)
    best = gains[: min(outcome.relevant, DEPTH)].sum()
    return float(sum(gains[place - 1] for place in outcome.places) / best)


def table(outcomes: Sequence[Outcome]) -> Values:
    """(answerable queries, MEASURES)"""
    rows = [
        (*(recall(one, k) for k in (1, 5, 10)), precision_at_10(one), reciprocal_rank(one), ndcg_at_10(one))
        for one in outcomes
        if one.is_answerable
    ]
    return np.array(rows, np.float64).reshape(-1, len(MEASURES))


def recalls(outcomes: Sequence[Outcome]) -> Values:
    """(answerable queries, 10): recall at 1 … 10."""
    rows = [[recall(one, k) for k in range(1, DEPTH + 1)] for one in outcomes if one.is_answerable]
    return np.array(rows, np.float64).reshape(-1, DEPTH)


def first_ranks(outcomes: Sequence[Outcome]) -> Values:
    """(answerable queries,): infinite where none was found."""
    return np.array([one.first_rank or np.inf for one in outcomes if one.is_answerable], np.float64)


def flags(outcomes: Sequence[Outcome], *, answerable: bool) -> Values:
    """(queries of that kind, 1): 1 where one was flagged."""
    rows = [float(one.flagged) for one in outcomes if one.is_answerable == answerable]
    return np.array(rows, np.float64).reshape(-1, 1)
