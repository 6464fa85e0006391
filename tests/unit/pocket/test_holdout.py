"""No combination and no word that is held out reaches training, on any path."""

import numpy as np
import pytest

from pocket.batches import image_batch, large_one, mosaic, probe_batch
from pocket.captions import KINDS, training_words, write_caption
from pocket.gallery_scenes import gallery, scene_of
from pocket.holdout import is_absent_from_gallery
from pocket.scene import Scene, draw_scene, draw_sibling, redraw
from pocket.words import load_vocabulary, plural

SEEDS = range(300)


def _of_training(seed: int) -> list[Scene]:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng)
    easy = draw_scene(rng, group_shares=(0.85, 0.15))
    return [scene, easy, mosaic(rng), large_one(rng), draw_sibling(scene, rng), redraw(scene, rng)]


def test_no_generator_for_training_makes_a_held_out_combination() -> None:
    assert not any(scene.is_held_out() for seed in SEEDS for scene in _of_training(seed))


@pytest.mark.parametrize("index", [0, 5000])
def test_no_image_batch_holds_a_held_out_combination(index: int) -> None:
    batch = image_batch(index, size=48, px=32, small_px=24)
    assert not any(scene.is_held_out() for scene in batch.scenes)
    assert not any(scene.is_held_out() for scene in probe_batch(index, size=16, px=32).scenes)


def test_a_chain_of_siblings_stays_allowed() -> None:
    rng = np.random.default_rng(1)
    scene = draw_scene(rng)
    for _ in range(200):
        scene = draw_sibling(scene, rng)
        assert not scene.is_held_out()


def test_every_gallery_scene_is_a_combination_that_training_lacks() -> None:
    assert all(entry.scene.is_held_out() for entry in gallery())
    assert all(scene_of(seed).is_held_out() for seed in SEEDS)


def test_things_absent_from_the_gallery_are_in_none_of_its_scenes() -> None:
    shown = {name for entry in gallery() for name in entry.scene.names()}
    assert not any(is_absent_from_gallery(name) for name in shown)


def _held_out_forms() -> set[str]:
    vocabulary = load_vocabulary()
    words = {word for never in vocabulary.held_out.values() for word in never}
    words |= {word for place in vocabulary.places for word in place.held_out}
    return words | {form for word in words if (form := plural(word))}


def test_no_held_out_word_hides_in_a_word_of_training() -> None:
    """Singular, plural, in names, synonyms, broader words, backgrounds and the sentences around them."""
    vocabulary = load_vocabulary()
    trained = {word for words in vocabulary.surfaces.values() for word in words}
    trained |= {word for place in vocabulary.places for word in (place.name, *place.synonyms)}
    trained |= {form for word in trained if (form := plural(word))} | training_words()
    assert {
        f"{held} in {word}" for held in _held_out_forms() for word in trained if f" {held} " in f" {word} "
    } == set()


def test_no_caption_holds_a_held_out_word() -> None:
    forms = _held_out_forms()
    single = {form for form in forms if " " not in form}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        for scene in _of_training(seed):
            if len({item.thing for item in scene.items}) > 4:
                continue  # mosaics are never described
            text = write_caption(scene, rng).text.replace(",", " ,")
            assert not single & set(text.split()), text


def test_a_caption_uses_only_words_of_the_list() -> None:
    words = training_words()
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        scene = draw_scene(rng)
        for kind in KINDS:
            assert set(write_caption(scene, rng, kind).text.replace(",", " ,").split()) <= words
