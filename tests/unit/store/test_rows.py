import numpy as np
import pytest

from store import rows as rows_of
from store.rows import Rows


@pytest.fixture
def axes() -> Rows:
    return rows_of.loaded(np.eye(4, dtype=np.float32), seqs=[2, 3, 5, 8], ids=["d", "c", "b", "a"])


def best(rows: Rows, vector: list[float], *, top_k: int, at: list[int] | None = None) -> list[str]:
    query = np.array(vector, np.float32)
    positions = rows_of.nearest(rows, query, at=None if at is None else np.array(at, np.intp), top_k=top_k)
    return rows_of.ranked(rows, query, at=positions, top_k=top_k)[0]


def test_the_best_come_first(axes: Rows) -> None:
    assert best(axes, [0.1, 0.2, 0.9, 0.4], top_k=3) == ["b", "a", "c"]


def test_rows_that_tie_come_in_the_order_of_their_ids_wherever_the_cut_falls(axes: Rows) -> None:
    assert [best(axes, [0.5, 0.5, 0.5, 0.5], top_k=k) for k in (1, 2, 4)] == [["a"], ["a", "b"], ["a", "b", "c", "d"]]


def test_only_the_rows_asked_for_are_scanned(axes: Rows) -> None:
    assert best(axes, [0.1, 0.2, 0.9, 0.4], top_k=9, at=[0, 1]) == ["c", "d"]
    assert best(axes, [0.1, 0.2, 0.9, 0.4], top_k=9, at=[]) == []


def test_positions_are_of_live_rows_only(axes: Rows) -> None:
    later = rows_of.changed(axes, gone=[3], seqs=[], ids=[], embeddings=np.empty((0, 4), np.float32))
    assert later.positions([8, 3, 4, 99, 2]).tolist() == [3, 0]


def test_an_earlier_moment_never_changes(axes: Rows) -> None:
    grown = rows_of.changed(axes, gone=[2], seqs=[10], ids=["e"], embeddings=np.eye(4, dtype=np.float32)[:1])
    again = rows_of.changed(grown, gone=[10], seqs=[12], ids=["f"], embeddings=np.eye(4, dtype=np.float32)[1:2])
    query = [1.0, 0.5, 0.0, 0.0]
    assert best(axes, query, top_k=2) == ["d", "c"]
    assert best(grown, query, top_k=2) == ["e", "c"]
    assert best(again, query, top_k=2) == ["c", "f"]


def test_growing_keeps_live_rows_only() -> None:
    rows = rows_of.empty(4)
    for seq in range(1, 101):
        gone = [seq - 1] if seq > 1 else []
        rows = rows_of.changed(rows, gone=gone, seqs=[seq], ids=[f"n{seq}"], embeddings=np.eye(4, dtype=np.float32)[:1])
    assert rows.live_count == 1
    assert len(rows.array) < 20
    assert best(rows, [1, 0, 0, 0], top_k=5) == ["n100"]


def test_a_sample_is_fixed_and_mostly_stays_when_rows_are_added() -> None:
    vectors = np.random.default_rng(0).standard_normal((1100, 2)).astype(np.float32)
    rows = rows_of.loaded(vectors[:1000], seqs=range(1, 1001), ids=[str(n) for n in range(1000)])
    grown = rows_of.changed(
        rows, gone=[], seqs=range(1001, 1101), ids=[str(n) for n in range(100)], embeddings=vectors[1000:]
    )
    first, later = ({tuple(row) for row in r.sample(100).tolist()} for r in (rows, grown))
    assert len(first) == len(later) == 100
    assert np.array_equal(rows.sample(100), rows.sample(100))
    assert len(first & later) >= 85


def test_a_sample_of_more_than_there_are_is_all(axes: Rows) -> None:
    assert np.array_equal(axes.sample(10), np.eye(4))
