"""Owns training batches: which scenes, in which looks, with which truth. One index, one batch, always the same."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from pocket.holdout import is_pair_held_out, is_place_held_out
from pocket.render import crop, hue_matrix, render
from pocket.scene import COLOURS, VARIANTS, Item, Scene, draw_scene, pick_thing
from pocket.words import Thing, load_vocabulary

EASY_IMAGES = 60_000  # all easy so long, then ever fewer for as long again
_FINE_SHARE = 0.15  # rendered at twice the size and reduced, as a user's larger picture is


@dataclass(frozen=True, slots=True)
class Images:
    pixels: np.ndarray  # uint8 (n, px, px, 3)
    scenes: tuple[Scene, ...]
    has_true_colours: np.ndarray  # bool (n,), False where the look turned the colours


def mosaic(rng: np.random.Generator) -> Scene:
    """Returns a scene of up to nine different things, one near each cell's middle: nine labels for one image."""
    vocabulary = load_vocabulary()
    place = int(rng.integers(len(vocabulary.places)))
    place_name = vocabulary.places[place].name
    names: list[str] = []
    items: list[Item] = []
    for row in range(3):
        for column in range(3):
            thing = _companion(names, place_name, rng)
            if thing is None or rng.random() < 0.08:
                continue
            names.append(thing.name)
            size = float(rng.uniform(0.22, 0.4))
            x, y = (column + 0.5) / 3 + rng.uniform(-0.06, 0.06), (row + 0.5) / 3 + rng.uniform(-0.06, 0.06)
            x, y = (float(np.clip(v, size / 2 - 0.03, 1.03 - size / 2)) for v in (x, y))
            colour = str(rng.choice(COLOURS)) if thing.has_tint else None
            items.append(Item(thing.index, colour, x, y, size, bool(rng.random() < 0.5)))
    colour = str(rng.choice(COLOURS)) if place_name == "plain" else None
    if not items:
        return draw_scene(rng)
    return Scene(place, colour, int(rng.integers(VARIANTS)), tuple(items))


def _companion(names: list[str], place: str, rng: np.random.Generator, *, tries: int = 5) -> Thing | None:
    """Returns a thing that may be seen in training with those, at that place."""
    things = load_vocabulary().things
    for _ in range(tries):
        thing = things[pick_thing(rng)]
        is_new = thing.name not in names and not is_place_held_out(thing.name, place)
        if is_new and not any(is_pair_held_out(thing.name, name) for name in names):
            return thing
    return None


def pixels_of(scene: Scene, px: int, rng: np.random.Generator, *, crop_from: float = 1.0) -> np.ndarray:
    image = render(scene, px * 2 if rng.random() < _FINE_SHARE else px)
    if crop_from < 1.0:
        image = crop(image, float(rng.uniform(crop_from, 1.0)), rng)
    if image.width != px:
        image = image.resize((px, px), Image.Resampling.BICUBIC)
    return np.asarray(image)


def recolour_views(pixels: np.ndarray, rng: np.random.Generator, *, strong: np.ndarray) -> np.ndarray:
    """Returns the images in slightly other light; where `strong`, grey, sepia or of turned hue."""
    n = len(pixels)
    matrices = np.empty((n, 3, 3), dtype=np.float32)
    for i in range(n):
        if strong[i]:
            kind = int(rng.integers(3))
            matrices[i] = hue_matrix(0.0, 0.0) if kind < 2 else hue_matrix(float(rng.uniform(0.1, 0.9)))
            if kind == 1:
                matrices[i] *= np.array([1.0, 0.9, 0.72], dtype=np.float32)[:, None]
        elif rng.random() < 0.4:
            matrices[i] = hue_matrix(float(rng.uniform(-0.025, 0.025)), float(rng.uniform(0.7, 1.25)))
        else:
            matrices[i] = np.eye(3, dtype=np.float32)
    gain = rng.uniform(0.75, 1.2, (n, 1, 1)).astype(np.float32) * rng.uniform(0.95, 1.05, (n, 3, 1)).astype(np.float32)
    lift = rng.uniform(-18, 18, (n, 1, 1)).astype(np.float32)
    out: np.ndarray = np.matmul(pixels.reshape(n, -1, 3).astype(np.float32), (matrices * gain).transpose(0, 2, 1))
    out += lift
    np.clip(out, 0, 255, out=out)
    views: np.ndarray = out.astype(np.uint8).reshape(pixels.shape)
    return views


def large_one(rng: np.random.Generator) -> Scene:
    """Returns a scene of one thing that fills much of the frame."""
    scene = draw_scene(rng, group_shares=(1.0,))
    size = float(rng.uniform(0.45, 1.0))
    x, y = rng.uniform(min(size, 0.98) / 2, 1 - min(size, 0.98) / 2, 2)
    return replace(scene, items=(replace(scene.items[0], x=float(x), y=float(y), size=size),))


def image_batch(index: int, *, size: int, px: int, small_px: int, seed: int = 0) -> Images:
    """Returns a batch for the image tower alone: large things first, in small images; then mosaics and scenes.

    Going straight to small things stalled: 250 steps of mosaics left naming at chance.
    """
    rng = np.random.default_rng([seed, 1, index])
    seen = index * size
    easy = float(np.clip(1 - (seen - EASY_IMAGES) / EASY_IMAGES, 0.0, 1.0))
    scenes: list[Scene] = []
    for n in range(size):
        if rng.random() < easy:
            scenes.append(large_one(rng))
        elif n % 2 == 0:
            scenes.append(mosaic(rng))
        else:
            scenes.append(draw_scene(rng, group_shares=(0.5, 0.3, 0.12, 0.08)))
    strong = rng.random(size) < 0.1 * (1 - easy)
    side = small_px if easy == 1.0 else px
    pixels = np.stack([pixels_of(scene, side, rng) for scene in scenes])
    return Images(recolour_views(pixels, rng, strong=strong), tuple(scenes), ~strong)


def probe_batch(index: int, *, size: int, px: int) -> Images:
    """Returns clean scenes with one thing each, for the gate on naming."""
    rng = np.random.default_rng([9, index])
    scenes: list[Scene] = []
    while len(scenes) < size:
        scene = draw_scene(rng, group_shares=(1.0,))
        scenes.append(replace(scene, items=scene.items[:1]))
    pixels = np.stack([np.asarray(render(scene, px)) for scene in scenes])
    return Images(pixels, tuple(scenes), np.ones(size, dtype=bool))
