"""Owns the choice of the gallery's scenes: unseen combinations, varied, well composed, no two nearly alike."""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from pocket.captions import counted, with_article
from pocket.facts import concepts_of
from pocket.holdout import FAVOURITES, is_absent_from_gallery
from pocket.scene import Scene, draw_scene
from pocket.words import load_vocabulary

SEEDS_FILE = Path(__file__).with_name("gallery_seeds.txt")
GALLERY_PX = 384
_PER_PLACE, _PER_THING = 46, 20
# (different things, things in all, 4 standing for more) → scenes
_SHAPES = {(1, 1): 170, (1, 2): 60, (1, 3): 50, (1, 4): 40, (2, 2): 210, (2, 3): 150, (2, 4): 130, (3, 3): 110,
           (3, 4): 50, (4, 4): 30}  # fmt: skip
_FIRST_SEED, _OTHER_SEED = 1_000_000, 9_000_000
# Large enough to be seen in a small thumbnail; much larger than the sprite's own pixels would look soft.
_SIZES = {1: (0.36, 0.46), 2: (0.31, 0.42), 3: (0.29, 0.37), 4: (0.27, 0.33), 5: (0.24, 0.29)}
_POPULAR_SHARE, _POPULAR_WEIGHT = 5, 5.0  # every fifth thing is drawn so much more often: ten images and more
_WHERE = {
    "beach": "on the beach", "night sky": "under the night sky", "forest": "in the forest", "snow": "in the snow",
    "desert": "in the desert", "city": "in the city", "kitchen": "in the kitchen", "grid paper": "on grid paper",
    "stripes": "on stripes", "polka dots": "on polka dots", "meadow": "in the meadow", "underwater": "underwater",
    "mountains": "in the mountains", "sunset": "at sunset", "rain": "in the rain", "road": "on the road",
    "living room": "in the living room", "brick wall": "in front of a brick wall",
    "wooden boards": "on wooden boards", "checkerboard": "on a checkerboard", "blue sky": "in the blue sky",
    "stage": "on the stage", "outer space": "in outer space",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GalleryScene:
    seed: int
    scene: Scene

    @property
    def id(self) -> str:
        return sha256(f"pocket gallery {self.seed}".encode()).hexdigest()[:20]


@cache
def _pool() -> tuple[np.ndarray, np.ndarray]:
    things = [thing for thing in load_vocabulary().things if not is_absent_from_gallery(thing.name)]
    is_popular = [n % _POPULAR_SHARE == 0 or thing.name in FAVOURITES for n, thing in enumerate(things)]
    weights = np.where(is_popular, _POPULAR_WEIGHT, 1.0)
    return np.array([thing.index for thing in things]), weights / weights.sum()


def scene_of(seed: int) -> Scene:
    things, weights = _pool()
    rng = np.random.default_rng([7, seed])
    shares = (0.34, 0.42, 0.18, 0.06)
    return draw_scene(rng, group_shares=shares, unseen=True, things=things, weights=weights, sizes=_SIZES)


def composition(scene: Scene) -> float:
    """Larger is better: things apart from one another, within the frame, neither tiny nor all in one corner."""
    items = scene.items
    score = 0.0
    for n, item in enumerate(items):
        edge = min(item.x, item.y, 1 - item.x, 1 - item.y) - item.size / 2
        score += min(edge, 0.04) * 4
        for other in items[:n]:
            gap = max(abs(item.x - other.x), abs(item.y - other.y)) - (item.size + other.size) / 2
            score += min(gap, 0.03) * 10
    middle = np.mean([(item.x, item.y) for item in items], axis=0)
    covered = sum(item.size**2 for item in items)
    return score / len(items) - float(np.abs(middle - 0.5).max()) + min(covered, 0.3)


def choose_seeds(candidates: int = 20_000, *, first: int = _FIRST_SEED) -> list[int]:
    """Fills the shares of _SHAPES with the best composed, and skips what the gallery has enough of."""
    ranked = []
    for seed in range(first, first + candidates):
        scene = scene_of(seed)
        ranked.append((-composition(scene), seed, scene))
    ranked.sort(key=lambda entry: entry[:2])
    room = dict(_SHAPES)
    places: Counter[int] = Counter()
    singles: Counter[int] = Counter()
    seen: set[tuple[int, frozenset[int]]] = set()
    chosen: list[int] = []
    for _, seed, scene in ranked:
        things = frozenset(item.thing for item in scene.items)
        shape = (len(things), min(len(scene.items), 4))
        # Two or more things together occur once, whatever the place; a single thing once in each place.
        key = (scene.place if len(things) == 1 else -1, things)
        is_full = places[scene.place] >= _PER_PLACE or any(singles[thing] >= _PER_THING for thing in things)
        if not room.get(shape) or key in seen or is_full:
            continue
        room[shape] -= 1
        places[scene.place] += 1
        singles.update(things)
        seen.add(key)
        chosen.append(seed)
    return sorted(chosen)


@cache
def gallery() -> tuple[GalleryScene, ...]:
    """Returns the committed choice, in the order of its seeds."""
    seeds = [int(line) for line in SEEDS_FILE.read_text(encoding="ascii").split()]
    return tuple(GalleryScene(seed, scene_of(seed)) for seed in seeds)


def other_gallery() -> tuple[GalleryScene, ...]:
    """Returns as many scenes, chosen in the same way from other seeds: nobody looked at these while they trained."""
    return tuple(GalleryScene(seed, scene_of(seed)) for seed in choose_seeds(first=_OTHER_SEED))


def describe(scene: Scene) -> str:
    """Returns the record's caption: everything, in the things' own names."""
    vocabulary = load_vocabulary()
    groups: dict[tuple[int, str | None], int] = {}
    for item in scene.items:
        groups[item.thing, item.colour] = groups.get((item.thing, item.colour), 0) + 1
    parts = []
    for (thing, colour), count in groups.items():
        name = concepts_of(thing)[0]
        if count > 1:
            parts.append(counted(f"{colour} {name}" if colour else name, count))
        else:
            parts.append(with_article(name, colour))
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    if scene.place_colour:
        return f"{listed} on {with_article('background', scene.place_colour)}"
    return f"{listed} {_WHERE[vocabulary.places[scene.place].name]}"


def metadata(scene: Scene) -> dict[str, str | int]:
    vocabulary = load_vocabulary()
    names = sorted({concepts_of(item.thing)[0] for item in scene.items})
    colours = sorted({item.colour for item in scene.items if item.colour})
    broader = sorted({concept for item in scene.items for concept in concepts_of(item.thing)[1:]})
    place = vocabulary.places[scene.place].name
    return {
        "background": f"plain {scene.place_colour}" if scene.place_colour else place,
        "objects": ", ".join(names),
        "kinds": ", ".join(broader),
        "colours": ", ".join(colours),
        "count": len(scene.items),
    }


if __name__ == "__main__":
    SEEDS_FILE.write_text("\n".join(map(str, choose_seeds())) + "\n", encoding="ascii")
    print(f"scenes={len(gallery())}")
