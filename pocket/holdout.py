"""Owns one rule: which combinations training never sees. Every generator of scenes asks here."""

from collections.abc import Iterable
from functools import cache
from itertools import combinations
from zlib import crc32

PAIR_SHARE = 8  # one pair of things in so many is held out
PLACE_SHARE = 10  # one (thing, background) in so many is held out
GALLERY_SHARE = 11  # of so many things, three are in no gallery scene


@cache
def is_pair_held_out(one: str, other: str) -> bool:
    first, second = sorted((one, other))
    return first != second and crc32(f"pair|{first}|{second}".encode()) % PAIR_SHARE == 0


@cache
def is_place_held_out(name: str, place: str) -> bool:
    return crc32(f"place|{name}|{place}".encode()) % PLACE_SHARE == 0


# What people type first at an empty page: the gallery has it.
FAVOURITES = frozenset(
    {
        *("dog", "cat", "horse", "elephant", "unicorn", "octopus", "car", "bus", "bicycle", "sailboat", "rocket"),
        *("house", "apple", "guitar", "piano", "camera", "books", "sun", "moon", "rainbow"),
    }
)


@cache
def is_absent_from_gallery(name: str) -> bool:
    """Things that the model learns and the gallery lacks: what an unanswerable query asks for."""
    return name not in FAVOURITES and crc32(f"gallery|{name}".encode()) % GALLERY_SHARE < 3


def is_held_out(names: Iterable[str], place: str) -> bool:
    """Says whether a scene of these things at this place holds a combination kept from training."""
    distinct = sorted(set(names))
    return any(is_place_held_out(name, place) for name in distinct) or any(
        is_pair_held_out(one, other) for one, other in combinations(distinct, 2)
    )
