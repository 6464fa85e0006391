"""Owns the drawn backgrounds, one function each, painted on a square of any size from a generator."""

from collections.abc import Callable
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
_GRAIN = 2  # drawn so many times larger, then reduced, for smooth edges

PLAIN: dict[str, Colour] = {
    "red": (214, 58, 58), "orange": (244, 154, 60), "yellow": (248, 222, 92), "green": (104, 184, 108),
    "blue": (84, 140, 226), "purple": (156, 98, 200), "pink": (248, 168, 202), "white": (246, 246, 246),
    "black": (34, 34, 38), "brown": (150, 104, 68),
}  # fmt: skip


class _Brush:
    """A canvas in shares of the frame, with the generator that decides its details."""

    def __init__(self, px: int, rng: np.random.Generator) -> None:
        self.px = px * _GRAIN
        self.rng = rng
        self.image = Image.new("RGB", (self.px, self.px))
        self.draw = ImageDraw.Draw(self.image)

    def vary(self, colour: Colour, by: int = 16) -> Colour:
        shift = self.rng.integers(-by, by + 1, 3)
        return tuple(int(np.clip(c + s, 0, 255)) for c, s in zip(colour, shift, strict=True))  # type: ignore[return-value]

    def fade(self, top: Colour, bottom: Colour, start: float = 0.0, end: float = 1.0) -> None:
        a, b = int(start * self.px), int(np.ceil(end * self.px))
        ramp = np.linspace(0, 1, max(1, b - a))[:, None]
        rows = (np.array(top) * (1 - ramp) + np.array(bottom) * ramp).astype(np.uint8)
        self.image.paste(Image.fromarray(np.repeat(rows[:, None, :], self.px, axis=1), "RGB"), (0, a))

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        if x1 > x0 and y1 > y0:
            self.draw.rectangle([x0 * self.px, y0 * self.px, x1 * self.px, y1 * self.px], fill=colour)

    def dot(self, x: float, y: float, rx: float, colour: Colour, ry: float | None = None) -> None:
        ry = rx if ry is None else ry
        box = [(x - rx) * self.px, (y - ry) * self.px, (x + rx) * self.px, (y + ry) * self.px]
        self.draw.ellipse(box, fill=colour)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([(x * self.px, y * self.px) for x, y in points], fill=colour)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: float) -> None:
        ends = [x0 * self.px, y0 * self.px, x1 * self.px, y1 * self.px]
        self.draw.line(ends, fill=colour, width=max(1, round(width * self.px)))

    def ridge(self, level: float, height: float, colour: Colour, steps: int = 9) -> None:
        """Fills below a broken line, such as hills or dunes."""
        xs = np.linspace(-0.05, 1.05, steps)
        ys = level - height * self.rng.random(steps)
        self.shape([(-0.05, 1.05), *zip(xs.tolist(), ys.tolist(), strict=True), (1.05, 1.05)], colour)

    def hill(self, level: float, height: float, colour: Colour, waves: float = 1.5) -> None:
        xs = np.linspace(-0.02, 1.02, 40)
        ys = level - height * (0.5 + 0.5 * np.sin(xs * waves * 6.3 + self.rng.uniform(0, 6.3)))
        self.shape([(-0.05, 1.05), *zip(xs.tolist(), ys.tolist(), strict=True), (1.05, 1.05)], colour)

    def cloud(self, x: float, y: float, size: float, colour: Colour) -> None:
        for dx, dy, r in ((-0.5, 0.1, 0.32), (0, -0.1, 0.45), (0.5, 0.1, 0.34), (0.15, 0.15, 0.4)):
            self.dot(x + dx * size, y + dy * size, r * size, colour, r * size * 0.72)

    def spots(self, count: int) -> np.ndarray:
        return self.rng.random((count, 2))  # (count, 2)


def _beach(b: _Brush) -> None:
    sea = b.rng.uniform(0.28, 0.4)
    shore = b.rng.uniform(0.52, 0.64)
    b.fade(b.vary((130, 205, 245)), (205, 236, 250), 0, sea)
    b.fade(b.vary((30, 130, 190)), b.vary((70, 190, 205)), sea, 1)
    b.hill(shore + 0.02, 0.05, (240, 250, 250))
    b.hill(shore + 0.045, 0.05, b.vary((240, 214, 152)))
    for x, y in b.spots(40):
        b.dot(x, shore + 0.08 + y * 0.4, 0.004, (214, 184, 122))


def _night(b: _Brush) -> None:
    b.fade(b.vary((8, 12, 44)), b.vary((34, 44, 104)))
    for x, y in b.spots(70):
        b.dot(x, y, b.rng.uniform(0.003, 0.008), (255, 250, 214))
    b.hill(0.95, 0.08, (10, 16, 36))


def _forest(b: _Brush) -> None:
    b.fade(b.vary((150, 196, 160)), b.vary((92, 146, 96)))
    for depth in range(3):
        shade = b.vary([(70, 128, 82), (42, 100, 56), (24, 74, 40)][depth])
        for x in b.rng.random(7 - depth):
            w, base = b.rng.uniform(0.09, 0.15), 0.62 + depth * 0.1
            tall = b.rng.uniform(0.4, 0.62)
            b.box(x - 0.012, base - 0.06, x + 0.012, base + 0.04, (82, 56, 36))
            for k in range(3):
                y = base - tall * k / 3.6
                b.shape([(x - w * (1 - k * 0.22), y), (x + w * (1 - k * 0.22), y), (x, y - tall * 0.45)], shade)
    b.hill(0.84, 0.05, b.vary((58, 92, 44)))


def _snow(b: _Brush) -> None:
    b.fade(b.vary((176, 200, 226)), (226, 236, 246))
    for x in b.rng.random(4):
        b.shape([(x - 0.06, 0.58), (x + 0.06, 0.58), (x, 0.34)], (128, 158, 160))
        b.shape([(x - 0.04, 0.46), (x + 0.04, 0.46), (x, 0.33)], (250, 252, 255))
    b.hill(0.6, 0.08, (236, 242, 250))
    b.hill(0.76, 0.1, (250, 252, 255))
    for x, y in b.spots(60):
        b.dot(x, y, b.rng.uniform(0.004, 0.01), (255, 255, 255))


def _desert(b: _Brush) -> None:
    b.fade(b.vary((250, 206, 140)), (255, 236, 190))
    b.hill(0.58, 0.12, b.vary((232, 168, 92)))
    b.hill(0.72, 0.14, b.vary((222, 150, 72)), 1.0)
    b.hill(0.9, 0.12, b.vary((206, 130, 58)), 0.8)


def _city(b: _Brush) -> None:
    b.fade(b.vary((150, 186, 220)), (224, 228, 232))
    for depth, tone in ((0, 150), (1, 96)):
        x = -0.05
        while x < 1:
            w, top = b.rng.uniform(0.1, 0.18), b.rng.uniform(0.12, 0.5) + depth * 0.12
            grey = b.vary((tone, tone + 4, tone + 16), 12)
            b.box(x, top, x + w, 0.86, grey)
            for wy in np.arange(top + 0.03, 0.84, 0.06):
                for wx in np.arange(x + 0.018, x + w - 0.025, 0.04):
                    if b.rng.random() < 0.6:
                        b.box(wx, wy, wx + 0.02, wy + 0.03, (250, 228, 150))
            x += w + b.rng.uniform(0, 0.03)
    b.box(0, 0.86, 1, 1, (84, 86, 92))


def _kitchen(b: _Brush) -> None:
    wall, line = b.vary((232, 240, 236)), b.vary((178, 202, 200))
    b.box(0, 0, 1, 1, wall)
    step = b.rng.uniform(0.11, 0.14)
    for v in np.arange(0, 0.62, step):
        b.line(0, v, 1, v, line, 0.006)
    for v in np.arange(0, 1, step):
        b.line(v, 0, v, 0.62, line, 0.006)
    b.box(0, 0.06, 1, 0.16, b.vary((176, 116, 74)))
    b.box(0, 0.62, 1, 0.7, b.vary((120, 90, 72)))
    b.box(0, 0.7, 1, 1, b.vary((198, 142, 96)))
    for v in (0.33, 0.66):
        b.line(v, 0.7, v, 1, (140, 96, 62), 0.008)
    for v in (0.29, 0.37, 0.62, 0.7):
        b.dot(v, 0.78, 0.012, (90, 64, 46))


def _grid_paper(b: _Brush) -> None:
    b.box(0, 0, 1, 1, b.vary((252, 252, 246), 4))
    line = b.vary((150, 186, 226))
    step = b.rng.uniform(0.055, 0.08)
    for v in np.arange(b.rng.uniform(0, step), 1, step):
        b.line(0, v, 1, v, line, 0.005)
        b.line(v, 0, v, 1, line, 0.005)
    b.line(0.1, 0, 0.1, 1, (232, 120, 120), 0.007)


def _stripes(b: _Brush) -> None:
    a, c = b.vary(b.rng.choice(list(PLAIN.values()))), b.vary((248, 246, 240))
    b.box(0, 0, 1, 1, c)
    step, slant = b.rng.uniform(0.13, 0.2), b.rng.choice((-1.0, 0.0, 1.0))
    for v in np.arange(-1.2, 2.2, step):
        b.shape([(v, 0), (v + step / 2, 0), (v + step / 2 + slant, 1), (v + slant, 1)], a)


def _polka_dots(b: _Brush) -> None:
    pair = [b.vary(b.rng.choice(list(PLAIN.values()))), b.vary((250, 248, 242))]
    if b.rng.random() < 0.5:
        pair.reverse()
    b.box(0, 0, 1, 1, pair[0])
    step = b.rng.uniform(0.13, 0.18)
    for row, y in enumerate(np.arange(0, 1.1, step)):
        for x in np.arange(0, 1.1, step):
            b.dot(x + (step / 2 if row % 2 else 0), y, step * 0.24, pair[1])


def _meadow(b: _Brush) -> None:
    b.fade(b.vary((140, 206, 250)), (214, 240, 252))
    b.hill(0.56, 0.1, b.vary((130, 200, 96)))
    b.hill(0.68, 0.08, b.vary((98, 180, 70)), 1.0)
    for x, y in b.spots(45):
        y = 0.66 + y * 0.34
        b.line(x, y, x + 0.008, y - 0.035, (64, 142, 48), 0.006)
    for x, y in b.spots(12):
        b.dot(x, 0.68 + y * 0.3, 0.011, (255, 250, 200))


def _underwater(b: _Brush) -> None:
    b.fade(b.vary((38, 150, 200)), b.vary((8, 50, 110)))
    for x in b.rng.random(4):
        b.shape([(x, 0), (x + 0.07, 0), (x + 0.2, 0.8), (x + 0.02, 0.8)], (44, 142, 190))
    b.hill(0.95, 0.06, b.vary((196, 178, 128)))
    for x in b.rng.random(6):
        top = b.rng.uniform(0.6, 0.8)
        for k in range(8):
            y = 0.95 - (0.95 - top) * k / 8
            b.dot(x + 0.015 * np.sin(k * 1.4), y, 0.014, (40, 140, 90), 0.03)
    for x, y in b.spots(16):
        b.dot(x, y, b.rng.uniform(0.006, 0.016), (150, 214, 236))


def _mountains(b: _Brush) -> None:
    b.fade(b.vary((150, 198, 240)), (228, 238, 246))
    for depth, tone in enumerate(((140, 154, 180), (104, 118, 142))):
        for x in (b.rng.random(3) * 1.1 - 0.05).tolist():
            w, top = b.rng.uniform(0.25, 0.4), b.rng.uniform(0.14, 0.3) + depth * 0.12
            b.shape([(x - w, 0.92), (x, top), (x + w, 0.92)], b.vary(tone))
            b.shape(
                [(x - w * 0.25, top + 0.17), (x, top), (x + w * 0.25, top + 0.17), (x, top + 0.12)], (248, 250, 255)
            )
    b.hill(0.86, 0.06, b.vary((92, 140, 84)))


def _sunset(b: _Brush) -> None:
    b.fade(b.vary((92, 54, 128)), b.vary((250, 128, 84)), 0, 0.45)
    b.fade(b.vary((250, 128, 84)), (255, 212, 120), 0.45, 0.7)
    b.dot(b.rng.uniform(0.2, 0.8), 0.62, 0.13, (255, 240, 170))
    b.fade(b.vary((160, 84, 110)), (60, 34, 84), 0.68, 1)
    for x, y in b.spots(14):
        b.line(x, 0.7 + y * 0.28, x + 0.12, 0.7 + y * 0.28, (240, 150, 120), 0.006)


def _rain(b: _Brush) -> None:
    b.fade(b.vary((96, 108, 124)), b.vary((160, 170, 180)))
    for x in b.rng.random(4):
        b.cloud(x, b.rng.uniform(0.04, 0.14), 0.2, b.vary((74, 84, 98)))
    for x, y in b.spots(70):
        b.line(x, y, x - 0.018, y + 0.06, (196, 214, 234), 0.006)
    b.hill(0.95, 0.03, (84, 96, 108))


def _road(b: _Brush) -> None:
    b.fade(b.vary((170, 208, 236)), (226, 236, 240), 0, 0.4)
    b.box(0, 0.38, 1, 1, b.vary((126, 168, 88)))
    x = b.rng.uniform(0.4, 0.6)
    b.shape([(x - 0.06, 0.38), (x + 0.06, 0.38), (1.15, 1), (-0.15, 1)], b.vary((86, 88, 94)))
    for k in range(5):
        y0, y1 = 0.4 + 0.6 * (k / 5) ** 1.4, 0.4 + 0.6 * ((k + 0.55) / 5) ** 1.4
        w = 0.006 + 0.02 * k / 5
        cx0, cx1 = x + (0.5 - x) * (y0 - 0.38) / 0.62, x + (0.5 - x) * (y1 - 0.38) / 0.62
        b.shape([(cx0 - w, y0), (cx0 + w, y0), (cx1 + w * 1.3, y1), (cx1 - w * 1.3, y1)], (250, 240, 200))


def _living_room(b: _Brush) -> None:
    b.box(0, 0, 1, 0.68, b.vary((236, 214, 182)))
    for v in np.arange(0.05, 1, 0.1):
        b.line(v, 0, v, 0.68, (226, 200, 164), 0.012)
    b.box(0, 0.64, 1, 0.68, (250, 246, 238))
    b.box(0, 0.68, 1, 1, b.vary((150, 98, 62)))
    x = b.rng.uniform(0.08, 0.6)
    b.box(x, 0.1, x + 0.3, 0.4, (120, 82, 54))
    b.box(x + 0.02, 0.12, x + 0.28, 0.38, b.vary((150, 200, 226)))
    b.line(x + 0.15, 0.12, x + 0.15, 0.38, (120, 82, 54), 0.014)
    b.dot(0.5, 0.88, 0.36, b.vary((176, 64, 72)), 0.08)


def _brick_wall(b: _Brush) -> None:
    b.box(0, 0, 1, 1, b.vary((206, 196, 184)))
    h = b.rng.uniform(0.075, 0.1)
    for row, y in enumerate(np.arange(0, 1, h)):
        for x in np.arange(-h * 2 if row % 2 else -h, 1, h * 2.2):
            b.box(x, y, x + h * 2.1, y + h * 0.86, b.vary((176, 82, 62), 14))


def _wooden_boards(b: _Brush) -> None:
    h = b.rng.uniform(0.15, 0.22)
    base = b.vary((178, 124, 76))
    for y in np.arange(0, 1, h):
        b.box(0, y, 1, y + h, b.vary(base, 9))
        for g in b.rng.random(4):
            b.line(0, y + g * h, 1, y + g * h + b.rng.uniform(-0.01, 0.01), (150, 100, 58), 0.004)
        b.line(0, y, 1, y, (102, 64, 36), 0.01)


def _checkerboard(b: _Brush) -> None:
    n = int(b.rng.integers(6, 9))
    dark, light = b.vary((60, 58, 62)), b.vary((236, 230, 216))
    if b.rng.random() < 0.4:
        dark = b.vary((122, 78, 50))
    for row in range(n):
        for column in range(n):
            b.box(column / n, row / n, (column + 1) / n, (row + 1) / n, dark if (row + column) % 2 else light)


def _blue_sky(b: _Brush) -> None:
    b.fade(b.vary((70, 158, 236)), b.vary((176, 220, 250)))
    for x, y in b.spots(6):
        b.cloud(x, y, b.rng.uniform(0.12, 0.22), (250, 252, 255))


def _stage(b: _Brush) -> None:
    b.box(0, 0, 1, 1, (120, 14, 26))
    for v in np.arange(0, 1, 0.08):
        b.box(v, 0, v + 0.035, 0.78, b.vary((166, 24, 38), 8))
    b.box(0, 0, 1, 0.1, (146, 18, 30))
    for v in np.arange(0.05, 1.05, 0.1):
        b.dot(v, 0.1, 0.05, (146, 18, 30))
    b.box(0, 0.78, 1, 1, b.vary((150, 104, 62)))
    b.dot(b.rng.uniform(0.35, 0.65), 0.88, 0.34, (226, 190, 130), 0.08)


def _outer_space(b: _Brush) -> None:
    b.box(0, 0, 1, 1, b.vary((14, 6, 28), 6))
    glow = Image.new("RGB", b.image.size, (14, 6, 28))
    pen = ImageDraw.Draw(glow)
    for x, y in b.spots(5):
        r = b.rng.uniform(0.1, 0.3) * b.px
        colour = b.vary([(130, 40, 150), (60, 40, 170), (190, 60, 120)][int(b.rng.integers(3))])
        pen.ellipse([x * b.px - r, y * b.px - r * 0.7, x * b.px + r, y * b.px + r * 0.7], fill=colour)
    b.image.paste(glow.filter(ImageFilter.GaussianBlur(b.px * 0.09)))
    for x, y in b.spots(60):
        b.dot(x, y, b.rng.uniform(0.002, 0.006), (240, 240, 255))
    x, y, r = b.rng.uniform(0.1, 0.9), b.rng.uniform(0.08, 0.3), b.rng.uniform(0.05, 0.1)
    b.dot(x, y, r, b.vary((200, 140, 90), 40))
    b.dot(x - r * 0.2, y - r * 0.2, r * 0.6, b.vary((226, 176, 126), 30))


PAINTERS: dict[str, Callable[[_Brush], None]] = {
    "beach": _beach, "night sky": _night, "forest": _forest, "snow": _snow, "desert": _desert, "city": _city,
    "kitchen": _kitchen, "grid paper": _grid_paper, "stripes": _stripes, "polka dots": _polka_dots,
    "meadow": _meadow, "underwater": _underwater, "mountains": _mountains, "sunset": _sunset, "rain": _rain,
    "road": _road, "living room": _living_room, "brick wall": _brick_wall, "wooden boards": _wooden_boards,
    "checkerboard": _checkerboard, "blue sky": _blue_sky, "stage": _stage, "outer space": _outer_space,
}  # fmt: skip
GROUNDED = {"beach", "snow", "desert", "city", "kitchen", "meadow", "mountains", "road", "living room", "stage",
            "wooden boards", "forest", "plain"}  # fmt: skip


def paint_background(name: str, colour: str | None, variant: int, px: int) -> Image.Image:
    """Returns an RGB square; equal arguments give equal pixels."""
    rng = np.random.default_rng(crc32(f"{name}|{colour}|{variant}".encode()))
    brush = _Brush(px, rng)
    if colour is not None:
        base = brush.vary(PLAIN[colour], 12)
        lighter: Colour = tuple(min(255, c + 10) for c in base)  # type: ignore[assignment]
        brush.fade(lighter, base)
    else:
        PAINTERS[name](brush)
    return brush.image.reduce(_GRAIN)
