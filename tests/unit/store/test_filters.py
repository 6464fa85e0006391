import sqlite3
from collections.abc import Callable

import pytest

from search.errors import BadQuery
from search.types import Condition, Operator, Scalar
from store.filters import holds, where_sql

ROWS = [
    ("a", "photos/a.jpg", "Straße am Meer", None, 640, '{"year": 2020, "tag": "sea", "raw": true}'),
    ("b", "photos/b.jpg", "", "2021-05-01T10:00:00", 1280, '{"year": "2020", "tag": "Sea", "odd\\"] $.key": "x"}'),
    ("c", "photos/c.jpg", "100% _ ' quoted", "2023-01-01T00:00:00", 1920, '{"year": 2022.5}'),
]


@pytest.fixture
def matching() -> Callable[..., str]:
    connection = sqlite3.connect(":memory:")
    connection.create_function("holds", 2, holds, deterministic=True)
    connection.execute("CREATE TABLE records (id, uri TEXT, caption TEXT, taken_at TEXT, width INTEGER, metadata TEXT)")
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", ROWS)

    def run(*conditions: Condition) -> str:
        test, values = where_sql(conditions)
        return "".join(id for (id,) in connection.execute(f"SELECT id FROM records WHERE {test} ORDER BY id", values))

    return run


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("year", "eq", 2020, "a"),
        ("year", "eq", "2020", "b"),
        ("year", "ne", 2020, "bc"),
        ("year", "gte", 2020, "ac"),
        ("year", "gt", 2020, "c"),
        ("year", "lt", 2022.6, "ac"),
        ("year", "in", (2020, 2022.5), "ac"),
        ("year", "in", (), ""),
        ("tag", "eq", "sea", "a"),
        ("tag", "contains", "SEA", "ab"),
        ("tag", "ne", "sea", "bc"),
        ("tag", "gte", "a", "a"),
        ("raw", "eq", True, "a"),
        ("raw", "ne", True, "bc"),
        ("missing", "eq", "x", ""),
        ("missing", "lt", 5, ""),
        ("missing", "ne", "x", "abc"),
        ("width", "gt", 1000, "bc"),
        ("width", "in", (640, 1920), "ac"),
        ("taken_at", "gte", "2022", "c"),
        ("taken_at", "ne", "2023-01-01T00:00:00", "ab"),
        ("caption", "contains", "STRASSE", "a"),
        ("caption", "contains", "%", "c"),
        ("caption", "contains", "' quoted", "c"),
        ("uri", "eq", "photos/b.jpg", "b"),
        ('odd"] $.key', "eq", "x", "b"),
        ("x') OR 1=1 --", "eq", "x", ""),
        ("\ud800", "eq", "x", ""),
        ("tag", "eq", "\ud800", ""),
        ("year", "lt", 10**30, "ac"),
    ],
)
def test_a_condition_finds_exactly_these(
    matching: Callable[..., str], field: str, op: Operator, value: Scalar, expected: str
) -> None:
    assert matching(Condition(field, op, value)) == expected


def test_all_conditions_must_hold(matching: Callable[..., str]) -> None:
    assert matching(Condition("year", "gte", 2000), Condition("tag", "eq", "sea")) == "a"


def test_no_condition_finds_everything(matching: Callable[..., str]) -> None:
    assert matching() == "abc"


@pytest.mark.parametrize(
    ("op", "value"),
    [
        ("eq", float("nan")),
        ("lt", float("inf")),
        ("eq", ("a", "b")),
        ("in", "abc"),
        ("in", tuple(range(1001))),
        ("contains", 5),
        ("like", "x"),
        ("eq", None),
    ],
)
def test_a_condition_that_means_nothing_is_refused_with_its_field(op: Operator, value: Scalar) -> None:
    with pytest.raises(BadQuery, match="'year'"):
        where_sql((Condition("year", op, value),))
