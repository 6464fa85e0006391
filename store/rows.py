"""The embeddings of a collection in memory and the exact scan over them; it reads and writes no disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.types import Embedding, Embeddings

SPARE = 1.5  # growth factor of the array: appending copies each row twice on average
GATHER_BELOW = 8  # copying an eighth of the rows together costs as much as scanning all
_SCATTER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads consecutive numbers evenly

Mask = NDArray[np.bool_]
Positions = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Rows:
    """One moment of a collection: nothing that a reader sees of it changes any more.

    Array and list are shared with later moments, which only write beyond `count`.
    """

    array: Embeddings  # (capacity, dim)
    numbers: NDArray[np.int64]  # (capacity,), ascending: the sequence number of the write that made each row
    names: list[str]
    count: int
    live: Mask  # (count,)
    live_count: int

    @property
    def seqs(self) -> NDArray[np.int64]:
        return self.numbers[: self.count]

    def positions(self, seqs: Sequence[int] | NDArray[np.int64]) -> Positions:
        """Where those of the rows are that are live at this moment, in the order given."""
        wanted = np.asarray(seqs, np.int64)
        at = np.searchsorted(self.seqs, wanted)
        inside = at < self.count
        at, wanted = at[inside], wanted[inside]
        found: Positions = at[(self.seqs[at] == wanted) & self.live[at]]
        return found

    def sample(self, most: int) -> Embeddings:
        """Chosen by each row's own number, so that a growing collection keeps most of its sample."""
        at = np.flatnonzero(self.live)
        if len(at) > most:
            keys = self.seqs[at].astype(np.uint64) * _SCATTER
            at = np.sort(at[np.argpartition(keys, most)[:most]])
        chosen: Embeddings = self.array[at]
        return chosen


def empty(dim: int) -> Rows:
    return Rows(np.empty((0, dim), np.float32), np.empty(0, np.int64), [], 0, np.empty(0, np.bool_), 0)


def loaded(embeddings: Embeddings, *, seqs: Sequence[int], ids: list[str]) -> Rows:
    """The array may have spare rows at its end."""
    count, numbers = len(ids), np.empty(len(embeddings), np.int64)
    numbers[:count] = seqs
    return Rows(embeddings, numbers, ids, count, np.ones(count, np.bool_), count)


def changed(rows: Rows, *, gone: Sequence[int], seqs: Sequence[int], ids: list[str], embeddings: Embeddings) -> Rows:
    """The next moment: `gone` are removed, the others appended. One writer at a time."""
    live = rows.live.copy()
    live[rows.positions(gone)] = False
    rows = replace(rows, live=live, live_count=int(live.sum()))
    if rows.count + len(ids) > len(rows.array):
        rows = _grown(rows, spare=len(ids))
    end = rows.count + len(ids)
    rows.array[rows.count : end] = embeddings
    rows.numbers[rows.count : end] = seqs
    rows.names.extend(ids)
    live = np.concatenate([rows.live, np.ones(len(ids), np.bool_)])
    return replace(rows, count=end, live=live, live_count=rows.live_count + len(ids))


def _grown(rows: Rows, *, spare: int) -> Rows:
    at = np.flatnonzero(rows.live)
    capacity = int(len(at) * SPARE) + spare
    array = np.empty((capacity, rows.array.shape[1]), np.float32)
    numbers = np.empty(capacity, np.int64)
    array[: len(at)], numbers[: len(at)] = rows.array[at], rows.seqs[at]
    names = [rows.names[i] for i in at]
    return Rows(array, numbers, names, len(at), np.ones(len(at), np.bool_), len(at))


def mask(rows: Rows, at: Positions) -> Mask:
    chosen = np.zeros(rows.count, np.bool_)
    chosen[at] = True
    return chosen


def nearest(rows: Rows, vector: Embedding, *, at: Positions | None, top_k: int) -> Positions:
    """Positions of the top_k best among `at` (all live rows where None) in no order, with all that tie with the last.

    einsum, not a BLAS product: equally fast on one thread (memory sets the pace), and it never wakes a thread pool.
    """
    if at is None and rows.live_count < rows.count:
        at = np.flatnonzero(rows.live)
    gather = at is not None and len(at) < rows.count // GATHER_BELOW
    scanned = rows.array[at] if gather else rows.array[: rows.count]  # (n, dim)
    scores = np.einsum("ij,j->i", scanned, vector)
    if at is not None and not gather:
        scores = scores[at]
    if top_k < len(scores):
        last = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        chosen = np.flatnonzero(scores >= last - 1e-6)  # equal rows may differ in the last bit
    else:
        chosen = np.arange(len(scores))
    return chosen if at is None else at[chosen]


def ranked(rows: Rows, vector: Embedding, *, at: Positions, top_k: int) -> tuple[list[str], list[float]]:
    """Ids and scores of the best of the rows at these positions: by score, then by id.

    Computed here in double precision whichever way found them, so that a row's score never depends on the way.
    """
    products = np.einsum("ij,j->i", rows.array[at].astype(np.float64), vector.astype(np.float64))
    scores = np.clip(products, -1, 1).round(6).tolist()
    best = sorted(zip(scores, (rows.names[i] for i in at), strict=True), key=lambda pair: (-pair[0], pair[1]))[:top_k]
    return [id for _, id in best], [score for score, _ in best]
