"""Owns queries.csv: labelled queries about the gallery, each with the ids it should find. Deterministic.

python -m pocket.queries
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pocket.captions import Caption, counted, with_article, write_caption
from pocket.facts import Fact, facts_of
from pocket.gallery_scenes import GalleryScene, describe, gallery
from pocket.holdout import is_absent_from_gallery
from pocket.words import load_vocabulary, plural

QUERIES_FILE = Path(__file__).with_name("queries.csv")
UNANSWERABLE = 150
_CAPTIONS, _PAIRS, _COLOURS, _COUNTS = 300, 150, 80, 60

Row = tuple[str, str, list[str]]  # query, kind, ids


def full_caption(entry: GalleryScene) -> Caption:
    """Returns one sentence about everything in the scene, in the varied words of training."""
    return write_caption(entry.scene, np.random.default_rng([11, entry.seed]), "full")


def find(facts: tuple[Fact, ...]) -> list[str]:
    """Returns the ids of the gallery's scenes of which all the facts are true."""
    return [entry.id for entry in gallery() if set(facts) <= _facts(entry)]


def _facts(entry: GalleryScene, _known: dict[int, frozenset[Fact]] = {}) -> frozenset[Fact]:  # noqa: B006 - a cache
    if entry.seed not in _known:
        _known[entry.seed] = facts_of(entry.scene)
    return _known[entry.seed]


def rows() -> Iterator[Row]:
    yield from _captions()
    yield from _words()
    yield from _details()
    yield from _unanswerable()


def _captions() -> Iterator[Row]:
    for entry in gallery()[:: max(1, len(gallery()) // _CAPTIONS)][:_CAPTIONS]:
        yield describe(entry.scene), "caption", find(tuple(_described(entry)))


def _described(entry: GalleryScene) -> list[Fact]:
    facts: list[Fact] = [("place", load_vocabulary().places[entry.scene.place].name)]
    if entry.scene.place_colour:
        facts.append(("plain", entry.scene.place_colour))
    names = entry.scene.names()
    for name, item in zip(names, entry.scene.items, strict=True):
        facts.append(("count", name, names.count(name)))
        if item.colour:
            facts.append(("tint", name, item.colour))
    return facts


def _words() -> Iterator[Row]:
    """One row for each word: things, their synonyms, broader words, words never trained, backgrounds."""
    vocabulary = load_vocabulary()
    names = {thing.name for thing in vocabulary.things}
    for concept, surfaces in vocabulary.surfaces.items():
        ids = find((("has", concept),))
        if not ids:
            continue
        for surface in surfaces:
            kind = "broader" if concept not in names else "object" if surface == concept else "synonym"
            yield surface, kind, ids
        for surface in vocabulary.held_out[concept]:
            yield surface, "held_out", ids
    for place in vocabulary.places:
        ids = find((("place", place.name),))
        for surface in (place.name, *place.synonyms):
            yield surface, "background", ids
        for surface in place.held_out:
            yield surface, "held_out", ids


def _details() -> Iterator[Row]:
    rng = np.random.default_rng(13)
    seen: set[str] = set()
    wanted = {"pair": _PAIRS, "colour": _COLOURS, "count": _COUNTS}
    for n in rng.permutation(len(gallery())):
        scene = gallery()[int(n)].scene
        names = list(dict.fromkeys(scene.names()))
        first = scene.items[0]
        for kind, text, facts in (
            ("pair", " and ".join(map(with_article, names[:2])), tuple(("has", name) for name in names[:2])),
            ("colour", with_article(names[0], first.colour), (("tint", names[0], first.colour or ""),)),
            ("count", counted(names[0], max(2, scene.names().count(names[0]))),
             (("count", names[0], scene.names().count(names[0])),)),
        ):  # fmt: skip
            is_fit = {
                "pair": len(names) > 1,
                "colour": first.colour is not None,
                "count": scene.names().count(names[0]) > 1 and plural(names[0]) is not None and first.colour is None,
            }[kind]
            if is_fit and wanted[kind] and text not in seen:
                wanted[kind] -= 1
                seen.add(text)
                yield text, kind, find(facts)


def _unanswerable() -> Iterator[Row]:
    """Things that the model knows and the gallery lacks, by name; then more of them by a synonym."""
    absent = [thing for thing in load_vocabulary().things if is_absent_from_gallery(thing.name)]
    texts = [thing.name for thing in absent] + [thing.synonyms[0] for thing in absent if thing.synonyms]
    for text in texts[:UNANSWERABLE]:
        yield text, "unanswerable", []


def words_of(kind: str) -> str:
    """Whether the model was trained on a query's words, which splits the share that is flagged wrongly."""
    if kind == "unanswerable":
        return "trained, no image"
    return "never trained" if kind == "held_out" else "trained"


def main() -> None:
    with QUERIES_FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["query", "kind", "words", "relevant"])
        kinds: dict[str, int] = {}
        for text, kind, ids in rows():
            writer.writerow([text, kind, words_of(kind), " ".join(ids)])
            kinds[kind] = kinds.get(kind, 0) + 1
    print(" ".join(f"{kind}={count}" for kind, count in kinds.items()))


if __name__ == "__main__":
    main()
