"""A small real encoder for tests: colour words and an image's mean colour in one space, so that scores are exact."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.types import Embeddings, Preprocess

WORDS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "cyan": (0.0, 1.0, 1.0),
    "magenta": (1.0, 0.0, 1.0),
    "white": (1.0, 1.0, 1.0),
}


class FakeEncoder:
    """dim 3: a text is the sum of its colour words (grey where there is none), an image its mean colour."""

    def __init__(self, name: str = "fake", fingerprint: str = "fake-1") -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.dim = 3
        self.preprocess = Preprocess(size=(8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.texts_encoded = 0
        self.images_encoded = 0

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self.texts_encoded += len(texts)
        sums = [np.sum([WORDS[w] for w in text.lower().split() if w in WORDS] or [(1, 1, 1)], axis=0) for text in texts]
        return _normalised(np.array(sums, np.float32).reshape(len(texts), 3))

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        self.images_encoded += len(pixels)
        return _normalised(pixels.mean(axis=(1, 2), dtype=np.float32) + np.float32(1e-3))


def _normalised(rows: NDArray[np.float32]) -> Embeddings:
    normalised: Embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normalised
