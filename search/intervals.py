"""How sure a mean over queries is: percentile bootstrap intervals, seeded, so that the same outcomes give the same.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13; paired over the same queries, as
in Sakai, "Evaluating evaluation metrics based on the bootstrap" (SIGIR 2006).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2_000
SEED = 20_261_123

_AT_ONCE = 4_000_000  # counts held at once: 32 MB

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and the interval it lies in with 95 %; None for both ends where there is but one query."""

    value: float
    low: float | None
    high: float | None


def means(values: Values) -> list[Estimate]:
    """(queries, measures) → the mean of each measure; at least one query."""
    count = len(values)
    sampled = np.concatenate([counts @ values / count for counts in _resampled(count)])  # (resamples, measures)
    middle = values.mean(axis=0)
    return [_estimate(middle[n], sampled[:, n], count) for n in range(values.shape[1])]


def median(values: Values) -> Estimate:
    """(queries,) → the lower median: the smallest value that half of the queries do not exceed. May be infinite."""
    ordered, half = np.sort(values), (len(values) + 1) // 2
    # How often each place of the sorted values was drawn: a resample needs no sorting of its own.
    places = [(counts.cumsum(axis=1) >= half).argmax(axis=1) for counts in _resampled(len(values))]
    return _estimate(ordered[half - 1], ordered[np.concatenate(places)], len(values))


def _resampled(count: int) -> Iterator[Values]:
    """How often each query was drawn, (some resamples, count), until there are RESAMPLES of them."""
    draw = np.random.default_rng(SEED)
    some = max(1, min(RESAMPLES, _AT_ONCE // count))
    for start in range(0, RESAMPLES, some):
        rows = min(some, RESAMPLES - start)
        drawn = draw.integers(0, count, (rows, count)) + count * np.arange(rows)[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _estimate(value: float, sampled: Values, count: int) -> Estimate:
    if count == 1:
        return Estimate(float(value), None, None)
    ordered, cut = np.sort(sampled), int(RESAMPLES * (1 - LEVEL) / 2)
    return Estimate(float(value), float(ordered[cut]), float(ordered[-1 - cut]))
