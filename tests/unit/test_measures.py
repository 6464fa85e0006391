"""What one answer is worth; expected values are worked out by hand from the formulas."""

import math

import pytest

from search.measures import (
    Outcome,
    first_ranks,
    flags,
    ndcg_at_10,
    precision_at_10,
    recall,
    recalls,
    reciprocal_rank,
    table,
)


def outcome(*places: int, relevant: int = 0, first_rank: int | None = None, flagged: bool = False) -> Outcome:
    return Outcome(
        line=2,
        text="red",
        image="",
        values=(),
        relevant=relevant or len(places),
        places=places,
        first_rank=first_rank or (places[0] if places else None),
        score=0.3,
        flagged=flagged,
        found=(),
        missed=(),
        took_ms=1.0,
        ann_recall=None,
    )


def test_recall_is_the_share_of_labelled_images_among_the_first() -> None:
    assert [recall(outcome(1, 4, 9, relevant=4), k) for k in (1, 3, 4, 10)] == [0.25, 0.25, 0.5, 0.75]


def test_precision_divides_by_ten_however_many_there_are() -> None:
    assert precision_at_10(outcome(1, 2, 3)) == 0.3


def test_the_reciprocal_rank_is_that_of_the_first_and_0_where_there_is_none() -> None:
    assert reciprocal_rank(outcome(4, 5)) == 0.25
    assert reciprocal_rank(outcome(relevant=1, first_rank=50)) == 0.02
    assert reciprocal_rank(outcome(relevant=1)) == 0.0


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    assert ndcg_at_10(outcome(1, 2)) == 1.0
    assert ndcg_at_10(outcome(2)) == pytest.approx(1 / math.log2(3))
    assert ndcg_at_10(outcome(2, 4)) == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3)))


def test_the_best_order_of_more_than_ten_images_fills_the_ten_places() -> None:
    assert ndcg_at_10(outcome(*range(1, 11), relevant=40)) == pytest.approx(1.0)


def test_only_answerable_queries_are_judged_by_what_they_find() -> None:
    asked = [outcome(2), outcome(flagged=True), outcome(relevant=1, first_rank=20, flagged=True), outcome()]
    assert table(asked).tolist() == [
        [0, 1, 1, 0.1, 0.5, pytest.approx(1 / math.log2(3))],
        [0, 0, 0, 0, 0.05, 0],
    ]
    assert recalls(asked)[:, :3].tolist() == [[0, 1, 1], [0, 0, 0]]
    assert first_ranks(asked).tolist() == [2, 20]
    assert flags(asked, answerable=True).tolist() == [[0], [1]]
    assert flags(asked, answerable=False).tolist() == [[1], [0]]


def test_a_rank_beyond_the_thousand_is_infinite() -> None:
    assert first_ranks([outcome(relevant=1)]).tolist() == [math.inf]
