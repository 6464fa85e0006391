"""Words reach the text tower by the teacher's way only where they may, and ship without loss."""

import numpy as np
import pytest
import torch

from pocket.ship import in_steps
from pocket.teacher import Teacher, concepts, lesson_words, near_to, taught_table
from pocket.tokens import UNKNOWN, encode, encode_words, full_ids, spellings, tokens_of, trained_ids
from pocket.train import Lesson
from pocket.train_text import Seen, blends, found
from pocket.words import load_vocabulary

HELD_OUT = sorted(word for words in load_vocabulary().held_out.values() for word in words)

NOTHING = np.empty((0, 0), np.float32)


def test_no_lesson_is_a_held_out_word_or_made_of_one() -> None:
    assert lesson_words(["pooch", "pooches", "falconry", "falcon", "hound", "hut", "it"]) == ["hound", "hut"]
    assert lesson_words(HELD_OUT) == []


def test_any_word_is_spelled_in_tokens_that_the_table_knows_or_as_unknown() -> None:
    ids = full_ids()
    (row,) = encode_words(["hound"])
    assert [int(ids[n]) for n in row] == [49_406, *tokens_of("hound"), 49_407]
    assert UNKNOWN in encode_words(["🐈"])[0]


def test_captions_and_words_are_spelled_alike() -> None:
    assert encode(["dog"]).tolist() == encode_words(["dog"]).tolist()


def test_a_held_out_word_has_the_teachers_vector_and_nothing_of_its_own() -> None:
    ids = full_ids()
    teacher = Teacher(np.random.default_rng(0).normal(size=(len(ids), 384)).astype(np.float32), (), 0, NOTHING, NOTHING)
    table = taught_table(teacher)
    single = [tokens[0] for word in HELD_OUT if len(tokens := tokens_of(word)) == 1 and tokens[0] in spellings()]
    rows = torch.from_numpy(np.searchsorted(ids, [token for token in single if token not in trained_ids()]))
    assert len(rows) > 100
    torch.testing.assert_close(table(rows), table.taught[rows] @ table.view)


@pytest.mark.parametrize("scale", [1e-4, 0.02, 0.4, 3.0])
def test_shipped_rows_are_whole_steps_and_hardly_changed(scale: float) -> None:
    rows = torch.randn(50, 128, generator=torch.Generator().manual_seed(0)) * scale
    kept = in_steps(rows)
    step = torch.exp2(torch.ceil(torch.log2(kept.abs().amax(-1, keepdim=True).clamp(min=2.0**-8) / 127)))
    assert torch.equal(kept / step, torch.round(kept / step))
    assert float((kept / step).abs().max()) <= 127
    assert float((kept - rows).abs().max()) <= max(2.0**-15, float(rows.abs().max()) / 127)
    assert torch.equal(kept.half().float(), kept)


@pytest.fixture(scope="module")
def surfaces() -> np.ndarray:
    """Vectors of all captions' words, each its own direction but for a little of every other."""
    words = sum(len(concept.surfaces) for concept in concepts())
    return np.linalg.qr(np.random.default_rng(0).normal(size=(words, words)))[0].astype(np.float32)


def test_a_vector_is_near_to_what_the_nearest_words_name_in_even_shares(surfaces: np.ndarray) -> None:
    starts = np.cumsum([0, *(len(concept.surfaces) for concept in concepts())])
    asked = next(n for n, concept in enumerate(concepts()) if "animal" in concept.surfaces)
    (peak,), (near,) = near_to(surfaces[[starts[asked]]], surfaces)
    animals = load_vocabulary().members["animal"]
    assert peak == pytest.approx(1)
    assert near.sum() == pytest.approx(1)
    np.testing.assert_allclose(near[sorted(animals)], 1 / len(animals), atol=1e-4)


def test_between_words_only_points_that_say_something_are_taught(surfaces: np.ndarray) -> None:
    teacher = Teacher(NOTHING, (), 0, NOTHING, surfaces)
    vectors, near = blends(teacher, surfaces[:40], np.random.default_rng(0))
    assert 100 < len(vectors) == len(near)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(near.sum(axis=1), 1, atol=1e-4)
    strangers = np.linalg.qr(np.random.default_rng(1).normal(size=surfaces.shape))[0].astype(np.float32)
    assert len(blends(teacher, strangers[:40], np.random.default_rng(0))[0]) == 0


def test_a_word_that_finds_its_images_and_no_others_costs_least() -> None:
    things = len(load_vocabulary().things) + len(load_vocabulary().places)
    shows = torch.zeros(4, things)
    shows[0, 3] = shows[1, 3] = shows[2, 5] = 1
    seen = Seen(torch.eye(4), (), np.empty(0), shows)
    near = np.zeros((1, things), np.float32)
    near[0, 3] = 1
    lesson = Lesson(np.empty(0), near, own=1)
    right, half, wrong = (
        found(torch.tensor([row]), lesson, [seen]) for row in ([1.0, 1, 0, 0], [1.0, 0, 0, 0], [0.0, 0, 1, 0])
    )
    assert right["found"] < half["found"] < wrong["found"]
    assert right["found"] == pytest.approx(np.log(2), abs=1e-4)
    assert right["present"] < half["present"] < wrong["present"]
