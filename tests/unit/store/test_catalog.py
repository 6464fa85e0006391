from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from search.errors import StoreUnavailable
from store import database
from store.catalog import Catalog
from store.vectors import pack
from tests.stored import DIM, items


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    database.create(tmp_path / "catalog.sqlite")
    opened = Catalog(tmp_path / "catalog.sqlite", mode="write", dim=DIM)
    yield opened
    opened.close()


def put(catalog: Catalog, count: int, *, start: int = 0) -> list[int]:
    kept = items(count, start=start)
    return catalog.put([one.record for one in kept], pack(np.array([one.embedding for one in kept]))).made


def test_every_change_takes_the_next_sequence_number(catalog: Catalog) -> None:
    assert put(catalog, 3) == [1, 2, 3]
    change = catalog.remove(["id-00001"])
    assert (change.gone, catalog.sequence, catalog.count) == ([2], 4, 2)
    assert put(catalog, 1) == [6]  # 5 is the removal of the row that it replaces


def test_numbers_are_never_used_again(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, 3)
    catalog.remove(["id-00002"])
    catalog.set_watermark(4)
    again = Catalog(tmp_path / "catalog.sqlite", mode="write", dim=DIM)
    assert put(again, 1, start=9) == [5]
    again.close()


def test_changes_for_chroma_come_in_their_order_and_in_batches(catalog: Catalog) -> None:
    put(catalog, 5)
    catalog.remove(["id-00000", "id-00003"])
    put(catalog, 2, start=10)
    batches = []
    while catalog.watermark < catalog.sequence:
        pending = catalog.pending(most=2)
        batches.append((pending.seqs, pending.gone, pending.upto))
        catalog.set_watermark(pending.upto)
    assert batches == [([2, 3], [], 3), ([5], [1, 4], 7), ([8, 9], [], 9)]


def test_the_rows_that_chroma_must_have_include_those_it_was_not_told_to_drop(catalog: Catalog) -> None:
    put(catalog, 5)
    catalog.set_watermark(4)
    assert catalog.indexed_count() == 4
    catalog.remove(["id-00000", "id-00004"])
    assert catalog.indexed_count() == 4
    catalog.set_watermark(7)
    assert catalog.indexed_count() == 3


def test_a_pinned_reader_sees_the_moment_at_which_it_was_pinned(catalog: Catalog) -> None:
    put(catalog, 3)
    with catalog.pinned() as select:
        catalog.remove(["id-00001"])
        put(catalog, 1, start=9)
        assert select(("1", ())) == [1, 2, 3]
    with catalog.pinned() as select:
        assert select(("1", ())) == [1, 3, 5]


def test_a_change_that_fails_leaves_no_trace(catalog: Catalog) -> None:
    put(catalog, 2)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.write(lambda connection, change: interrupt(connection))
    assert (catalog.sequence, catalog.count) == (2, 2)
    assert put(catalog, 1, start=5) == [3]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"damaged" * 1000, "file is not a database"), (b"", "no such table: records")]
)
def test_a_file_that_is_no_catalog_is_a_sentence_with_a_remedy(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(content)
    with pytest.raises(StoreUnavailable) as refused:
        Catalog(tmp_path / "catalog.sqlite", mode="write", dim=DIM)
    assert str(refused.value) == (
        f"The collection's catalog can't be used: {reason}. Put back a copy of the collection's folder, or delete the "
        "collection and make it again."
    )


def test_a_finished_catalog_is_one_file(catalog: Catalog, tmp_path: Path) -> None:
    put(catalog, 3)
    catalog.close()
    database.finish(tmp_path / "catalog.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.sqlite"]
    assert (tmp_path / "catalog.sqlite").read_bytes()[18:20] == b"\x01\x01"  # written with a rollback journal
