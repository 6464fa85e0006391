"""Turns a filter into parameterised SQL over the catalog's records; it runs none."""

import math
from collections.abc import Callable

from search.errors import BadQuery
from search.types import FILTER_COLUMNS, Condition, Scalar, Where

MOST_VALUES = 1000  # of an `in`; SQLite takes 32,766 parameters in one statement

_COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

Sql = tuple[str, tuple[Scalar, ...]]  # an expression and its parameters


def where_sql(where: Where) -> Sql:
    """Over `records`; `holds(text, part)` is the catalog's own function."""
    tests = [_condition(condition) for condition in where]
    return " AND ".join(f"({clause})" for clause, _ in tests) or "1", tuple(v for _, values in tests for v in values)


def holds(text: str, part: str) -> bool:
    """`contains`: whatever the case, in any script. The part comes folded."""
    return part in text.casefold()


def storable(text: str) -> str:
    """Without lone surrogates, which are no UTF-8, and NUL, at which SQLite's JSON ends a text."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()


def _condition(condition: Condition) -> Sql:
    if condition.field in FILTER_COLUMNS:
        clause, values = _test(condition, condition.field)
        return (f"{condition.field} IS NULL OR {clause}" if condition.op == "ne" else clause), values
    opposite = condition.op == "ne"
    test, values = _test(Condition(condition.field, "eq", condition.value) if opposite else condition, "value")
    clause = f"EXISTS (SELECT 1 FROM json_each(records.metadata) WHERE key = ? AND {test})"
    return (f"NOT {clause}" if opposite else clause), (storable(condition.field), *values)


def _test(condition: Condition, column: str) -> Sql:
    """Compares numbers with numbers and texts with texts only: SQLite holds every text larger than any number."""
    tests: dict[str, Callable[[], Sql]] = {
        "in": lambda: _in(condition, column),
        "contains": lambda: _contains(condition, column),
        "ne": lambda: (f"{column} <> ?", (_value(condition, condition.value),)),
    }
    if condition.op in tests:
        return tests[condition.op]()
    if condition.op not in _COMPARISONS:
        raise BadQuery(f"The filter on {condition.field!r} has an unknown operator; use eq, ne, gt, gte, lt, lte, in.")
    value = _value(condition, condition.value)
    return f"{column} {_COMPARISONS[condition.op]} ? AND {_is_type_of(value, column)}", (value,)


def _in(condition: Condition, column: str) -> Sql:
    if not isinstance(condition.value, tuple) or len(condition.value) > MOST_VALUES:
        raise BadQuery(f"The filter on {condition.field!r}: `in` takes a list of at most {MOST_VALUES:,} values.")
    values = tuple(_value(condition, value) for value in condition.value)
    return f"{column} IN ({', '.join('?' * len(values))})", values


def _contains(condition: Condition, column: str) -> Sql:
    if not isinstance(condition.value, str):
        raise BadQuery(f"The filter on {condition.field!r}: `contains` takes a text.")
    return f"typeof({column}) = 'text' AND holds({column}, ?)", (storable(condition.value).casefold(),)


def _is_type_of(value: Scalar, column: str) -> str:
    return f"typeof({column}) = 'text'" if isinstance(value, str) else f"typeof({column}) IN ('integer', 'real')"


def _value(condition: Condition, value: Scalar | tuple[Scalar, ...]) -> Scalar:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool | int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, int | float) and abs(value) < 1e300 and math.isfinite(value):
        return float(value)
    raise BadQuery(f"The filter on {condition.field!r} compares with a text, a finite number, true or false.")
