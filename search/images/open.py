"""Turns hostile bytes into an upright RGB image at a reduced scale, or into a typed error; knows no encoder."""

import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from PIL import ExifTags, Image

from search.errors import ImageTooLarge, UnreadableImage, UnsupportedFormat
from search.images.colours import to_rgb

ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
_MEGAPIXELS = 200
MAX_PIXELS = _MEGAPIXELS * 1_000_000  # the largest phone cameras; a decoder holds 4 bytes of each
MAX_RATIO = 200  # longer strips keep nothing at an encoder's size
REDUCE_FROM_PIXELS = 4_000_000  # below, a resize of the full picture is quick enough

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # MPO is opened as JPEG
_MAGICS: dict[str, tuple[bytes, ...]] = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}
_OTHERS: dict[str, tuple[bytes, ...]] = {
    "an SVG drawing": (b"<svg",),
    "a PDF": (b"%PDF",),
    "a PostScript file": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "a Photoshop file": (b"8BPS",),
    "a JPEG 2000 image": (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"),
    "a JPEG XL image": (b"\xff\x0a", b"\x00\x00\x00\x0cJXL "),
    "an icon": (b"\x00\x00\x01\x00",),
    "a zip archive": (b"PK\x03\x04",),
    "a web page": (b"<!doctype html", b"<html"),
}
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
# What Pillow's readers raise on broken bytes: https://pillow.readthedocs.io/en/stable/handbook/writing-your-own-image-plugin.html
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Opened:
    image: Image.Image  # RGB, upright, perhaps reduced
    width: int  # px, upright, before any reduction
    height: int
    format: str  # lower case
    taken_at: str | None


def open_image(data: bytes, *, name: str, short_px: int, long_px: int) -> Opened:
    """Returns the first frame, no smaller than short_px by long_px unless the original is.

    Raises: UnreadableImage, ImageTooLarge, UnsupportedFormat, each naming `name`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd metadata; only a bomb matters
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = _identified(data, name)
        width, height = image.size
        _check_size(width, height, name)
        scale = max(1, min(min(width, height) // short_px, max(width, height) // long_px))
        try:
            loaded = _loaded(image, scale)
            is_whole = loaded.width * loaded.height == width * height
            reduced = to_rgb(loaded, reduce_by=scale if is_whole and width * height > REDUCE_FROM_PIXELS else 1)
        except MemoryError as error:
            raise ImageTooLarge(f"{name} needs more memory than a decoder may use: make it smaller.") from error
        except _BROKEN as error:
            raise UnreadableImage(f"{name} is damaged: {_reason(error)}. Save or copy it again.") from error
        orientation = _tag(image, lambda exif: exif.get(ExifTags.Base.Orientation))
        if isinstance(orientation, int) and orientation in _ORIENTATIONS:
            reduced = reduced.transpose(_ORIENTATIONS[orientation])
            width, height = (height, width) if orientation >= 5 else (width, height)
        return Opened(reduced, width, height, str(image.format).lower(), _taken_at(image))


def _identified(data: bytes, name: str) -> Image.Image:
    if not data:
        raise UnreadableImage(f"{name} is empty: choose an image in {ACCEPTED}.")
    formats = [*_FORMATS]
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        import pillow_heif

        pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
        formats.append("HEIF")
    try:
        return Image.open(BytesIO(data), formats=formats)
    except _BOMB as error:
        raise ImageTooLarge(f"{name} has more than {_MEGAPIXELS} megapixels, the limit: make it smaller.") from error
    except MemoryError as error:
        raise ImageTooLarge(f"{name} needs more memory than a decoder may use: make it smaller.") from error
    except _BROKEN as error:
        raise _unidentified(data, name) from error


def _unidentified(data: bytes, name: str) -> UnreadableImage | UnsupportedFormat:
    damaged = [kind for kind, magics in _MAGICS.items() if data.startswith(magics)]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        damaged = ["WebP"]
    if data[4:8] == b"ftyp" and data[8:12] in (*_HEIF_BRANDS, b"avif", b"avis"):
        damaged = ["AVIF or HEIC"]
    if damaged:
        return UnreadableImage(
            f"{name} is a damaged {damaged[0]}: its header can't be read or gives no width or height. Save it again."
        )
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for kind, magics in _OTHERS.items():
        if data.startswith(magics) or start.startswith(magics):
            return UnsupportedFormat(f"{name} is {kind}, which can't be searched: save it as {ACCEPTED}.")
    if start.startswith(b"<?xml") and b"<svg" in start:
        return UnsupportedFormat(f"{name} is an SVG drawing, which can't be searched: save it as {ACCEPTED}.")
    return UnsupportedFormat(f"{name} is not an image that can be read: choose {ACCEPTED}.")


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(
            f"{name} has {width:,} × {height:,} pixels; the limit is {_MEGAPIXELS} megapixels: make it smaller."
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageTooLarge(
            f"{name} is a strip of {width:,} × {height:,} pixels; the long side may be at most {MAX_RATIO} times the"
            " short one: cut it into pieces."
        )


def _reason(error: BaseException) -> str:
    told = str(error).lower()
    ends_early = any(word in told for word in ("truncated", "end of", "eof", "too short", "not enough"))
    return "it ends early" if ends_early or isinstance(error, EOFError) else "its pixels can't be decoded"


def _loaded(image: Image.Image, scale: int) -> Image.Image:
    if scale > 1 and image.format in ("JPEG", "MPO"):
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
    image.load()
    return image


def _tag(image: Image.Image, get: Callable[[Image.Exif], object]) -> object:
    """A value from hostile EXIF, None where it can't be read."""
    try:
        return get(image.getexif())
    except (*_BROKEN, MemoryError):
        return None


def _taken_at(image: Image.Image) -> str | None:
    def original(exif: Image.Exif) -> object:
        details = exif.get_ifd(ExifTags.IFD.Exif)
        return details.get(ExifTags.Base.DateTimeOriginal) or details.get(ExifTags.Base.DateTimeDigitized)

    told = _tag(image, original)
    if not isinstance(told, str):
        return None
    try:
        return datetime.strptime(told.strip("\x00 "), "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:
        return None
