"""A caption claims what is true of its scene."""

from dataclasses import replace

import numpy as np
import pytest

from pocket.captions import KINDS, write_caption
from pocket.facts import facts_of, truth_matrix
from pocket.scene import Item, Scene, draw_scene
from pocket.words import load_vocabulary


def _thing(name: str) -> int:
    return next(thing.index for thing in load_vocabulary().things if thing.name == name)


@pytest.fixture
def scene() -> Scene:
    place = next(n for n, p in enumerate(load_vocabulary().places) if p.name == "beach")
    car = Item(_thing("car"), "red", 0.25, 0.5, 0.3, False)
    dog = Item(_thing("dog"), None, 0.75, 0.5, 0.3, False)
    return Scene(place, None, 0, (car, dog, replace(dog, y=0.8)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_caption_is_true_of_its_scene(kind: str) -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        drawn = draw_scene(rng)
        assert set(write_caption(drawn, rng, kind).facts) <= facts_of(drawn)


def test_the_facts_of_a_scene(scene: Scene) -> None:
    facts = facts_of(scene)
    assert {("has", "dog"), ("count", "dog", 2), ("has", "animal"), ("tint", "car", "red")} <= facts
    assert {("left", "car", "dog"), ("tint", "vehicle", "red"), ("place", "beach")} <= facts
    assert not {("left", "dog", "car"), ("count", "dog", 1), ("has", "cat"), ("above", "car", "dog")} & facts


def test_a_broader_word_is_no_false_negative(scene: Scene) -> None:
    cat = replace(scene, items=(replace(scene.items[1], thing=_thing("cat")),))
    truth = truth_matrix(
        [facts_of(scene), facts_of(cat)], np.array([True, True]), [(("has", "animal"),), (("has", "cat"),)]
    )
    assert truth.tolist() == [[1, 0], [1, 1]]


def test_a_turned_colour_makes_a_colour_unknown_and_leaves_the_rest(scene: Scene) -> None:
    captions = [(("tint", "car", "red"),), (("tint", "car", "red"), ("has", "cat")), (("has", "dog"),)]
    assert truth_matrix([facts_of(scene)], np.array([False]), captions).tolist() == [[-1, 0, 1]]


def test_every_object_has_its_own_surface_words() -> None:
    surfaces = [word for words in load_vocabulary().surfaces.values() for word in words]
    assert len(surfaces) == len(set(surfaces))
