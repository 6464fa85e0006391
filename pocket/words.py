"""Owns the vocabulary: reads words.txt into objects, concepts and backgrounds. Draws nothing."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

WORDS_FILE = Path(__file__).with_name("words.txt")

_UNCOUNTABLE = {
    "bread", "toast", "rice", "meat", "beef", "corn", "maize", "garlic", "broccoli", "lettuce", "wheat", "grain",
    "wood", "wool", "yarn", "soap", "money", "milk", "soda", "cola", "honey", "sake", "lightning", "fire", "popcorn",
    "sushi", "luggage", "karate", "fishing", "archery", "coral", "cutlery", "reading", "news", "sunshine", "bamboo",
}  # fmt: skip
_IRREGULAR = {
    "mouse": "mice", "wolf": "wolves", "knife": "knives", "loaf": "loaves", "tooth": "teeth", "foot": "feet",
    "goose": "geese", "policeman": "policemen", "person": "people", "sheep": "sheep", "fish": "fish", "deer": "deer",
    "shrimp": "shrimp", "bison": "bison", "squid": "squid", "aircraft": "aircraft", "leaf": "leaves", "calf": "calves",
    "snowman": "snowmen", "elf": "elves", "scarf": "scarves", "die": "dice", "thief": "thieves", "child": "children",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawable object; `broader` are the concepts it belongs to besides its own name."""

    index: int
    glyph: str
    name: str
    synonyms: tuple[str, ...]
    held_out: tuple[str, ...]
    broader: tuple[str, ...]
    has_tint: bool


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    synonyms: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    things: tuple[Thing, ...]
    places: tuple[Place, ...]
    members: dict[str, frozenset[int]]  # concept → indices of the things that it names
    surfaces: dict[str, tuple[str, ...]]  # concept → words used in training, its own name first
    held_out: dict[str, tuple[str, ...]]  # concept → words never used in training


def plural(word: str) -> str | None:
    """Returns the plural of a noun phrase's last word, None where the phrase has none."""
    head, _, last = word.rpartition(" ")
    head = f"{head} " if head else ""
    if last in _IRREGULAR:
        return head + _IRREGULAR[last]
    if " of " in word or " and " in word or " with " in word or last in _UNCOUNTABLE or last.endswith("ing"):
        return None
    if last.endswith(("s", "us")) and not last.endswith(("us", "ss")):
        return None
    if last.endswith(("s", "x", "ch", "sh", "z")):
        return word + "es"
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _split(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    return tuple(w for w in words if not w.endswith("~")), tuple(w[:-1] for w in words if w.endswith("~"))


@cache
def load_vocabulary() -> Vocabulary:
    things: list[Thing] = []
    places: list[Place] = []
    category_words: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    section: tuple[str, ...] = ()
    has_tint = False
    for raw in WORDS_FILE.read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            inside, _, flags = line[1:].partition("]")
            section = tuple(word.strip() for word in inside.split(",") if word.strip())
            has_tint = "+tint" in flags
            continue
        mark, rest = line.split(" ", 1)
        name, _, tail = rest.partition(":")
        trained, held_out = _split(tail.partition("|")[0])
        if mark == "=":
            category_words[name.strip()] = trained, held_out
        elif mark == "@":
            places.append(Place(name.strip(), trained, held_out))
        else:
            broader = tuple(w.strip() for w in tail.partition("|")[2].split(",") if w.strip())
            things.append(Thing(len(things), mark, name.strip(), trained, held_out, section + broader, has_tint))
    return _assemble(tuple(things), tuple(places), category_words)


def _assemble(
    things: tuple[Thing, ...],
    places: tuple[Place, ...],
    category_words: dict[str, tuple[tuple[str, ...], tuple[str, ...]]],
) -> Vocabulary:
    members: dict[str, set[int]] = {thing.name: {thing.index} for thing in things}
    surfaces = {thing.name: (thing.name, *thing.synonyms) for thing in things}
    held_out = {thing.name: thing.held_out for thing in things}
    for thing in things:
        for concept in thing.broader:
            members.setdefault(concept, set()).add(thing.index)
            if concept not in surfaces:
                trained, never = category_words.get(concept, ((), ()))
                surfaces[concept], held_out[concept] = (concept, *trained), never
    frozen = {concept: frozenset(indices) for concept, indices in members.items()}
    return Vocabulary(things, places, frozen, surfaces, held_out)
