import pytest

from search.errors import BadQuery, EmptyQuery, UnknownField
from search.types import Condition, Part, Record
from ui.query_box import example_queries, literal, read_query, shown_parts

X1_THUMB = "thumb/x1?collection=mine&v=000000000000"


def record(caption: str, id: str = "a") -> Record:
    return Record(id=id, uri=f"s/{id}.png", content_hash="0" * 64, size_bytes=1, width=1, height=1, caption=caption)


def test_typed_text_comes_first_and_chips_follow_in_their_order() -> None:
    query = read_query(
        {
            "text": "a red boat -people",
            "parts": [{"id": "x1", "minus": False}, {"text": "sea", "minus": True}, {"image_hash": "0" * 64}],
            "top_k": 7,
            "offset": 3,
            "where": {"year": {"gte": 2020}},
        }
    )
    assert query.parts == (
        Part(text="a red boat", weight=1.0),
        Part(text="people", weight=-0.25),
        Part(id="x1", weight=1.0),
        Part(text="sea", weight=-0.25),
        Part(image_hash="0" * 64, weight=1.0),
    )
    assert (query.top_k, query.offset, query.where) == (7, 3, (Condition("year", "gte", 2020),))


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"text": " ", "parts": []}, EmptyQuery),
        ({"text": 3, "parts": []}, BadQuery),
        ({"text": "red", "parts": {}}, BadQuery),
        ({"text": "", "parts": ["red"]}, BadQuery),
        ({"text": "", "parts": [{"minus": True}]}, BadQuery),
        ({"text": "", "parts": [{"id": "../etc"}]}, BadQuery),
        ({"text": "", "parts": [{"image_hash": "zz"}]}, BadQuery),
        ({"text": "red", "parts": [], "top_k": 10**9}, BadQuery),
        ({"text": "red", "parts": [], "top_k": "NaN"}, BadQuery),
        ({"text": "red", "parts": [], "where": {"": 1}}, UnknownField),
    ],
)
def test_what_the_browser_sends_is_checked(asked: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        read_query(asked)


def test_the_first_wish_stays_in_the_box_and_the_rest_are_chips() -> None:
    parts = (Part(text="boat"), Part(text="people", weight=-0.25), Part(id="x1"), Part(id="gone", weight=-0.25))
    assert shown_parts("mine", parts, {"x1": record("a pier", "x1")}) == (
        "boat",
        [
            {"text": "people", "minus": True},
            {"id": "x1", "minus": False, "label": "a pier", "thumb": X1_THUMB},
            {"id": "gone", "minus": True, "label": ""},
        ],
    )


def test_an_example_without_a_caption_is_called_as_its_file() -> None:
    _, chips = shown_parts("mine", (Part(id="x1"),), {"x1": record("", "x1")})
    assert chips == [{"id": "x1", "minus": False, "label": "x1.png", "thumb": X1_THUMB}]


def test_a_part_is_written_as_the_http_api_takes_it() -> None:
    assert literal(Part(id="x1", weight=-0.25)) == {"id": "x1", "weight": -0.25}


def test_examples_are_short_captions_about_different_things_shortest_first() -> None:
    captions = ["a red boat on a lake.", "a red boat at night", "two cats", "x" * 60, "", "a green house"]
    assert example_queries(map(record, captions), knows_photographs=False) == [
        "two cats",
        "a green house",
        "a red boat on a lake",
    ]


def test_without_captions_only_a_model_of_photographs_gets_general_examples() -> None:
    assert example_queries([record("")], knows_photographs=False) == []
    assert "mountains" in example_queries([record("")], knows_photographs=True)
