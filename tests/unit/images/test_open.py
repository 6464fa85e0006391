import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from search.errors import ImageTooLarge, UnreadableImage, UnsupportedFormat
from search.images.open import Opened, open_image


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes = b"", *, depth: int = 8, colour: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def opened(data: bytes, name: str = "cat.png") -> Opened:
    return open_image(data, name=name, short_px=16, long_px=32)


def colour(data: bytes) -> tuple[int, int, int]:
    """Of the first pixel."""
    red, green, blue = np.asarray(opened(data).image)[0, 0]
    return int(red), int(green), int(blue)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_of_each_exact_format_keeps_its_colours(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(Image.new("RGB", (20, 10), (250, 20, 30)), format, **options)
    found = opened(data)
    assert (found.format, found.width, found.height, found.image.mode) == (format.lower(), 20, 10, "RGB")
    assert colour(data) == (250, 20, 30)


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "MPO"])
def test_a_picture_of_each_lossy_format_keeps_nearly_its_colours(format: str) -> None:
    data = encoded(Image.new("RGB", (32, 16), (200, 100, 50)), format)
    assert opened(data).format in (format.lower(), "jpeg")
    assert colour(data) == pytest.approx((200, 100, 50), abs=4)


def test_heic_is_read() -> None:
    import pillow_heif

    file = BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 32), (200, 100, 50))).save(file, quality=90)
    found = opened(file.getvalue(), "IMG_0001.HEIC")
    assert (found.format, found.width, found.height) == ("heif", 64, 32)


def test_content_decides_not_the_name() -> None:
    assert opened(encoded(Image.new("RGB", (8, 8)), "PNG"), "holiday.jpg").format == "png"


def test_transparent_parts_become_white() -> None:
    assert colour(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")) == (255, 255, 255)
    assert colour(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 128)), "PNG")) == (255, 127, 127)


def test_a_transparent_palette_entry_becomes_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    assert colour(encoded(image, "PNG")) == (255, 0, 0)
    assert colour(encoded(image, "PNG", transparency=1)) == (255, 255, 255)


def test_grey_with_transparency_becomes_white() -> None:
    assert colour(encoded(Image.new("LA", (8, 8), (0, 0)), "PNG")) == (255, 255, 255)


def test_cmyk_is_converted() -> None:
    assert colour(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "TIFF")) == (255, 0, 0)
    assert colour(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")) == pytest.approx((255, 0, 0), abs=4)


def test_sixteen_bits_are_scaled_by_their_range() -> None:
    full = Image.fromarray(np.array([[65535, 32768], [0, 256]], np.uint16))
    assert np.asarray(opened(encoded(full, "PNG")).image)[..., 0].tolist() == [[255, 128], [0, 1]]
    twelve_bits = Image.fromarray(np.array([[4095, 2048], [0, 16]], np.uint16))
    assert np.asarray(opened(encoded(twelve_bits, "TIFF")).image)[..., 0].tolist() == [[255, 128], [0, 1]]


def test_thirty_two_bits_and_floats_are_scaled() -> None:
    assert colour(encoded(Image.fromarray(np.full((4, 4), 65535, np.int32)), "TIFF")) == (255, 255, 255)
    floats = Image.fromarray(np.array([[-1.0, 3.0], [1.0, np.nan]], np.float32))
    assert np.asarray(opened(encoded(floats, "TIFF")).image)[..., 0].tolist() == [[0, 255], [127, 63]]


def test_sixteen_bit_colour_keeps_its_colours() -> None:
    row = b"\x00" + struct.pack(">HHH", 65535, 0, 32768) * 2
    assert colour(png(2, 2, row * 2, depth=16, colour=2)) == (255, 0, 128)


def test_one_bit_and_one_pixel_are_read() -> None:
    assert colour(encoded(Image.new("1", (8, 8), 1), "PNG")) == (255, 255, 255)
    assert opened(encoded(Image.new("RGB", (1, 1), "red"), "PNG")).image.size == (1, 1)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_counts(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), shade) for shade in ("red", "blue")]
    data = encoded(
        frames[0], format, save_all=True, append_images=frames[1:], **({"lossless": True} if format == "WEBP" else {})
    )
    assert colour(data) == (255, 0, 0)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, format: str) -> None:
    upright = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    stored = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }[undo]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    turned = upright.transpose(stored) if stored is not None else upright
    found = opened(encoded(turned.convert("RGB"), format, exif=exif, **options))
    assert np.array_equal(np.asarray(found.image)[..., 0], np.asarray(upright))
    assert (found.width, found.height) == (4, 3)


def test_a_time_that_is_one_is_read_from_exif() -> None:
    def taken(told: str) -> str | None:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[36867] = told
        return opened(encoded(Image.new("RGB", (8, 8)), "JPEG", exif=exif)).taken_at

    assert taken("2021:07:04 18:05:09") == "2021-07-04T18:05:09"
    assert taken("0000:00:00 00:00:00") is None
    assert taken("<script>") is None


def test_damaged_exif_costs_only_the_exif() -> None:
    data = encoded(Image.new("RGB", (8, 8), "red"), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f" + b"\xff" * 40)
    found = opened(data)
    assert (found.image.size, found.taken_at) == ((8, 8), None)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_large_picture_is_reduced_and_its_size_still_told(format: str) -> None:
    found = opened(encoded(Image.new("RGB", (2600, 1800), "red"), format))
    assert (found.width, found.height) == (2600, 1800)
    assert min(found.image.size) >= 16
    assert max(found.image.size) < 400
    assert np.asarray(found.image)[5, 5].tolist() == pytest.approx([255, 0, 0], abs=2)


def test_a_reduced_transparent_picture_becomes_white() -> None:
    found = opened(encoded(Image.new("RGBA", (2600, 1800), (0, 0, 0, 0)), "PNG"))
    assert np.asarray(found.image).min() == 255


def told(kind: type[Exception], data: bytes, name: str = "cat.png") -> str:
    with pytest.raises(kind) as caught:
        opened(data, name)
    assert type(caught.value) is kind
    return str(caught.value)


ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"


def test_an_empty_file_is_refused() -> None:
    assert told(UnreadableImage, b"") == f"cat.png is empty: choose an image in {ACCEPTED}."


def test_what_is_no_image_is_refused() -> None:
    assert told(UnsupportedFormat, b"hello" * 99) == f"cat.png is not an image that can be read: choose {ACCEPTED}."


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg width='1'/>", "an SVG drawing"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "a PostScript file"),
        (b"8BPS\x00\x01" + bytes(30), "a Photoshop file"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    ],
)
def test_formats_that_are_not_accepted_are_named(data: bytes, kind: str) -> None:
    assert told(UnsupportedFormat, data, "x.png") == f"x.png is {kind}, which can't be searched: save it as {ACCEPTED}."


def test_a_format_that_pillow_knows_but_we_do_not_accept_is_refused() -> None:
    for format in ("PPM", "ICO", "TGA", "JPEG2000"):
        told(UnsupportedFormat, encoded(Image.new("RGB", (32, 32)), format))


def test_a_header_with_width_0_is_damaged() -> None:
    assert told(UnreadableImage, png(0, 10)) == (
        "cat.png is a damaged PNG: its header can't be read or gives no width or height. Save it again."
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "AVIF"])
def test_a_truncated_picture_is_refused(format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8))
    whole = encoded(noise, format)
    assert "cat.png is " in told(UnreadableImage, whole[: len(whole) // 2])


def test_a_truncated_photograph_is_said_to_end_early() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8))
    for format in ("JPEG", "PNG"):
        whole = encoded(noise, format)
        assert told(UnreadableImage, whole[: len(whole) // 2]) == (
            "cat.png is damaged: it ends early. Save or copy it again."
        )


def test_two_gigapixels_in_a_small_file_are_refused() -> None:
    deflate = zlib.compressobj(9)
    rows = b"".join(deflate.compress(bytes(2**20)) for _ in range(40)) + deflate.flush()
    header = struct.pack(">IIBBBBB", 50_000, 40_000, 1, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert len(data) < 60_000
    assert told(ImageTooLarge, data) == "cat.png has more than 200 megapixels, the limit: make it smaller."


def test_a_strip_is_refused_with_its_measures() -> None:
    data = encoded(Image.new("RGB", (60_000, 1), "red"), "PNG")
    assert told(ImageTooLarge, data) == (
        "cat.png is a strip of 60,000 × 1 pixels; the long side may be at most 200 times the short one: "
        "cut it into pieces."
    )
    assert opened(encoded(Image.new("RGB", (200, 1), "red"), "PNG")).width == 200


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "AVIF"])
def test_no_damage_raises_anything_but_a_typed_error(format: str) -> None:
    rng = np.random.default_rng(7)
    image = Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8))
    whole = encoded(image, format)
    outcomes = set()
    for _ in range(150):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), 4):
            broken[place] = rng.integers(0, 256)
        try:
            outcomes.add(opened(bytes(broken)).image.mode)
        except (UnreadableImage, ImageTooLarge, UnsupportedFormat) as error:
            outcomes.add(type(error).__name__)
    assert outcomes <= {"RGB", "UnreadableImage", "ImageTooLarge", "UnsupportedFormat"}
    assert len(outcomes) > 1


def profile(*, name: str, swapped: bool) -> bytes:
    """sRGB under another name, with red and green swapped or not."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for coding in ("ascii", "utf-16-be"):
        data = data.replace("sRGB".encode(coding), name.encode(coding))
    if swapped:
        data = data.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    return data


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_shown_as_their_profile_says(mode: str) -> None:
    image = Image.new(mode, (8, 8), "red")
    assert colour(encoded(image, "PNG", icc_profile=profile(name="mine", swapped=True))) == (0, 255, 0)
    assert colour(encoded(image, "PNG", icc_profile=profile(name="sRGB", swapped=True))) == (255, 0, 0)


def test_a_profile_that_says_nothing_changes_nothing() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for useless in (lab, b"", b"profile", profile(name="mine", swapped=False)[:200], bytes(1000)):
        assert colour(encoded(Image.new("RGB", (8, 8), (200, 100, 50)), "PNG", icc_profile=useless)) == (200, 100, 50)
