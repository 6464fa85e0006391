"""Owns the way from captions to token ids: a compact table of the tokens that training uses, and the way back."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from pocket.captions import training_words
from pocket.model import CONTEXT_LENGTH, VOCAB_SIZE
from search.encoders.open_clip_encoder import import_open_clip

UNKNOWN = 0  # a row that stays zero, as the rows of all tokens never trained are in the exported table
_START, _END = VOCAB_SIZE - 2, VOCAB_SIZE - 1


@cache
def _words_to_tokens() -> dict[str, tuple[int, ...]]:
    tokenizer = import_open_clip().SimpleTokenizer()
    return {word: tuple(tokenizer.encode(word)) for word in sorted(training_words())}


@cache
def full_ids() -> np.ndarray:
    """Returns the vocabulary's id of each compact id; ascending, so that the end token stays the largest."""
    used = {token for tokens in _words_to_tokens().values() for token in tokens}
    return np.array([-1, *sorted(used), _START, _END], dtype=np.int64)


@cache
def _compact() -> dict[int, int]:
    return {int(full): compact for compact, full in enumerate(full_ids())}


def encode(texts: Sequence[str], rng: np.random.Generator | None = None, *, strange_share: float = 0.0) -> np.ndarray:
    """Returns compact ids (n, longest), zero after the end token.

    `strange_share` of the texts get one token that the model does not know, so that it learns to pass over those.
    """
    compact, rows = _compact(), []
    for text in texts:
        row = [compact[token] for word in text.replace(",", " ,").split() for token in _words_to_tokens()[word]]
        if rng is not None and rng.random() < strange_share:
            row.insert(int(rng.integers(len(row) + 1)), UNKNOWN)
        rows.append([compact[_START], *row[: CONTEXT_LENGTH - 2], compact[_END]])
    out = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for n, row in enumerate(rows):
        out[n, : len(row)] = row
    return out
