"""Texts and pictures to embeddings by one encoder, the latest of them remembered; knows no collection."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

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
        keys = [f"image:{hashlib.sha256(data).hexdigest()}" for data in images]
        found = {key: self.cached(key) for key in keys}
        new = {
            key: self.decode(data, name=f"Image {n}").pixels
            for n, (key, data) in enumerate(zip(keys, images, strict=True), 1)
            if found[key] is None
        }
        if new:
            for key, embedding in zip(new, self.encoder.encode_images(np.stack([*new.values()])), strict=True):
                found[key] = self.remember(key, embedding)
        return stacked([found[key] for key in keys], self.encoder.dim)

    def embed_image(self, data: bytes, *, name: str) -> Embedding:
        key = f"image:{hashlib.sha256(data).hexdigest()}"
        embedding = self.cached(key)
        if self.observer:
            self.observer.encoded("image", new=int(embedding is None), cached=int(embedding is not None))
        if embedding is None:
            decoded = self.decode(data, name=name)
            embedding = self.remember(key, self.encoder.encode_images(decoded.pixels[np.newaxis])[0])
        return embedding

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
