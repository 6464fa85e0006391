import pytest

from search.made_from import Listing, MadeFrom, as_made_from, difference, list_of

PHOTOS = MadeFrom(("photos/",), 50, list_of({"photos/a.jpg": 3}))


def test_a_listing_has_no_order() -> None:
    assert list_of({"a": 1, "b": 2}) == list_of({"b": 2, "a": 1}) == Listing(2, list_of({"a": 1, "b": 2}).sha256)


@pytest.mark.parametrize("other", [{}, {"a": 1}, {"a": 1, "b": 3}, {"a": 1, "c": 2}])
def test_another_name_or_size_is_another_listing(other: dict[str, int]) -> None:
    assert list_of({"a": 1, "b": 2}) != list_of(other)


def test_it_comes_back_from_json() -> None:
    for made_from in (PHOTOS, MadeFrom(("a/", "b/"), 1)):
        assert as_made_from(made_from.to_json()) == made_from


@pytest.mark.parametrize(
    "told",
    [
        None,
        3,
        [],
        "text",
        {},
        PHOTOS.to_json() | {"sources": "photos/"},
        PHOTOS.to_json() | {"sources": [3]},
        PHOTOS.to_json() | {"max_image_mb": "50"},
        PHOTOS.to_json() | {"max_image_mb": True},
        PHOTOS.to_json() | {"images": []},
        PHOTOS.to_json() | {"images": {"count": None, "sha256": ""}},
    ],
)
def test_what_says_nothing_of_the_kind_is_none(told: object) -> None:
    assert as_made_from(told) is None


def test_many_sources_are_counted_in_a_sentence() -> None:
    many = MadeFrom(tuple(f"{letter}/" for letter in "abcdefgh"), 50)
    assert difference(many, PHOTOS) == "it was made of a/, b/, c/ and 5 more and not of photos/"


def test_what_is_not_listed_yet_is_not_compared() -> None:
    assert difference(MadeFrom(("photos/",), 50), PHOTOS) == ""
