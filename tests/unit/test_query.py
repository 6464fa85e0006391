"""What people type and programs send becomes parts, or one clear sentence."""

import math
from base64 import b64encode

import numpy as np
import pytest

from search.errors import BadQuery, EmptyQuery, QueryTooLong, UnknownField
from search.query import MINUS_WEIGHT, checked, parse_request, parse_text, parse_where, to_vector
from search.types import Condition, Part, Query


def minus(text: str) -> Part:
    return Part(text=text, weight=MINUS_WEIGHT)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("a red boat", (Part(text="a red boat"),)),
        ("a red boat -people", (Part(text="a red boat"), minus("people"))),
        ('boat -"two people" at sea', (Part(text="boat at sea"), minus("two people"))),
        ("a boat without people", (Part(text="a boat"), minus("people"))),
        ("a boat WITHOUT people, at night", (Part(text="a boat, at night"), minus("people"))),
        ("boat without people -dogs", (Part(text="boat"), minus("people"), minus("dogs"))),
        ("boat without people without dogs", (Part(text="boat"), minus("people"), minus("dogs"))),
        ("-people", (minus("people"),)),
        ("t-shirt", (Part(text="t-shirt"),)),
        ("-- dash", (Part(text="-- dash"),)),
        ("going without", (Part(text="going without"),)),
        ("Zürich 東京 -été", (Part(text="Zürich 東京"), minus("été"))),
    ],
)
def test_typed_words_become_wishes_and_subtractions(typed: str, parts: tuple[Part, ...]) -> None:
    assert parse_text(typed) == parts


@pytest.mark.parametrize("typed", ["", "   ", "\n\t", "a\x00b"])
def test_an_empty_query_is_refused(typed: str) -> None:
    with pytest.raises(EmptyQuery, match="type words, or add a picture"):
        parse_text(typed)


def test_a_query_of_10000_characters_is_refused_with_the_limit() -> None:
    with pytest.raises(QueryTooLong, match=r"10,000 characters; at most 2,000"):
        parse_text("x" * 10_000)


def test_a_list_is_taken_literally() -> None:
    query = parse_request(
        {"query": [{"text": "boat -people"}, {"image": b64encode(b"jpeg").decode(), "weight": 0.7}, {"id": "ab-1"}]}
    )
    assert query.parts == (Part(text="boat -people"), Part(image=b"jpeg", weight=0.7), Part(id="ab-1"))
    assert (query.top_k, query.offset, query.where) == (20, 0, ())


@pytest.mark.parametrize("top_k", [0, -1, 10**9, "NaN", math.nan, 2.5, True, None, [5]])
def test_top_k_must_be_a_whole_number_in_range(top_k: object) -> None:
    with pytest.raises(BadQuery, match=r'"top_k" must be a whole number from 1 to 1,000'):
        parse_request({"query": "boat", "top_k": top_k})


def test_pages_end_at_1000() -> None:
    assert parse_request({"query": "boat", "top_k": 500, "offset": 500}).offset == 500
    with pytest.raises(BadQuery, match=r'"offset" \+ "top_k" is 1,001; at most 1,000 hits can be asked for\.$'):
        parse_request({"query": "boat", "top_k": 500, "offset": 501})


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ([], BadQuery, "JSON object"),
        ({}, EmptyQuery, "Nothing to search for"),
        ({"query": []}, EmptyQuery, "Nothing to search for"),
        ({"query": None}, EmptyQuery, "Nothing to search for"),
        ({"query": 5}, BadQuery, '^"query" must be a text or a list of {"text"}, {"image"} or {"id"}, not \'5\'\\.$'),
        ({"query": {"text": "a"}}, BadQuery, '^"query" must be a text or a list'),
        ({"query": "x", "k": 3}, UnknownField, 'has a field "k"'),
        ({"query": [{"txt": "x"}]}, UnknownField, 'has a field "txt"'),
        ({"query": ["x"]}, BadQuery, "must be an object"),
        ({"query": [{"text": "a", "id": "b"}]}, BadQuery, "exactly one"),
        ({"query": [{"weight": 1}]}, BadQuery, "exactly one"),
        ({"query": [{"text": "a", "weight": 0}]}, BadQuery, "not 0"),
        ({"query": [{"text": "a", "weight": math.inf}]}, BadQuery, "between -10 and 10"),
        ({"query": [{"text": "a", "weight": math.nan}]}, BadQuery, "between -10 and 10"),
        ({"query": [{"text": "a", "weight": -(10**350)}]}, BadQuery, "between -10 and 10"),
        ({"query": [{"text": "a", "weight": "1"}]}, BadQuery, "must be a number"),
        ({"query": [{"text": 3}]}, BadQuery, "must be a string"),
        ({"query": [{"image": "not base64!"}]}, BadQuery, "base64"),
        ({"query": [{"image": ""}]}, BadQuery, "empty"),
        ({"query": [{"id": "../../etc/passwd"}]}, BadQuery, "letters, digits"),
        ({"query": [{"image_hash": "abc"}]}, BadQuery, "64 hexadecimal"),
        ({"query": [{"text": "a"}] * 17}, BadQuery, "17 parts; at most 16"),
        ({"query": "\ud800"}, BadQuery, "surrogate"),
        ({"query": "a", "where": 3}, BadQuery, '"where" must be an object'),
        ({"query": "a", "where": {"year": {}}}, BadQuery, "empty"),
        ({"query": "a", "where": {"year": {"near": 1}}}, BadQuery, '"near"'),
        ({"query": "a", "where": {"year": {"in": 1}}}, BadQuery, "list of values"),
        ({"query": "a", "where": {"year": math.nan}}, BadQuery, "finite"),
        ({"query": "a", "where": {"": 1}}, UnknownField, "1 to 100"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(body: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        parse_request(body)


def test_a_filter_is_read_condition_by_condition() -> None:
    where = parse_where({"year": {"gte": 2020, "lt": 2022}, "folder": "sea", "kind": {"in": ["a", "b"]}})
    assert where == (
        Condition("year", "gte", 2020),
        Condition("year", "lt", 2022),
        Condition("folder", "eq", "sea"),
        Condition("kind", "in", ("a", "b")),
    )


def test_the_vector_is_the_normalised_weighted_sum() -> None:
    embeddings = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    np.testing.assert_allclose(to_vector(embeddings, [3.0, -4.0]), [0.6, -0.8, 0.0], rtol=1e-6)


def test_parts_that_cancel_out_are_refused() -> None:
    embeddings = np.array([[1, 0], [1, 0]], np.float32)
    with pytest.raises(BadQuery, match="cancel each other out"):
        to_vector(embeddings, [1.0, -1.0])


def test_a_query_made_in_code_is_checked_the_same_way() -> None:
    with pytest.raises(BadQuery, match="weight"):
        checked(Query(parts=(Part(text="a", weight=math.nan),)))
