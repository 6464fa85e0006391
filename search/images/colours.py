"""Turns a loaded image of any mode into RGB as a screen shows it; opens nothing."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MOST_PROFILE_BYTES = 4 * 2**20  # those of printing presses have two


def to_rgb(image: Image.Image, *, reduce_by: int = 1) -> Image.Image:
    """Transparent parts become white. Reduces early: of a large picture each copy would have four bytes a pixel."""
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.mode in ("P", "PA", "1") or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if reduce_by > 1:
        image = image.reduce(reduce_by)
    if image.mode in ("RGBA", "LA", "La", "RGBa"):
        image = _on_white(image.convert("RGBA"))
    if isinstance(profile, bytes) and image.mode in ("RGB", "CMYK") and len(profile) <= _MOST_PROFILE_BYTES:
        image = _in_srgb(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """A phone's wide colours and a press's inks; what a profile can't say stays as it is."""
    if b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile:
        return image
    from PIL import ImageCms

    try:
        converted = ImageCms.profileToProfile(image, BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return converted or image


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 and 32 bits by the fewest bits that hold the brightest pixel (12-bit data lies in 16-bit files), floats by
    their own range."""
    if values.dtype.kind == "f":
        finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(finite.min()), float(finite.max())
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
        scaled = (finite - low) * (255 / (high - low))
    else:
        scaled = np.maximum(values, 0) >> max(0, int(values.max()).bit_length() - 8)
    eight_bits: NDArray[np.uint8] = scaled.astype(np.uint8)
    return eight_bits
