"""Measures the table of bars on the gallery and on freshly drawn pairs, with any encoder of texts and images.

python -m pocket.evaluate [--other]
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocket.facts import Fact, facts_of
from pocket.gallery_scenes import GALLERY_PX, GalleryScene, gallery, other_gallery
from pocket.pairs import PAIRS
from pocket.queries import full_caption
from pocket.render import crop, render, restyle
from pocket.scene import Scene, redraw
from pocket.words import load_vocabulary
from search.encoders.load import load_encoder
from search.encoders.preprocess import to_pixels
from search.types import Embeddings, Encoder

_BATCH = 64
_PAIR_CASES = 300
_PAIR_BARS: dict[str, tuple[float | None, float | None]] = {
    "object colour": (0.9, 0.97),
    "count 1 or 3": (0.8, 0.9),
    "left or right": (None, 0.8),
    "colour binding": (None, 0.8),
}


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    value: float
    bar: float | None
    stretch: float | None
    cases: int

    @property
    def is_met(self) -> bool | None:
        return None if self.bar is None else self.value >= self.bar


def evaluate(encoder: Encoder, entries: Sequence[GalleryScene] | None = None) -> list[Measure]:
    """Returns every measure of the model card, on the gallery unless other scenes are given; a minute on one core."""
    entries = gallery() if entries is None else entries
    scenes = [entry.scene for entry in entries]
    facts = [facts_of(scene) for scene in scenes]
    images = embed(encoder, (render(scene, GALLERY_PX) for scene in scenes))
    measures = _captions(encoder, images, facts, entries)
    measures += _words(encoder, images, facts)
    measures += _views(encoder, images, scenes)
    measures += _pairs(encoder)
    return measures


def embed(encoder: Encoder, pictures: Iterable[Image.Image]) -> Embeddings:
    out: list[Embeddings] = []
    waiting = iter(pictures)
    while batch := [to_pixels(picture, encoder.preprocess) for picture in islice(waiting, _BATCH)]:
        out.append(encoder.encode_images(np.stack(batch)))
    return np.concatenate(out)


def _embed_texts(encoder: Encoder, texts: Sequence[str]) -> Embeddings:
    return np.concatenate([encoder.encode_texts(texts[n : n + 256]) for n in range(0, len(texts), 256)])


def _truth(facts: Sequence[frozenset[Fact]], wanted: Sequence[tuple[Fact, ...]]) -> NDArray[np.bool_]:
    """Returns (wanted, images)."""
    return np.array([[set(one) <= found for found in facts] for one in wanted])


def _captions(
    encoder: Encoder, images: Embeddings, facts: Sequence[frozenset[Fact]], entries: Sequence[GalleryScene]
) -> list[Measure]:
    captions = [full_caption(entry) for entry in entries]
    scores = _embed_texts(encoder, [caption.text for caption in captions]) @ images.T
    truth = _truth(facts, [caption.facts for caption in captions])
    ranked = np.take_along_axis(truth, np.argsort(-scores, axis=1), axis=1)  # (captions, images)
    bars = {1: (0.5, 0.7), 5: (None, None), 10: (0.85, 0.95)}
    return [
        Measure(f"full caption → image, R@{k}", float(ranked[:, :k].any(1).mean()), *bars[k], len(captions))
        for k in bars
    ]


def _words(encoder: Encoder, images: Embeddings, facts: Sequence[frozenset[Fact]]) -> list[Measure]:
    vocabulary = load_vocabulary()
    names = {thing.name for thing in vocabulary.things}
    has: dict[str, NDArray[np.bool_]] = {
        c: np.array([("has", c) in found for found in facts]) for c in vocabulary.members
    }
    own, other, never, hit_rows = [], [], [], []
    for concept, surfaces in vocabulary.surfaces.items():
        relevant = has[concept]
        if relevant.sum() >= 10:
            own += [(surfaces[0], relevant)] if concept in names else []
            other += [(word, relevant) for word in (surfaces[1:] if concept in names else surfaces)]
        if relevant.any():
            never += [(word, relevant) for word in vocabulary.held_out[concept]]
            hit_rows += [(surfaces[0], relevant)]
    places = []
    for place in vocabulary.places:
        relevant = np.array([("place", place.name) in found for found in facts])
        places += [(word, relevant) for word in (place.name, *place.synonyms)]

    def mean(cases: list[tuple[str, NDArray[np.bool_]]], of: Callable[[NDArray[np.bool_]], float]) -> float:
        scores = _embed_texts(encoder, [word for word, _ in cases]) @ images.T
        best = np.argsort(-scores, axis=1)
        return float(np.mean([of(relevant[order]) for (_, relevant), order in zip(cases, best, strict=True)]))

    def precision(found: NDArray[np.bool_]) -> float:
        return float(found[:10].mean())

    def any_of_five(found: NDArray[np.bool_]) -> float:
        return float(found[:5].any())

    return [
        Measure("seen single words, P@10", mean(own, precision), 0.75, 0.9, len(own)),
        Measure("background words, P@10", mean(places, precision), 0.9, 0.97, len(places)),
        Measure("synonyms and broader words, P@10", mean(other, precision), 0.6, 0.8, len(other)),
        Measure("words never trained, hit@5", mean(never, any_of_five), 0.4, 0.6, len(never)),
        Measure("all names, hit@5", mean(hit_rows, any_of_five), None, None, len(hit_rows)),
    ]


def _views(encoder: Encoder, images: Embeddings, scenes: Sequence[Scene]) -> list[Measure]:
    rng = np.random.default_rng(17)
    redrawn = [redraw(scene, rng) for scene in scenes]

    def share(pictures: Iterable[Image.Image], k: int) -> float:
        scores = embed(encoder, pictures) @ images.T
        rank = (scores > scores.diagonal()[:, None]).sum(1)
        return float((rank < k).mean())

    restyled = (Image.fromarray(restyle(np.asarray(render(scene, GALLERY_PX)), rng)) for scene in scenes)
    cropped = (crop(render(scene, GALLERY_PX), 0.75, rng) for scene in scenes)
    n = len(scenes)
    return [
        Measure("image → re-rendered, R@1", share((render(s, GALLERY_PX) for s in redrawn), 1), 0.9, 0.97, n),
        Measure("image → restyled, R@10", share(restyled, 10), 0.6, 0.85, n),
        Measure("image → cropped to 75 %, R@10", share(cropped, 10), 0.6, 0.85, n),
    ]


def _pairs(encoder: Encoder) -> list[Measure]:
    """Two images that differ in one respect, one sentence: chance is one half."""
    rng = np.random.default_rng(19)
    out = []
    for name, make in PAIRS.items():
        cases = [make(rng) for _ in range(_PAIR_CASES)]
        pictures = [render(scene, GALLERY_PX // 2) for case in cases for scene in (case.right, case.wrong)]
        images = embed(encoder, pictures).reshape(len(cases), 2, -1)
        texts = _embed_texts(encoder, [case.text for case in cases])
        scores = np.einsum("nd,nkd->nk", texts, images)
        out.append(
            Measure(f"pairs: {name}", float((scores[:, 0] > scores[:, 1]).mean()), *_PAIR_BARS[name], len(cases))
        )
    return out


def as_text(measures: Sequence[Measure]) -> str:
    lines = [f"{'measure':<36}{'value':>7}{'bar':>7}{'stretch':>9}{'cases':>7}"]
    for m in measures:
        bar, stretch = (f"{x:.2f}" if x is not None else "–" for x in (m.bar, m.stretch))
        verdict = {True: "met", False: "missed", None: ""}[m.is_met]
        lines.append(f"{m.name:<36}{m.value:>7.3f}{bar:>7}{stretch:>9}{m.cases:>7}  {verdict}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", action="store_true", help="on a second gallery that no choice was made by")
    args = parser.parse_args()
    folder = Path(__file__).with_name("encoder")
    encoder = load_encoder(str(folder), models_dir=folder, bundled=folder)
    print(as_text(evaluate(encoder, other_gallery() if args.other else None)))


if __name__ == "__main__":
    main()
