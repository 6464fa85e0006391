"""How well hits fit, relative to this collection and this encoder; nothing here searches.

Cosines of text → image (0.2–0.35) and image → image (0.5–1.0) live on different scales, and on others again with
another encoder, so no fixed threshold means anything: a score is compared with scores of the same collection.
"""

from collections.abc import Sequence

import numpy as np

from search.types import Embedding, Embeddings

_WORDS = """
dog cat horse bird fish tree flower car bus train bicycle boat airplane house bridge road mountain river beach sea sky
cloud sun moon star rain snow fire night city street garden forest field person man woman child face hand eye book phone
computer clock chair table bed lamp door window cup bottle plate knife spoon food bread fruit apple banana cake pizza
shirt shoe hat bag umbrella ball guitar
"""

# What anybody might look for in pictures of any kind: the yardstick for "nothing here fits well".
ORDINARY_WORDS = tuple(_WORDS.split())

# A best hit is weak below this share of the way from what ordinary words score on any image to what they score on their
# best. Measured on the bundled gallery: docs/decisions/0003-weak-answers-and-subtraction.md.
WEAK_BELOW = 0.75

# Fewer images say nothing about what is usual.
LEAST_BACKGROUND = 50


def fits(scores: Sequence[float], background: Embeddings, vector: Embedding) -> list[float]:
    """For each score the share of the background (n, dim) that it beats, 0…1."""
    if not len(background):
        return [1.0] * len(scores)
    usual = np.sort(background @ vector)
    return [float(share) for share in np.searchsorted(usual, np.asarray(scores, np.float32)) / len(usual)]


def least_usual(words: Embeddings, background: Embeddings) -> float:
    """The score below which the best hit of a text is weak, from ordinary words (n, dim) over the background (m, dim).

    −1, which no score is below, where the background says nothing.
    """
    if len(background) < LEAST_BACKGROUND:
        return -1.0
    scores = words @ background.T  # (n, m)
    anywhere, best = float(scores.mean()), float(np.median(scores.max(axis=1)))
    return anywhere + WEAK_BELOW * (best - anywhere)
