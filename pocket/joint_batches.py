"""Owns batches for the joint stage: scenes, their siblings and second views, one caption each, and the exact truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pocket.batches import mosaic, pixels_of, recolour_views
from pocket.captions import Caption, write_caption, write_telling_caption
from pocket.facts import facts_of, truth_matrix
from pocket.scene import Scene, draw_scene, draw_sibling, redraw
from pocket.tokens import encode

EASY_IMAGES = 230_000
SIBLINGS = 0.12  # of the batch; their captions tell the two apart
MOSAICS = 0.35  # of the scenes that have neither sibling nor second view: the most labels for an image's cost
_MOSAIC_KINDS = ("thing", "broader", "place", "thing")
MOST_DESCRIBED = 4  # different things; more would not fit the context
VIEWS = 0.09  # of the batch, at its end, each of another image of it


@dataclass(frozen=True, slots=True)
class Joint:
    pixels: np.ndarray  # uint8 (n, px, px, 3)
    scenes: tuple[Scene, ...]
    has_true_colours: np.ndarray  # bool (n,)
    captions: tuple[Caption, ...]
    tokens: np.ndarray  # int64 (n, longest)
    truth: np.ndarray  # int8 (n images, n captions)
    first_view: np.ndarray  # int (views,): where the image is that the last `views` images show again


def easy_share(seen: int) -> float:
    """Falls from .6 to .1 while the first EASY_IMAGES are seen: going straight to small things stalls."""
    return 0.1 + 0.5 * max(0.0, 1 - seen / EASY_IMAGES)


def joint_batch(index: int, *, size: int, px: int, easy: float, seed: int = 0) -> Joint:
    rng = np.random.default_rng([seed, 2, index])
    views, siblings = round(size * VIEWS), round(size * SIBLINGS)
    scenes: list[Scene] = []
    for n in range(size - views - siblings):
        if n >= siblings + views and rng.random() < MOSAICS:
            scenes.append(mosaic(rng))
            continue
        shares = (0.85, 0.15) if rng.random() < easy else (0.34, 0.4, 0.18, 0.08)
        scenes.append(draw_scene(rng, group_shares=shares))
    scenes += [draw_sibling(scenes[n], rng) for n in range(siblings)]
    first_view = np.arange(siblings, siblings + views)  # scenes without a sibling
    scenes += [redraw(scenes[n], rng) for n in first_view]
    strong = rng.random(size) < np.where(np.arange(size) >= size - views, 0.35, 0.06)
    pixels = np.stack(
        [
            pixels_of(scene, px, rng, crop_from=0.7 if n >= size - views and rng.random() < 0.5 else 1.0)
            for n, scene in enumerate(scenes)
        ]
    )
    captions, truth = describe(scenes, ~strong, rng)
    tokens = encode([caption.text for caption in captions], rng, strange_share=0.08)
    return Joint(
        recolour_views(pixels, rng, strong=strong), tuple(scenes), ~strong, captions, tokens, truth, first_view
    )


def describe(
    scenes: Sequence[Scene], has_true_colours: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[Caption, ...], np.ndarray]:
    """Returns a caption of each scene of a batch, and int8 (images, captions), what is true of what."""
    size = len(scenes)
    siblings = round(size * SIBLINGS)
    facts = [facts_of(scene) for scene in scenes]
    rivals = _rivals(siblings, size - round(size * VIEWS) - siblings)
    captions = tuple(
        write_telling_caption(scene, facts[rivals[n]], rng) if n in rivals else _caption(scene, rng)
        for n, scene in enumerate(scenes)
    )
    return captions, truth_matrix(facts, has_true_colours, [caption.facts for caption in captions])


def _rivals(siblings: int, first_sibling: int) -> dict[int, int]:
    """Returns for each scene with a sibling where that is, and the other way round."""
    pairs = [(n, first_sibling + n) for n in range(siblings)]
    return dict(pairs) | {two: one for one, two in pairs}


def _caption(scene: Scene, rng: np.random.Generator) -> Caption:
    is_mosaic = len(set(scene.names())) > MOST_DESCRIBED
    return write_caption(scene, rng, str(rng.choice(_MOSAIC_KINDS)) if is_mosaic else None)
