"""Owns the way from a scene to pixels, and the restyled views of them. Needs Pillow and numpy only."""

from functools import lru_cache

import numpy as np
from PIL import Image

from pocket.backgrounds import GROUNDED, paint_background
from pocket.scene import Scene
from pocket.sprites import shadow, sized_sprite
from pocket.words import load_vocabulary


@lru_cache(maxsize=3000)
def _background(name: str, colour: str | None, variant: int, px: int) -> Image.Image:
    return paint_background(name, colour, variant, px)


def render(scene: Scene, px: int) -> Image.Image:
    """Returns the scene as an RGB square; equal scenes give equal pixels."""
    place = load_vocabulary().places[scene.place].name
    canvas = _background(place, scene.place_colour, scene.variant, px).copy()
    for item in sorted(scene.items, key=lambda item: item.y):
        side = max(8, round(item.size * px / 4) * 4)  # few sizes, so that the sprite cache answers
        left, top = round(item.x * px - side / 2), round(item.y * px - side / 2)
        if place in GROUNDED:
            shade = shadow(side)
            canvas.paste(shade, (left, top + side - shade.height // 2 - side // 20), shade)
        sprite = sized_sprite(item.thing, item.colour, side, item.is_mirrored)
        canvas.paste(sprite, (left, top), sprite)
    return canvas


def crop(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Returns a window of `share` of the side, enlarged to the full size."""
    side = image.width * share
    left, top = rng.uniform(0, image.width - side), rng.uniform(0, image.height - side)
    box = (left, top, left + side, top + side)
    return image.resize(image.size, Image.Resampling.BILINEAR, box=box)


def hue_matrix(turn: float, saturation: float = 1.0) -> np.ndarray:
    """Returns the 3 x 3 matrix that turns hue by `turn` of the circle and scales saturation; 0 makes grey.

    Source: rotation about the grey axis with luma weights, W3C Filter Effects, feColorMatrix "hueRotate".
    """
    c, s = saturation * np.cos(2 * np.pi * turn), saturation * np.sin(2 * np.pi * turn)
    luma = np.array([[0.213, 0.715, 0.072]] * 3)
    cosine = np.array([[0.787, -0.715, -0.072], [-0.213, 0.285, -0.072], [-0.213, -0.715, 0.928]])
    sine = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])
    matrix: np.ndarray = (luma + c * cosine + s * sine).astype(np.float32)
    return matrix


def restyle(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns uint8 (h, w, 3) in another look: grey, sepia, turned hue, or posterised."""
    kind = int(rng.integers(4))
    if kind == 3:
        steps: np.ndarray = pixels // 64 * 64 + 32
        return steps
    matrix = hue_matrix(0.0, 0.0) if kind < 2 else hue_matrix(float(rng.uniform(0.15, 0.85)))
    tone = np.array([1.0, 0.9, 0.72], dtype=np.float32) if kind == 1 else np.float32(1)
    out: np.ndarray = (pixels.astype(np.float32) @ matrix.T * tone).round().clip(0, 255).astype(np.uint8)
    return out
