"""Owns the way from captions to token ids: a compact table of the tokens that training uses, and the way back."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from pocket.captions import training_words
from pocket.model import CONTEXT_LENGTH, VOCAB_SIZE
from search.encoders.open_clip_encoder import import_open_clip

UNKNOWN = 0  # a row that stays zero, as the rows of all other tokens are in the exported table
_SHORTEST_PIECE = 4  # letters; shorter parts of words mean nothing by themselves
_START, _END = VOCAB_SIZE - 2, VOCAB_SIZE - 1


@cache
def _words_to_tokens() -> dict[str, tuple[int, ...]]:
    return {word: tuple(tokens_of(word)) for word in sorted(training_words())}


def tokens_of(text: str) -> list[int]:
    """Returns the vocabulary's ids, without start and end."""
    return list(_tokenizer().encode(text))


@cache
def _tokenizer() -> Any:
    return import_open_clip().SimpleTokenizer()


@cache
def spellings() -> dict[int, str]:
    """Returns the vocabulary's id and the letters of all tokens that are plain words, or longer parts of words."""
    plain = {id: token.removesuffix("</w>") for token, id in _tokenizer().encoder.items()}
    whole = whole_words()
    return {
        id: letters
        for id, letters in plain.items()
        if letters.isascii() and letters.isalpha() and len(letters) >= (2 if id in whole else _SHORTEST_PIECE)
    }


@cache
def whole_words() -> frozenset[int]:
    """Returns the vocabulary's ids of the tokens that end a word, and so may be one."""
    return frozenset(id for token, id in _tokenizer().encoder.items() if token.endswith("</w>"))


@cache
def full_ids() -> np.ndarray:
    """Returns the vocabulary's id of each compact id; ascending, so that the end token stays the largest."""
    return np.array([-1, *sorted(trained_ids() | set(spellings())), _START, _END], dtype=np.int64)


@cache
def trained_ids() -> frozenset[int]:
    """Returns the vocabulary's ids of the tokens in captions."""
    return frozenset(token for tokens in _words_to_tokens().values() for token in tokens)


@cache
def _compact() -> dict[int, int]:
    return {int(full): compact for compact, full in enumerate(full_ids())}


def encode(texts: Sequence[str], rng: np.random.Generator | None = None, *, strange_share: float = 0.0) -> np.ndarray:
    """Returns compact ids (n, longest), zero after the end token.

    `strange_share` of the texts get one token that the model does not know, so that it learns to pass over those.
    """
    words, rows = _words_to_tokens(), []
    for text in texts:
        row = [_compact()[token] for word in text.replace(",", " ,").split() for token in words[word]]
        if rng is not None and rng.random() < strange_share:
            row.insert(int(rng.integers(len(row) + 1)), UNKNOWN)
        rows.append(row)
    return _framed(rows)


def encode_words(words: Sequence[str]) -> np.ndarray:
    """Returns compact ids as `encode` does, of any words; a token that has none is UNKNOWN."""
    return _framed([[_compact().get(token, UNKNOWN) for token in tokens_of(word)] for word in words])


def _framed(rows: Sequence[Sequence[int]]) -> np.ndarray:
    compact = _compact()
    rows = [[compact[_START], *row[: CONTEXT_LENGTH - 2], compact[_END]] for row in rows]
    out = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for n, row in enumerate(rows):
        out[n, : len(row)] = row
    return out
