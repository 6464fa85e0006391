"""Bootstrap intervals; where the resampled mean is binomial, its quantiles are known."""

import math

import numpy as np
import pytest

from search.intervals import RESAMPLES, Estimate, means, median


def shares(ones: int, of: int) -> np.ndarray:
    return np.array([[1.0]] * ones + [[0.0]] * (of - ones))


def test_a_share_of_ten_queries_lies_between_the_binomial_quantiles() -> None:
    # Of 10 draws at 0.5: P(at most 1) = .011, P(at most 2) = .055, so the 2.5 % quantile is 2, and 8 above.
    assert means(shares(5, 10)) == [Estimate(0.5, 0.2, 0.8)]


def test_the_interval_narrows_with_the_root_of_the_queries() -> None:
    [estimate] = means(shares(500, 1000))
    assert estimate.value == 0.5
    assert estimate.low == pytest.approx(0.5 - 1.96 * math.sqrt(0.25 / 1000), abs=0.004)
    assert estimate.high == pytest.approx(0.5 + 1.96 * math.sqrt(0.25 / 1000), abs=0.004)


def test_each_measure_is_judged_apart() -> None:
    assert means(np.array([[1.0, 0.2], [1.0, 0.2], [1.0, 0.2]])) == [
        Estimate(1.0, 1.0, 1.0),
        Estimate(pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.2)),
    ]


def test_one_query_has_no_interval() -> None:
    assert means(np.array([[0.4]])) == [Estimate(0.4, None, None)]
    assert median(np.array([3.0])) == Estimate(3.0, None, None)


def test_the_same_outcomes_give_the_same_interval() -> None:
    values = np.random.default_rng(1).random((50, 2))
    assert means(values) == means(values.copy())


def test_many_queries_are_resampled_in_several_goes() -> None:
    values = np.tile([[0.0], [1.0]], (10_000, 1))  # 20,000 of them: 200 resamples at once
    assert 4_000_000 // len(values) < RESAMPLES
    [estimate] = means(values)
    assert (estimate.low, estimate.high) == (pytest.approx(0.493, abs=0.001), pytest.approx(0.507, abs=0.001))


def test_the_median_is_the_lower_one_and_may_be_infinite() -> None:
    assert median(np.array([5.0, 1.0, 2.0, 9.0])).value == 2.0
    found = median(np.array([1.0, math.inf, math.inf]))
    assert (found.value, found.low, found.high) == (math.inf, 1.0, math.inf)


def test_a_median_of_equal_ranks_is_sure() -> None:
    assert median(np.full(40, 7.0)) == Estimate(7.0, 7.0, 7.0)
