"""Labelled queries are judged by what they find; exact figures on four colours."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.engine import SearchEngine
from search.errors import SourceError
from search.evaluate import LabelledQuery, Quality, answerable, as_text, judge, read_queries
from tests.contract.served import open_workspace


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SearchEngine]:
    workspace = open_workspace(tmp_path)
    yield workspace.engine("colours")
    workspace.close()


def query(text: str, *relevant: str, kind: str = "colour") -> LabelledQuery:
    return LabelledQuery(text, kind, frozenset(relevant))


def test_recall_counts_the_labelled_images_found_among_the_first(engine: SearchEngine) -> None:
    [quality] = judge(engine, [query("red", "red"), query("red", "yellow", "green")])
    assert (quality.queries, quality.recall_at_1, quality.recall_at_5, quality.recall_at_10) == (2, 0.5, 1.0, 1.0)
    assert quality.precision_at_10 == pytest.approx((0.1 + 0.2) / 2)


def test_kinds_are_judged_apart_in_the_order_they_come(engine: SearchEngine) -> None:
    found = judge(
        engine, [query("red", "red", kind="b"), query("blue", "blue", kind="a"), query("red", "red", kind="b")]
    )
    assert [(quality.kind, quality.queries) for quality in found] == [("b", 2), ("a", 1)]


def test_flags_of_unanswerable_queries_are_no_mistakes() -> None:
    rows = [
        Quality("object", 30, 1, 1, 1, 0.1, flagged=0.1),
        Quality("caption", 10, 1, 1, 1, 0.1, flagged=0.5),
        Quality("unanswerable", 60, 0, 0, 0, 0, flagged=0.9),
    ]
    assert answerable(rows) == pytest.approx(0.2)
    assert as_text(rows).splitlines()[3:] == [
        "unanswerable        60       –       –       –       –    90.0%",
        "answerable queries flagged by mistake: 20.0%",
    ]


def test_queries_are_read_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "queries.csv"
    path.write_text('query,kind,relevant\n"a dog, running",object,a b\nnothing,unanswerable,\n', encoding="utf-8")
    assert read_queries(path) == [
        query("a dog, running", "a", "b", kind="object"),
        query("nothing", kind="unanswerable"),
    ]


@pytest.mark.parametrize("text", ["text,kind\nred,x\n", "query,kind,relevant\nred\n"])
def test_a_table_without_the_columns_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=r"own\.csv needs the columns query, kind and relevant"):
        read_queries(path)
