"""A collection that another model embedded is known by its thumbnails, in bounded time."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from search.agreement import WITHIN_S, Agreement, agreement
from search.images.decoder import Decoder
from search.types import Collection, Embeddings
from store.library import LocalLibrary
from tests.fakes import FakeEncoder
from tests.stored import item

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


class Turned(FakeEncoder):
    """Another model of the same dimension: red is where green was."""

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        return super().encode_images(np.roll(pixels, 1, axis=3))


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    library = LocalLibrary(tmp_path)
    yield library.create("colours", model="fake", fingerprint="fake-1", dim=3)
    library.close()


def fill(collection: Collection, *, count: int, with_thumbnails: bool = True) -> None:
    encoder, items = FakeEncoder(), []
    for number in range(count):
        picture, data = Image.new("RGB", (8, 8), COLOURS[number % 4]), io.BytesIO()
        picture.save(data, "WEBP", lossless=True)
        embedding = encoder.encode_images(np.array(picture)[np.newaxis])[0]
        items.append(item(number, embedding, thumbnail=data.getvalue() if with_thumbnails else None))
    collection.put(items)


def test_its_own_model_makes_what_is_stored(collection: Collection, decoder: Decoder) -> None:
    fill(collection, count=100)
    found = agreement(collection, FakeEncoder(), decoder)
    assert found == Agreement(32, pytest.approx(1, abs=1e-3), pytest.approx(1, abs=1e-3))
    assert found.is_given


def test_another_model_does_not(collection: Collection, decoder: Decoder) -> None:
    fill(collection, count=100)
    found = agreement(collection, Turned(), decoder)
    # red, green and blue are at right angles to what is stored; yellow is not, and one in four
    assert found == Agreement(32, pytest.approx(0, abs=1e-2), pytest.approx(0, abs=1e-2))
    assert not found.is_given


def test_a_small_collection_is_embedded_whole_and_no_image_twice(collection: Collection, decoder: Decoder) -> None:
    fill(collection, count=11)
    encoder = FakeEncoder()
    found = agreement(collection, encoder, decoder)
    assert found is not None
    assert (found.thumbnails, encoder.images_encoded) == (11, 11)


def test_when_the_time_is_over_no_further_batch_is_begun(collection: Collection, decoder: Decoder) -> None:
    fill(collection, count=100)
    times = iter([0.0, WITHIN_S - 1, WITHIN_S])
    found = agreement(collection, FakeEncoder(), decoder, clock=lambda: next(times))
    assert found is not None
    assert found.thumbnails == 16


def test_without_thumbnails_nothing_is_said(collection: Collection, decoder: Decoder) -> None:
    fill(collection, count=3, with_thumbnails=False)
    assert agreement(collection, FakeEncoder(), decoder) is None
