"""Owns sentences: captions of a scene in varied words, each with the facts it claims. Held-out words never occur."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pocket.facts import BIG, SMALL, Fact
from pocket.scene import COLOURS, Scene
from pocket.words import Place, Thing, load_vocabulary, plural

_T = TypeVar("_T")

KINDS = {"full": 0.12, "thing": 0.35, "place": 0.12, "some": 0.11, "broader": 0.23, "relation": 0.07}
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
_OPENINGS = (
    "a photo of", "a picture of", "an image of", "a drawing of", "show me", "there is", "a scene with", "find",
    "an illustration of", "image with", "picture with", "i see", "a cartoon of",
)  # fmt: skip
_BEFORE_PLACE = ("in", "on", "at", "under", "in front of", "with", "against", "over", "on a background of")
_JOINS = ("and", "with", "next to", "beside", "and also", "together with")


@dataclass(frozen=True, slots=True)
class Caption:
    text: str
    facts: tuple[Fact, ...]
    kind: str


def _pick(options: Sequence[_T], rng: np.random.Generator) -> _T:
    return options[int(rng.integers(len(options)))]


def _surface(concept: str, rng: np.random.Generator) -> str:
    words = load_vocabulary().surfaces[concept]
    return words[0] if len(words) == 1 or rng.random() < 0.55 else _pick(words[1:], rng)


def with_article(noun: str, word_after: str | None = None) -> str:
    first = word_after or noun
    if word_after is None and (plural(noun) is None or noun.split(" ")[-1] in {"deer", "fish", "sheep"}):
        return noun
    return ("an " if first[0] in "aeiou" else "a ") + (f"{word_after} {noun}" if word_after else noun)


def counted(noun: str, count: int) -> str:
    """Returns "three dogs"; a noun without a plural stays as it is: "three pieces of" would be a new word."""
    return f"{NUMBERS[count]} {plural(noun) or noun}"


def _group(
    thing: Thing, items: list[tuple[str | None, float]], rng: np.random.Generator, *, plain: bool
) -> tuple[str, list[Fact]]:
    """Describes all items of one thing: "two red cars"."""
    noun, name, count = _surface(thing.name, rng), thing.name, len(items)
    facts: list[Fact] = [("has", name)]
    adjectives: list[str] = []
    colour = items[0][0]
    if not plain and rng.random() < 0.12 and max(size for _, size in items) >= BIG:
        adjectives.append(_pick(["big", "large", "huge"], rng))
        facts.append(("big", name))
    elif not plain and rng.random() < 0.12 and max(size for _, size in items) <= SMALL:
        adjectives.append(_pick(["small", "little", "tiny"], rng))
        facts.append(("small", name))
    if colour is not None and rng.random() < 0.7:
        adjectives.append(colour)
        facts.append(("tint", name, colour))
    phrase = " ".join([*adjectives, noun])
    says_count = rng.random() < 0.7
    if count > 1 and says_count:
        if count >= 3 and rng.random() < 0.2:
            facts.append(("several", name))
            return f"{_pick(['several', 'many', 'a group of'], rng)} {plural(phrase) or phrase}", facts
        facts.append(("count", name, count))
        return counted(phrase, count), facts
    if count == 1 and rng.random() < 0.18:
        facts.append(("count", name, 1))
        return f"{_pick(['one', 'a single'], rng)} {phrase}", facts
    if rng.random() < 0.25:
        return phrase, facts
    if count > 1:
        return plural(phrase) or phrase, facts
    return with_article(noun, " ".join(adjectives) or None), facts


def place_phrase(scene: Scene, rng: np.random.Generator) -> tuple[str, list[Fact]]:
    place: Place = load_vocabulary().places[scene.place]
    word = place.name if not place.synonyms or rng.random() < 0.55 else _pick(place.synonyms, rng)
    facts: list[Fact] = [("place", place.name)]
    if scene.place_colour is not None and rng.random() < 0.75:
        facts.append(("plain", scene.place_colour))
        word = f"{_pick(['', 'plain '], rng)}{scene.place_colour} background"
    return word, facts


def _groups(scene: Scene) -> list[tuple[Thing, list[tuple[str | None, float]]]]:
    things = load_vocabulary().things
    grouped: dict[int, list[tuple[str | None, float]]] = {}
    for item in scene.items:
        grouped.setdefault(item.thing, []).append((item.colour, item.size))
    return [(things[thing], items) for thing, items in grouped.items()]


def write_caption(scene: Scene, rng: np.random.Generator, kind: str | None = None) -> Caption:
    """Returns one caption of the scene; without `kind` the kinds come in the shares of KINDS."""
    if kind is None:
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    groups = _groups(scene)
    order = rng.permutation(len(groups))
    if kind == "relation" and len(groups) < 2:
        kind = "some"
    facts: list[Fact]
    if kind == "place":
        text, facts = place_phrase(scene, rng)
        if rng.random() < 0.35:
            text = f"{_pick(_BEFORE_PLACE, rng)} {_pick(['the', 'a'], rng)} {text}"
    elif kind == "thing":
        thing, _ = groups[order[0]]
        noun, facts = _surface(thing.name, rng), [("has", thing.name)]
        text = _pick([noun, with_article(noun), plural(noun) or noun], rng)
    elif kind == "broader":
        thing, items = groups[order[0]]
        text, facts = _broader(thing, items[0][0], rng)
    elif kind == "relation":
        text, facts = _relation(scene, groups[order[0]][0].name, groups[order[1]][0].name, rng)
    else:
        shown = [groups[i] for i in order]
        if kind == "some":
            shown = shown[: int(rng.integers(1, 3))]
        parts = [_group(thing, items, rng, plain=False) for thing, items in shown]
        facts = [fact for _, found in parts for fact in found]
        text = parts[0][0]
        for n, (phrase, _) in enumerate(parts[1:], start=2):
            text += ", " if n < len(parts) and rng.random() < 0.5 else f" {_pick(_JOINS, rng)} "
            text += phrase
        if kind == "full":
            where, place_facts = place_phrase(scene, rng)
            facts += place_facts
            if rng.random() < 0.12:
                text += f"{_pick([' ', ', '], rng)}{where}"
            else:
                text += f" {_pick(_BEFORE_PLACE, rng)} {_pick(['the ', 'a ', ''], rng)}{where}"
    if rng.random() < 0.3:
        text = f"{_pick(_OPENINGS, rng)} {text}"
    return Caption(text, tuple(dict.fromkeys(facts)), kind)


def write_telling_caption(scene: Scene, other: frozenset[Fact], rng: np.random.Generator, *, tries: int = 6) -> Caption:
    """Returns a caption of the scene that is false of the other, where a few tries find one."""
    for _ in range(tries):
        caption = write_caption(scene, rng, _pick(("some", "some", "relation", "full"), rng))
        if not other.issuperset(caption.facts):
            break
    return caption


def _broader(thing: Thing, colour: str | None, rng: np.random.Generator) -> tuple[str, list[Fact]]:
    concept = _pick(thing.broader or (thing.name,), rng)
    noun = _surface(concept, rng)
    if colour is not None and rng.random() < 0.3:
        return _pick([f"{colour} {noun}", with_article(noun, colour)], rng), [("tint", concept, colour)]
    return _pick([noun, with_article(noun), plural(noun) or noun], rng), [("has", concept)]


def _relation(scene: Scene, one: str, other: str, rng: np.random.Generator) -> tuple[str, list[Fact]]:
    from pocket.facts import facts_of

    true = facts_of(scene)
    words: dict[Fact, tuple[str, ...]] = {
        ("left", one, other): ("to the left of", "left of"),
        ("left", other, one): ("to the right of", "right of"),
        ("above", one, other): ("above", "higher than"),
        ("above", other, one): ("below", "under"),
    }
    holding = [fact for fact in words if fact in true]
    a, b = with_article(_surface(one, rng)), with_article(_surface(other, rng))
    facts: list[Fact] = [("has", one), ("has", other)]
    if not holding:
        return f"{a} {_pick(_JOINS, rng)} {b}", facts
    fact = _pick(holding, rng)
    return f"{a} {_pick(words[fact], rng)} {b}", [*facts, fact]


def training_words() -> set[str]:
    """Returns every word that a training caption may contain."""
    vocabulary = load_vocabulary()
    phrases = {form for words in vocabulary.surfaces.values() for word in words for form in (word, plural(word) or "")}
    phrases |= {word for place in vocabulary.places for word in (place.name, *place.synonyms)}
    phrases |= set(COLOURS) | set(NUMBERS.values()) | set(_OPENINGS) | set(_BEFORE_PLACE) | set(_JOINS)
    phrases |= {"a an the one a single several many a group of plain background big large huge small little tiny"}
    phrases |= {","}
    phrases |= {"to the left of right of above higher than below under"}
    return {word for phrase in phrases for word in phrase.split()}
