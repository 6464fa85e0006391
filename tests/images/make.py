"""Draws the pictures beside it anew: `python -m tests.images.make`. They are ours, under the project's licence."""

from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent


def disc(colour: str, *, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A disc of a colour that fills most of a slightly darker ground."""
    image = Image.new("RGB", size, colour).point(lambda value: value * 3 // 4)
    ImageDraw.Draw(image).ellipse((10, 5, size[0] - 10, size[1] - 5), fill=colour)
    return image


def main() -> None:
    disc("red").save(HERE / "red.png", optimize=True)
    disc("lime").save(HERE / "green.jpg", quality=90)
    disc("blue").save(HERE / "blue.webp", quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° to the right
    exif.get_ifd(0x8769)[0x9003] = "2021:07:04 18:05:09"
    disc("yellow").save(HERE / "turned.jpg", quality=90, exif=exif)
    whole = (HERE / "green.jpg").read_bytes()
    (HERE / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (HERE / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>\n')


if __name__ == "__main__":
    main()
