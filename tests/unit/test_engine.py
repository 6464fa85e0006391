"""From a query to hits, over the real store and the real decoder, with an encoder whose scores are exact."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from search.engine import SearchEngine
from search.errors import BadQuery, EncoderMismatch, ItemNotFound, UnknownField, UnsupportedFormat
from search.images.decoder import Decoder
from search.kept_images import KeptImages
from search.query import parse_text
from search.ranking import LEAST_BACKGROUND
from search.types import Condition, Item, Part, Query, Record, Scalar
from store.library import LocalLibrary
from tests.fakes import FakeEncoder

COLOURS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "y": (255, 255, 0)}


def picture(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(out, "PNG")
    return out.getvalue()


def item(id: str, encoder: FakeEncoder) -> Item:
    colour = np.full((1, 8, 8, 3), COLOURS[id], np.uint8)
    record = Record(
        id=id,
        uri=f"colours/{id}.png",
        content_hash=id * 64,
        size_bytes=1,
        width=16,
        height=16,
        metadata={"kind": "cold"} if id == "b" else {},
    )
    return Item(record, encoder.encode_images(colour)[0], picture(COLOURS[id]))


@pytest.fixture
def engine(tmp_path: Path, decoder: Decoder) -> Iterator[SearchEngine]:
    encoder = FakeEncoder()
    library = LocalLibrary(tmp_path)
    collection = library.create("colours", model="fake", fingerprint=encoder.fingerprint, dim=encoder.dim)
    collection.put([item(id, encoder) for id in COLOURS])
    encoder.texts_encoded = encoder.images_encoded = 0
    yield SearchEngine(collection, encoder, decoder=decoder, kept=KeptImages())
    library.close()


def ids(engine: SearchEngine, *parts: Part, **options: int) -> list[str]:
    return [hit.id for hit in engine.search(Query(parts=parts, **options)).hits]


def test_words_find_what_they_name_best_first(engine: SearchEngine) -> None:
    answer = engine.search(Query(parts=parse_text("red")))
    assert [(hit.id, hit.rank, round(hit.score, 3)) for hit in answer.hits] == [
        ("r", 1, 1.0),
        ("y", 2, 0.707),
        ("b", 3, 0.0),
        ("g", 4, 0.0),
    ]
    assert (answer.collection, answer.model, answer.fingerprint, answer.via, answer.size) == (
        "colours",
        "fake",
        "fake-1",
        "exact",
        4,
    )


def test_subtracted_words_push_their_pictures_down(engine: SearchEngine) -> None:
    assert ids(engine, *parse_text("yellow")) == ["y", "g", "r", "b"]
    assert ids(engine, *parse_text("yellow -red -red")) == ["g", "y", "r", "b"]


def test_a_picture_finds_its_like(engine: SearchEngine) -> None:
    assert ids(engine, Part(image=picture((10, 10, 250))), top_k=1) == ["b"]


def test_words_and_a_picture_are_added(engine: SearchEngine) -> None:
    assert ids(engine, Part(text="red"), Part(image=picture((0, 255, 0))), top_k=1) == ["y"]


def test_an_example_is_not_its_own_answer(engine: SearchEngine) -> None:
    assert ids(engine, Part(id="r")) == ["y", "b", "g"]


def test_an_offset_continues_where_the_page_before_ended(engine: SearchEngine) -> None:
    answer = engine.search(Query(parts=parse_text("red"), top_k=2, offset=1))
    assert [(hit.id, hit.rank) for hit in answer.hits] == [("y", 2), ("b", 3)]


def test_a_text_is_encoded_once(engine: SearchEngine) -> None:
    for _ in range(3):
        ids(engine, *parse_text("red -blue"))
    assert engine.encoder.texts_encoded == 2  # type: ignore[attr-defined]


def test_a_picture_is_encoded_once_whether_kept_or_sent(engine: SearchEngine) -> None:
    data = picture((255, 255, 0))
    kept = engine.keep_image(data, name="y.png")
    assert ids(engine, Part(image_hash=kept.hash), top_k=1) == ["y"]
    assert ids(engine, Part(image=data), top_k=1) == ["y"]
    assert engine.encoder.images_encoded == 1  # type: ignore[attr-defined]


def test_a_picture_no_longer_held_is_asked_for_again(engine: SearchEngine) -> None:
    with pytest.raises(BadQuery, match="add it again"):
        ids(engine, Part(image_hash="0" * 64))


def test_an_unknown_item_is_named(engine: SearchEngine) -> None:
    with pytest.raises(ItemNotFound, match='"nowhere"'):
        ids(engine, Part(id="nowhere"))


def test_a_query_picture_that_is_none_is_refused(engine: SearchEngine) -> None:
    with pytest.raises(UnsupportedFormat, match=r"^The query's picture is not an image"):
        ids(engine, Part(image=b"not a picture"))


@pytest.mark.parametrize("op", ["eq", "ne"])
def test_a_filter_on_a_field_that_no_image_has_is_refused_and_names_those_there_are(
    engine: SearchEngine, op: Literal["eq", "ne"]
) -> None:
    with pytest.raises(UnknownField) as refused:
        engine.search(Query(parts=parse_text("red"), where=(Condition("nope", op, 1),)))
    assert str(refused.value) == (
        'The filter names the field "nope", which no image in "colours" has; known are kind, uri, caption, taken_at, '
        "added_at, size_bytes, width, height."
    )


def test_a_refused_filter_names_at_most_twenty_fields(engine: SearchEngine) -> None:
    known = item("r", FakeEncoder())
    metadata: dict[str, Scalar] = {f"field {n:02}": n for n in range(30)}
    engine.collection.put([Item(replace(known.record, metadata=metadata), known.embedding, None)])
    with pytest.raises(UnknownField, match=r"known are (field \d\d, ){20}…\.$"):
        engine.search(Query(parts=parse_text("red"), where=(Condition("nope", "eq", 1),)))


@pytest.mark.parametrize(("field", "value", "found"), [("kind", "cold", ["b"]), ("width", 16, ["r", "y", "b", "g"])])
def test_a_filter_on_a_field_of_some_or_of_every_image_is_obeyed(
    engine: SearchEngine, field: str, value: Scalar, found: list[str]
) -> None:
    answer = engine.search(Query(parts=parse_text("red"), where=(Condition(field, "eq", value),)))
    assert [hit.id for hit in answer.hits] == found


def test_an_empty_collection_takes_any_filter_and_finds_nothing(engine: SearchEngine) -> None:
    engine.collection.remove(list(COLOURS))
    answer = engine.search(Query(parts=parse_text("red"), where=(Condition("nope", "eq", 1),)))
    assert (answer.hits, answer.size) == ([], 0)


def test_each_parts_share_is_explained(engine: SearchEngine) -> None:
    parts = engine.explain(Query(parts=(Part(text="red"), Part(text="blue", weight=-0.5), Part(id="g"))), "r")
    assert [(p.label, p.kind, p.weight, round(p.cosine, 3)) for p in parts] == [
        ("red", "text", 1.0, 1.0),
        ("blue", "text", -0.5, 0.0),
        ("this image", "id", 1.0, 0.0),
    ]


def test_another_encoder_of_equal_dimension_is_refused(engine: SearchEngine, decoder: Decoder) -> None:
    other = FakeEncoder(name="other", fingerprint="other-1")
    with pytest.raises(EncoderMismatch, match='"colours" was made with the model "fake"'):
        SearchEngine(engine.collection, other, decoder=decoder, kept=KeptImages())


def test_words_that_find_less_than_ordinary_ones_are_weak(engine: SearchEngine) -> None:
    reds = [item("r", FakeEncoder())] * LEAST_BACKGROUND  # "dog" and all other ordinary words are grey to this encoder
    engine.collection.remove(list(COLOURS))
    engine.collection.put(
        [replace(one, record=replace(one.record, id=f"r{n}", uri=f"colours/{n}.png")) for n, one in enumerate(reds)]
    )
    assert engine.search(Query(parts=parse_text("blue"))).weak
    assert not engine.search(Query(parts=parse_text("dog"))).weak
    assert not engine.search(Query(parts=parse_text("red"))).weak


def test_pictures_and_subtractions_are_never_called_weak(engine: SearchEngine) -> None:
    reds = [item("r", FakeEncoder())] * LEAST_BACKGROUND
    engine.collection.remove(list(COLOURS))
    engine.collection.put(
        [replace(one, record=replace(one.record, id=f"r{n}", uri=f"colours/{n}.png")) for n, one in enumerate(reds)]
    )
    assert not engine.search(Query(parts=(Part(image=picture((0, 0, 255))),))).weak
    assert not engine.search(Query(parts=parse_text("blue -red"))).weak
