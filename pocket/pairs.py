"""Owns pairs that ask for one distinction: a sentence, a scene it is true of, and one that differs in that alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pocket.captions import counted, with_article
from pocket.holdout import is_place_held_out
from pocket.scene import COLOURS, VARIANTS, Item, Scene
from pocket.words import Thing, load_vocabulary, plural


@dataclass(frozen=True, slots=True)
class Pair:
    text: str
    right: Scene
    wrong: Scene


def _things(rng: np.random.Generator, count: int, *, tinted: bool, countable: bool = False) -> list[Thing]:
    fit = [t for t in load_vocabulary().things if (t.has_tint or not tinted) and (plural(t.name) or not countable)]
    return [fit[n] for n in rng.choice(len(fit), count, replace=False)]


def _scene(rng: np.random.Generator, things: Sequence[Thing], items: Sequence[Item]) -> Scene:
    places = [n for n, p in enumerate(load_vocabulary().places) if p.name != "plain"]
    unseen = [n for n in places if any(is_place_held_out(t.name, load_vocabulary().places[n].name) for t in things)]
    return Scene(int(rng.choice(unseen or places)), None, VARIANTS + int(rng.integers(VARIANTS)), tuple(items))


def _colour_pair(rng: np.random.Generator) -> Pair:
    (thing,) = _things(rng, 1, tinted=True)
    one, other = (str(c) for c in rng.choice(COLOURS, 2, replace=False))
    item = Item(thing.index, one, float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.35, 0.65)), 0.4, False)
    scene = _scene(rng, [thing], [item])
    return Pair(with_article(thing.name, one), scene, replace(scene, items=(replace(item, colour=other),)))


def _count_pair(rng: np.random.Generator) -> Pair:
    (thing,) = _things(rng, 1, tinted=False, countable=True)
    spots = [(0.25, 0.3), (0.72, 0.4), (0.42, 0.75)]
    colour = str(rng.choice(COLOURS)) if thing.has_tint else None
    items = [
        Item(thing.index, colour, x + float(rng.uniform(-0.06, 0.06)), y + float(rng.uniform(-0.06, 0.06)), 0.3, False)
        for x, y in spots
    ]
    three = _scene(rng, [thing], items)
    one = replace(three, items=(items[int(rng.integers(3))],))
    if rng.random() < 0.5:
        return Pair(counted(thing.name, 3), three, one)
    return Pair(f"one {thing.name}", one, three)


def _two(rng: np.random.Generator, *, tinted: bool) -> tuple[list[Thing], list[Item]]:
    things = _things(rng, 2, tinted=tinted)
    colours: list[str | None] = [str(c) for c in rng.choice(COLOURS, 2, replace=False)]
    items = [
        Item(thing.index, colour if thing.has_tint else None, x, float(rng.uniform(0.35, 0.65)), 0.36, False)
        for thing, colour, x in zip(things, colours, (0.27, 0.73), strict=True)
    ]
    return things, items


def _side_pair(rng: np.random.Generator) -> Pair:
    things, items = _two(rng, tinted=False)
    scene = _scene(rng, things, items)
    swapped = replace(scene, items=tuple(replace(item, x=1 - item.x) for item in items))
    one, other = (with_article(thing.name) for thing in things)
    return Pair(f"{one} to the left of {other}", scene, swapped)


def _binding_pair(rng: np.random.Generator) -> Pair:
    things, items = _two(rng, tinted=True)
    scene = _scene(rng, things, items)
    crossed = (replace(items[0], colour=items[1].colour), replace(items[1], colour=items[0].colour))
    text = " and ".join(with_article(t.name, item.colour) for t, item in zip(things, items, strict=True))
    return Pair(text, scene, replace(scene, items=crossed))


PAIRS: dict[str, Callable[[np.random.Generator], Pair]] = {
    "object colour": _colour_pair,
    "count 1 or 3": _count_pair,
    "left or right": _side_pair,
    "colour binding": _binding_pair,
}
