"""Owns the sprite pixels: the atlas, tinted and resized copies of its cells. Knows nothing of scenes."""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

ATLAS_FILE = Path(__file__).with_name("sprites.webp")
CELL_PX = 128
COLUMNS = 25

# Named colours, as (shadow, body, light) of a gradient map that keeps a sprite's shading.
TINTS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]] = {
    "red": ((70, 0, 8), (222, 32, 38), (255, 205, 200)),
    "orange": ((90, 36, 0), (250, 135, 20), (255, 232, 195)),
    "yellow": ((105, 78, 0), (250, 214, 30), (255, 250, 205)),
    "green": ((0, 52, 18), (44, 165, 62), (208, 248, 208)),
    "blue": ((0, 20, 84), (34, 98, 224), (200, 225, 255)),
    "purple": ((42, 0, 78), (140, 58, 200), (236, 210, 255)),
    "pink": ((112, 18, 66), (250, 125, 185), (255, 228, 240)),
    "white": ((105, 108, 115), (228, 230, 235), (255, 255, 255)),
    "black": ((4, 4, 6), (44, 44, 48), (150, 150, 156)),
    "brown": ((42, 20, 6), (130, 80, 42), (228, 198, 168)),
}


@cache
def _atlas() -> Image.Image:
    return Image.open(ATLAS_FILE).convert("RGBA")


@lru_cache(maxsize=4096)
def sprite(index: int, tint: str | None = None) -> Image.Image:
    """Returns the RGBA cell of a thing, CELL_PX square, in its own colours or in a named one."""
    row, column = divmod(index, COLUMNS)
    cell = _atlas().crop((column * CELL_PX, row * CELL_PX, (column + 1) * CELL_PX, (row + 1) * CELL_PX))
    return cell if tint is None else _tinted(cell, tint)


def _tinted(cell: Image.Image, tint: str) -> Image.Image:
    pixels = np.asarray(cell, dtype=np.float32)
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    light = rgb @ np.array([0.3, 0.5, 0.2], dtype=np.float32)
    # Centred on the sprite's own middle grey, else a dark sprite would be black in every tint.
    middle = float(np.median(light[alpha > 128]))
    level = np.where(
        light < middle, 0.5 * light / max(middle, 1.0), 0.5 + 0.5 * (light - middle) / max(255 - middle, 1)
    )
    dark, body, bright = (np.array(c, dtype=np.float32) for c in TINTS[tint])
    low = dark + (body - dark) * np.clip(level * 2, 0, 1)[..., None]
    mapped = low + (bright - body) * np.clip(level * 2 - 1, 0, 1)[..., None]
    out = pixels.copy()
    out[..., :3] = 0.9 * mapped + 0.1 * rgb
    return Image.fromarray(out.round().clip(0, 255).astype(np.uint8), "RGBA")


@lru_cache(maxsize=8192)
def _source(index: int, tint: str | None, reduction: int) -> Image.Image:
    """Premultiplied, as resizing needs it, and reduced for small copies: most of a training scene's cost is here."""
    cell = sprite(index, tint).convert("RGBa")
    return cell.reduce(reduction) if reduction > 1 else cell


@lru_cache(maxsize=30_000)
def _resized(index: int, tint: str | None, px: int) -> Image.Image:
    source = _source(index, tint, 2 if px <= 40 else 1)
    smooth = Image.Resampling.BILINEAR if px < 80 else Image.Resampling.BICUBIC
    return source.resize((px, px), smooth).convert("RGBA")


def sized_sprite(index: int, tint: str | None, px: int, is_mirrored: bool) -> Image.Image:
    resized = _resized(index, tint, px)
    return resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if is_mirrored else resized


@lru_cache(maxsize=512)
def shadow(px: int) -> Image.Image:
    """Returns a soft dark ellipse, px wide, for the ground below a sprite."""
    height = max(4, px // 4)
    y, x = np.mgrid[0:height, 0:px].astype(np.float32)
    distance = ((x + 0.5) / px * 2 - 1) ** 2 + ((y + 0.5) / height * 2 - 1) ** 2
    alpha = (np.clip(1 - distance, 0, 1) * 90).astype(np.uint8)
    return Image.merge("RGBA", [Image.new("L", (px, height))] * 3 + [Image.fromarray(alpha, "L")])
