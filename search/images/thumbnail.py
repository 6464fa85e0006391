"""Writes small WebP pictures that hold pixels and nothing else; reads no bytes from outside."""

from io import BytesIO

from PIL import Image

THUMB_PX = 384  # long edge


def thumbnail(image: Image.Image) -> bytes:
    """WebP of an RGB image, no larger than it."""
    return to_webp(image, px=THUMB_PX, quality=78)


def to_webp(image: Image.Image, *, px: int, quality: int) -> bytes:
    """WebP of an RGB image with a long edge of at most px."""
    scale = px / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    file = BytesIO()
    # method 2 takes half of the default's time for files 3 % larger (photographs at 384 px: 4.4 ms, 17.5 kB)
    image.save(file, "WEBP", quality=quality, method=2, exif=b"", icc_profile=b"", xmp=b"")
    return file.getvalue()
