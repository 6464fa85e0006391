"""Owns what is true of a scene, as a set of facts; a caption is true where all its facts are."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from pocket.scene import Scene
from pocket.words import load_vocabulary

# ("has", concept) · ("count", concept, n) · ("several", concept) · ("tint", concept, colour) · ("place", name)
# ("plain", colour) · ("left", concept, concept) · ("above", concept, concept) · ("big", concept) · ("small", concept)
Fact = tuple[str | int, ...]

COLOUR_FACTS = frozenset({"tint", "plain"})
_APART = 0.14  # in shares of the frame; nearer than that, nobody would say "left of"
BIG, SMALL = 0.5, 0.24


@cache
def concepts_of(thing: int) -> tuple[str, ...]:
    found = load_vocabulary().things[thing]
    return (found.name, *found.broader)


def facts_of(scene: Scene) -> frozenset[Fact]:
    vocabulary = load_vocabulary()
    place = vocabulary.places[scene.place].name
    facts: set[Fact] = {("place", place)}
    if scene.place_colour is not None:
        facts.add(("plain", scene.place_colour))
    counts: dict[str, int] = {}
    for item in scene.items:
        for concept in concepts_of(item.thing):
            counts[concept] = counts.get(concept, 0) + 1
            if item.colour is not None:
                facts.add(("tint", concept, item.colour))
    for concept, count in counts.items():
        facts |= {("has", concept), ("count", concept, count)}
        if count >= 3:
            facts.add(("several", concept))
    return frozenset(facts | _arrangement(scene))


def _arrangement(scene: Scene) -> set[Fact]:
    facts: set[Fact] = set()
    by_name: dict[str, list[tuple[float, float, float]]] = {}
    for item in scene.items:
        by_name.setdefault(concepts_of(item.thing)[0], []).append((item.x, item.y, item.size))
    for name, spots in by_name.items():
        if max(size for *_, size in spots) >= BIG:
            facts.add(("big", name))
        if max(size for *_, size in spots) <= SMALL:
            facts.add(("small", name))
        for other, others in by_name.items():
            if max(x for x, *_ in spots) < min(x for x, *_ in others) - _APART:
                facts.add(("left", name, other))
            if max(y for _, y, _ in spots) < min(y for _, y, _ in others) - _APART:
                facts.add(("above", name, other))
    return facts


def truth_matrix(
    images: Sequence[frozenset[Fact]], has_true_colours: np.ndarray, captions: Sequence[tuple[Fact, ...]]
) -> np.ndarray:
    """Returns int8 (images, captions): 1 true, 0 false, -1 unknown, since the picture's look turned its colours."""
    known: dict[Fact, np.ndarray] = {}
    columns = []
    for caption in captions:
        column = np.ones(len(images), dtype=np.int8)
        hangs_on_colour = False
        for fact in caption:
            if fact not in known:
                known[fact] = np.fromiter((fact in facts for facts in images), dtype=bool, count=len(images))
            if fact[0] in COLOUR_FACTS:
                hangs_on_colour = True
                column[~known[fact] & has_true_colours] = 0
            else:
                column[~known[fact]] = 0
        if hangs_on_colour:
            column[(column == 1) & ~has_true_colours] = -1
        columns.append(column)
    return np.stack(columns, axis=1)
