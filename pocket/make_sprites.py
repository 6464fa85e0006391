"""Remakes sprites.webp, the atlas of all things in words.txt, from the Noto Color Emoji font.

python -m pocket.make_sprites /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
"""

import sys

from PIL import Image, ImageDraw, ImageFont

from pocket.sprites import ATLAS_FILE, CELL_PX, COLUMNS
from pocket.words import load_vocabulary

_FONT_PX = 109  # the only size this bitmap font has


def _draw(glyph: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((8, 8), glyph, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise SystemExit(f"the font has no glyph for {glyph!r}")
    sprite = canvas.crop(box)
    scale = CELL_PX / max(sprite.size)
    sprite = sprite.resize((round(sprite.width * scale), round(sprite.height * scale)), Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL_PX, CELL_PX))
    cell.paste(sprite, ((CELL_PX - sprite.width) // 2, (CELL_PX - sprite.height) // 2))
    return cell


def main(font_file: str) -> None:
    things = load_vocabulary().things
    font = ImageFont.truetype(font_file, _FONT_PX)
    atlas = Image.new("RGBA", (COLUMNS * CELL_PX, -(-len(things) // COLUMNS) * CELL_PX))
    for thing in things:
        row, column = divmod(thing.index, COLUMNS)
        atlas.paste(_draw(thing.glyph, font), (column * CELL_PX, row * CELL_PX))
    atlas.save(ATLAS_FILE, quality=82, alpha_quality=90, method=6)
    print(f"sprites={len(things)} bytes={ATLAS_FILE.stat().st_size}")


if __name__ == "__main__":
    main(sys.argv[1])
