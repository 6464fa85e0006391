"""Rendering is a function of the scene alone."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pocket.backgrounds import PAINTERS, paint_background
from pocket.render import crop, hue_matrix, render, restyle
from pocket.scene import COLOURS, draw_scene
from pocket.sprites import CELL_PX, COLUMNS, _atlas, sprite
from pocket.words import load_vocabulary


@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_gives_the_same_pixels(seed: int) -> None:
    one, two = (render(draw_scene(np.random.default_rng(seed)), 96) for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_a_cached_render_is_not_changed_by_the_next() -> None:
    scene = draw_scene(np.random.default_rng(3))
    before = render(scene, 64).tobytes()
    render(replace(scene, items=scene.items * 2), 64).paste((255, 0, 0), (0, 0, 64, 64))
    assert render(scene, 64).tobytes() == before


def test_the_atlas_has_a_visible_sprite_for_every_thing() -> None:
    things = load_vocabulary().things
    assert 400 <= len(things) <= 600
    assert _atlas().size == (COLUMNS * CELL_PX, -(-len(things) // COLUMNS) * CELL_PX)
    assert all((np.asarray(sprite(thing.index))[..., 3] > 128).mean() > 0.03 for thing in things)


def test_every_place_but_the_plain_one_has_a_painter() -> None:
    assert set(PAINTERS) | {"plain"} == {place.name for place in load_vocabulary().places}


@pytest.mark.parametrize("name", PAINTERS)
def test_a_background_fills_its_square_and_varies(name: str) -> None:
    one, two = (np.asarray(paint_background(name, None, variant, 48)) for variant in (0, 1))
    assert one.shape == (48, 48, 3)
    assert (one != two).any()


def test_tints_can_be_told_apart() -> None:
    car = next(thing for thing in load_vocabulary().things if thing.name == "car")
    means = []
    for colour in COLOURS:
        pixels = np.asarray(sprite(car.index, colour), dtype=np.float32)
        means.append(pixels[pixels[..., 3] > 128][:, :3].mean(0))
    distance = np.linalg.norm(np.array(means)[:, None] - np.array(means)[None], axis=-1)
    assert distance[~np.eye(len(COLOURS), dtype=bool)].min() > 25


def test_no_saturation_is_grey_and_a_crop_keeps_the_size() -> None:
    grey = np.array([200.0, 30.0, 90.0]) @ hue_matrix(0.0, 0.0).T
    assert np.allclose(grey, grey[0], atol=0.1)
    picture = render(draw_scene(np.random.default_rng(0)), 64)
    assert crop(picture, 0.75, np.random.default_rng(0)).size == (64, 64)
    assert restyle(np.asarray(picture), np.random.default_rng(0)).shape == (64, 64, 3)
    assert isinstance(picture, Image.Image)
