"""Owns scenes: what is where, drawn from a random generator, and what is true of it. No pixels, no words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pocket.holdout import is_held_out
from pocket.sprites import TINTS
from pocket.words import load_vocabulary

COLOURS = tuple(TINTS)
VARIANTS = 48  # of each background, in training; larger numbers are never seen there
MAX_ITEMS = 6
_TINT_WEIGHT = 2.5
Sizes = Mapping[int, tuple[float, float]]  # things in all → smallest and largest, in shares of the frame
_SIZES: Sizes = {1: (0.34, 0.8), 2: (0.27, 0.48), 3: (0.24, 0.38), 4: (0.2, 0.33), 5: (0.19, 0.28), 6: (0.18, 0.26)}


@dataclass(frozen=True, slots=True)
class Item:
    thing: int
    colour: str | None
    x: float  # centre, in shares of the frame
    y: float
    size: float
    is_mirrored: bool


@dataclass(frozen=True, slots=True)
class Scene:
    place: int
    place_colour: str | None  # only the plain background has one
    variant: int
    items: tuple[Item, ...]

    def names(self) -> list[str]:
        things = load_vocabulary().things
        return [things[item.thing].name for item in self.items]

    def is_held_out(self) -> bool:
        return is_held_out(self.names(), load_vocabulary().places[self.place].name)


def place_items(
    groups: list[tuple[int, str | None]], rng: np.random.Generator, *, sizes: Sizes = _SIZES
) -> tuple[Item, ...]:
    """Gives each (thing, colour) a size and a spot; they may touch, and hardly overlap."""
    base = rng.uniform(*sizes[len(groups)])
    placed: list[Item] = []
    for thing, colour in groups:
        size = float(np.clip(base * rng.uniform(0.85, 1.18), 0.16, 0.85))
        best, best_gap = (0.5, 0.5), -9.0
        for _ in range(14):
            x, y = rng.uniform(size / 2, 1 - size / 2), rng.uniform(size / 2, 1 - size / 2)
            gap = min((_gap(x, y, size, other) for other in placed), default=1.0)
            if gap > best_gap:
                best, best_gap = (float(x), float(y)), gap
            if gap > 0.0:
                break
        if best_gap < -0.25:
            size *= 0.8
        placed.append(Item(thing, colour, *best, size, bool(rng.random() < 0.5)))
    return tuple(placed)


def _gap(x: float, y: float, size: float, other: Item) -> float:
    reach = 0.46 * (size + other.size)
    return max(abs(x - other.x), abs(y - other.y)) / reach - 1


@cache
def _training_weights() -> np.ndarray:
    """A thing in ten colours is drawn more often: drawn as often as others, its name was learned half as well."""
    weights = np.array([_TINT_WEIGHT if thing.has_tint else 1.0 for thing in load_vocabulary().things])
    weights /= weights.sum()
    return weights


def pick_thing(rng: np.random.Generator) -> int:
    return int(np.searchsorted(np.cumsum(_training_weights()), rng.random() * 0.999999))


def draw_scene(
    rng: np.random.Generator,
    *,
    group_shares: tuple[float, ...] = (0.42, 0.38, 0.14, 0.06),
    unseen: bool = False,
    things: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    sizes: Sizes = _SIZES,
) -> Scene:
    """Returns a scene fit for training, or with `unseen` one whose combination training never has."""
    vocabulary = load_vocabulary()
    if things is None:
        things, weights = np.arange(len(vocabulary.things)), _training_weights()
    while True:
        count = int(rng.choice(len(group_shares), p=group_shares)) + 1
        chosen = rng.choice(things, size=count, replace=False, p=weights)
        groups: list[tuple[int, str | None]] = []
        for position, thing in enumerate(chosen):
            colour = _colour_for(int(thing), rng)
            room = (4 if count == 1 else 5) - len(groups) - (count - 1 - position)
            many = min(int(rng.choice(4, p=(0.6, 0.18, 0.14, 0.08))) + 1, max(1, room))
            groups += [(int(thing), colour)] * many
        place = int(rng.integers(len(vocabulary.places)))
        scene = Scene(
            place,
            str(rng.choice(COLOURS)) if vocabulary.places[place].name == "plain" else None,
            int(rng.integers(VARIANTS)) + (VARIANTS if unseen else 0),
            (),
        )
        scene = replace(scene, items=place_items(groups, rng, sizes=sizes))
        if scene.is_held_out() == unseen:
            return scene


def _colour_for(thing: int, rng: np.random.Generator) -> str | None:
    return str(rng.choice(COLOURS)) if load_vocabulary().things[thing].has_tint else None


def draw_sibling(scene: Scene, rng: np.random.Generator) -> Scene:
    """Returns a scene that differs in one respect: a hard negative. Never a held-out combination."""
    while True:
        sibling = _CHANGES[int(rng.integers(len(_CHANGES)))](scene, rng)
        if not sibling.is_held_out():
            return sibling


def _move(scene: Scene, rng: np.random.Generator) -> Scene:
    """Swaps the spots of two things, else mirrors the whole."""
    items = list(scene.items)
    kinds = sorted({item.thing for item in items})
    if len(kinds) > 1:
        a = next(i for i, item in enumerate(items) if item.thing == kinds[0])
        b = next(i for i, item in enumerate(items) if item.thing == kinds[1])
        items[a], items[b] = (
            replace(items[a], x=items[b].x, y=items[b].y),
            replace(items[b], x=items[a].x, y=items[a].y),
        )
        return replace(scene, items=tuple(items))
    return replace(scene, items=tuple(replace(item, x=1 - item.x) for item in items))


def _recolour(scene: Scene, rng: np.random.Generator) -> Scene:
    """Swaps two things' colours where there are two, else draws a new one."""
    tinted = sorted({item.thing for item in scene.items if item.colour})
    if not tinted:
        return _recount(scene, rng)
    colours = {item.thing: item.colour for item in scene.items}
    if len(tinted) > 1 and colours[tinted[0]] != colours[tinted[1]]:
        colours[tinted[0]], colours[tinted[1]] = colours[tinted[1]], colours[tinted[0]]
    else:
        colours[tinted[0]] = str(rng.choice(COLOURS))
    return replace(scene, items=tuple(replace(item, colour=colours[item.thing]) for item in scene.items))


def _recount(scene: Scene, rng: np.random.Generator) -> Scene:
    kinds = list(dict.fromkeys((item.thing, item.colour) for item in scene.items))
    chosen = kinds[int(rng.integers(len(kinds)))]
    others = [(item.thing, item.colour) for item in scene.items if item.thing != chosen[0]]
    many = int(rng.integers(1, max(2, min(4, MAX_ITEMS - len(others)) + 1)))
    return replace(scene, items=place_items(others + [chosen] * many, rng))


def _replace_thing(scene: Scene, rng: np.random.Generator) -> Scene:
    old = scene.items[int(rng.integers(len(scene.items)))].thing
    new = pick_thing(rng)
    if any(item.thing == new for item in scene.items):
        return scene
    colour = _colour_for(new, rng)
    items = (replace(item, thing=new, colour=colour) if item.thing == old else item for item in scene.items)
    return replace(scene, items=tuple(items))


def _relocate(scene: Scene, rng: np.random.Generator) -> Scene:
    places = load_vocabulary().places
    place = int(rng.integers(len(places)))
    colour = str(rng.choice(COLOURS)) if places[place].name == "plain" else None
    return replace(scene, place=place, place_colour=colour, variant=int(rng.integers(VARIANTS)))


_CHANGES = (_move, _recolour, _recount, _recount, _replace_thing, _relocate)


def redraw(scene: Scene, rng: np.random.Generator) -> Scene:
    """Returns the same scene arranged anew a little: spots shifted, sizes and background variant changed."""
    items = tuple(
        replace(
            item,
            x=float(np.clip(item.x + rng.uniform(-0.05, 0.05), item.size / 2.2, 1 - item.size / 2.2)),
            y=float(np.clip(item.y + rng.uniform(-0.05, 0.05), item.size / 2.2, 1 - item.size / 2.2)),
            size=item.size * float(rng.uniform(0.88, 1.1)),
        )
        for item in scene.items
    )
    base = scene.variant - scene.variant % VARIANTS
    return replace(scene, items=items, variant=base + int(rng.integers(VARIANTS)))
