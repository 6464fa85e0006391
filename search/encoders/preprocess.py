"""An encoder's view of an image: open_clip's inference transform in Pillow and numpy; decodes nothing.

Runs inside the decoder processes as well, so it imports neither torch nor anything that is slow to import.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.encoders.json_file import read_json
from search.errors import ModelDamaged
from search.types import Pixels, Preprocess

# open_clip's OPENAI_DATASET_MEAN and OPENAI_DATASET_STD, its defaults
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
_LARGEST_PX = 4096


def read_preprocess(path: Path) -> Preprocess:
    """Reads a `preprocess_cfg.json`. Raises: ModelDamaged."""
    try:
        return preprocess_of(read_json(path))
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ModelDamaged(
            f"The model's {path.name} is missing or not what open_clip writes; export it again."
        ) from error


def preprocess_of(cfg: Mapping[str, Any]) -> Preprocess:
    """The same from the values of open_clip's `preprocess_cfg`; what is absent or null has open_clip's default."""
    size = 224 if cfg.get("size") is None else cfg["size"]
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    spec = Preprocess(
        size=(int(height), int(width)),
        mean=_three(cfg.get("mean") or _MEAN),
        std=_three(cfg.get("std") or _STD),
        interpolation=cfg.get("interpolation") or "bicubic",
        resize_mode=cfg.get("resize_mode") or "shortest",
        fill_color=int(cfg.get("fill_color") or 0),
    )
    if (
        not 1 <= min(spec.size) <= max(spec.size) <= _LARGEST_PX
        or 0.0 in spec.std
        or spec.interpolation not in ("bicubic", "bilinear", "random")
        or spec.resize_mode not in ("shortest", "longest", "squash")
    ):
        raise ValueError(f"not a preprocess_cfg: {spec}")
    return spec


def to_pixels(image: Image.Image, spec: Preprocess) -> Pixels:
    """Resizes and crops or pads an RGB image to `spec.size`, to the last bit as open_clip does for ordinary shapes."""
    height, width = spec.size
    # torchvision's transform ignores "random" at inference, and a non-square "shortest" ignores the setting
    bilinear = spec.interpolation == "bilinear" and not (spec.resize_mode == "shortest" and height != width)
    resample = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
    if spec.resize_mode == "squash":
        fitted = image.resize((width, height), resample)
    elif spec.resize_mode == "longest":
        fitted = _pad(image.resize(_longest(image, spec), resample), spec)
    else:
        fitted = _shortest_cropped(image, spec, resample)
    return np.array(fitted, dtype=np.uint8)  # (h, w, 3)


def normalise(pixels: NDArray[np.uint8], spec: Preprocess) -> NDArray[np.float32]:
    """Turns uint8 (n, h, w, 3) into what the image tower takes: float32 (n, 3, h, w)."""
    n, height, width, _ = pixels.shape
    planes = np.empty((n, 3, height, width), dtype=np.float32)
    for channel in range(3):
        # (x / 255 − mean) / std as one product and one sum
        scale = 1.0 / (255.0 * spec.std[channel])
        np.multiply(pixels[..., channel], np.float32(scale), out=planes[:, channel], dtype=np.float32)
        planes[:, channel] -= np.float32(spec.mean[channel] / spec.std[channel])
    return planes


def _three(value: Any) -> tuple[float, float, float]:
    red, green, blue = (value, value, value) if isinstance(value, (int, float)) else value
    return float(red), float(green), float(blue)


def _longest(image: Image.Image, spec: Preprocess) -> tuple[int, int]:
    """Width and height after open_clip's ResizeKeepRatio(longest=1); a very thin image keeps one pixel."""
    ratio = max(image.height / spec.size[0], image.width / spec.size[1])
    return max(1, round(image.width / ratio)), max(1, round(image.height / ratio))


def _pad(image: Image.Image, spec: Preprocess) -> Image.Image:
    height, width = spec.size
    canvas = Image.new("RGB", (width, height), (spec.fill_color,) * 3)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def _shortest_cropped(image: Image.Image, spec: Preprocess, resample: Image.Resampling) -> Image.Image:
    """Resizes so that the image covers the size, keeping its shape, and keeps the middle."""
    height, width = spec.size
    full_width, full_height = _shortest(image, spec)
    # torchvision's centre_crop rounds halves to even, as Python does
    left, top = round((full_width - width) / 2), round((full_height - height) / 2)
    if full_width * full_height <= _WHOLE_AT_MOST * width * height:
        return image.resize((full_width, full_height), resample).crop((left, top, left + width, top + height))
    across, down = image.width / full_width, image.height / full_height
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    return image.resize((width, height), resample, box=box)


# A panorama is resized inside the crop alone: 60,000 × 1 px would become 13,440,000 × 224 otherwise. Pillow keeps the
# box in single precision, which may cost the last bit, so ordinary shapes are resized whole, as open_clip does.
_WHOLE_AT_MOST = 8


def _shortest(image: Image.Image, spec: Preprocess) -> tuple[int, int]:
    """Width and height after torchvision's Resize(int) for a square, open_clip's ResizeKeepRatio for an oblong."""
    height, width = spec.size
    if height == width:
        if image.width <= image.height:
            return width, int(width * image.height / image.width)
        return int(height * image.width / image.height), height
    ratio = min(image.height / height, image.width / width)
    return round(image.width / ratio), round(image.height / ratio)
