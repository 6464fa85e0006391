"""Texts and pictures to embeddings by one encoder, the latest of them remembered; knows no collection."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from search.images.decoder import Decoded, Decoder
from search.types import Embedding, Embeddings, Encoder, Observer

QUERY_DEADLINE_S = 2.0  # for decoding one picture of a query: a person waits for it
CACHED_EMBEDDINGS = 2_000  # 2,000 × 512 × 4 bytes = 4 MB


class Embedder:
    """Thread-safe. `observer`, which may come later, is told what was encoded and what was remembered."""

    def __init__(self, encoder: Encoder, *, decoder: Decoder, observer: Observer | None = None) -> None:
        self.encoder = encoder
        self._decoder = decoder
        self.observer = observer
        self._cache: OrderedDict[str, Embedding] = OrderedDict()
        self._cache_lock = threading.Lock()

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """float32 (len(texts), dim), in the order given; recent ones come from the cache."""
        found = {text: self.cached(f"text:{text}") for text in texts}
        new = [text for text, embedding in found.items() if embedding is None]
        if new:
            for text, embedding in zip(new, self.encoder.encode_texts(new), strict=True):
                found[text] = self.remember(f"text:{text}", embedding)
        if self.observer and found:
            self.observer.encoded("text", new=len(new), cached=len(found) - len(new))
        return stacked([found[text] for text in texts], self.encoder.dim)

    def embed_images(self, images: Sequence[bytes]) -> Embeddings:
        """float32 (len(images), dim), in the order given. Raises: BadImage for the first that can't be used."""
        return self._embed_pictures({f"Image {n}": data for n, data in enumerate(images, 1)})

    def embed_image(self, data: bytes, *, name: str) -> Embedding:
        """Raises: BadImage."""
        embedding: Embedding = self._embed_pictures({name: data})[0]
        return embedding

    def _embed_pictures(self, images: Mapping[str, bytes]) -> Embeddings:
        """By what an error calls each."""
        keys = {name: f"image:{hashlib.sha256(data).hexdigest()}" for name, data in images.items()}
        found = {key: self.cached(key) for key in keys.values()}
        new = {key: self.decode(images[name], name=name).pixels for name, key in keys.items() if found[key] is None}
        if new:
            for key, embedding in zip(new, self.encoder.encode_images(np.stack([*new.values()])), strict=True):
                found[key] = self.remember(key, embedding)
        if self.observer and found:
            self.observer.encoded("image", new=len(new), cached=len(found) - len(new))
        return stacked([found[key] for key in keys.values()], self.encoder.dim)

    def decode(self, data: bytes, *, name: str) -> Decoded:
        return self._decoder.decode(data, preprocess=self.encoder.preprocess, name=name, deadline_s=QUERY_DEADLINE_S)

    def cached(self, key: str) -> Embedding | None:
        with self._cache_lock:
            embedding = self._cache.get(key)
            if embedding is not None:
                self._cache.move_to_end(key)
            return embedding

    def remember(self, key: str, embedding: Embedding) -> Embedding:
        with self._cache_lock:
            self._cache[key] = embedding
            self._cache.move_to_end(key)
            if len(self._cache) > CACHED_EMBEDDINGS:
                self._cache.popitem(last=False)
        return embedding


def stacked(rows: Sequence[Embedding | None], dim: int) -> Embeddings:
    held = [row for row in rows if row is not None]
    return np.stack(held) if held else np.empty((0, dim), np.float32)
