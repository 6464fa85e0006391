"""Answers queries over one collection with its encoder; it owns the way from parts to hits and no storage."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from search import ranking
from search.errors import BadQuery, EncoderMismatch, ItemNotFound, UnknownField
from search.images.decoder import Decoded, Decoder
from search.kept_images import KeptImage, KeptImages
from search.query import checked, to_vector
from search.types import (
    FILTER_COLUMNS,
    Answer,
    Collection,
    Embedding,
    Embeddings,
    Encoder,
    Hit,
    Observer,
    Part,
    Query,
    Where,
)

QUERY_DEADLINE_S = 2.0  # for decoding one picture of a query: a person waits for it
NAMED_FIELDS = 20  # in an error
CACHED_EMBEDDINGS = 2_000  # 2,000 × 512 × 4 bytes = 4 MB


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one part adds to a hit's score before normalising: weight × cosine."""

    label: str
    kind: Literal["text", "image", "id"]
    weight: float
    cosine: float


class SearchEngine:
    """One collection and the one encoder it was embedded with. Thread-safe. Raises: EncoderMismatch."""

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder,
        *,
        decoder: Decoder,
        kept: KeptImages,
        observer: Observer | None = None,
    ) -> None:
        info = collection.info
        if info.fingerprint != encoder.fingerprint:
            raise EncoderMismatch(
                f'The collection "{info.name}" was made with the model "{info.model}" ({info.fingerprint[:12]}); '
                f'"{encoder.name}" ({encoder.fingerprint[:12]}) is another one. Open it with the model it was made '
                "with, or make a new collection."
            )
        self.collection = collection
        self.encoder = encoder
        self._decoder = decoder
        self._kept = kept
        self.observer = observer
        self._cache: OrderedDict[str, Embedding] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._ordinary: Embeddings | None = None  # (words, dim)
        self._least: tuple[Embeddings, float] | None = None  # of a background

    def search(self, query: Query) -> Answer:
        """Raises: BadQuery, BadImage, ItemNotFound, CollectionError."""
        started = time.perf_counter()
        query = checked(query)
        check_fields(self.collection, query.where)
        vector = to_vector(self._embed(query.parts), [part.weight for part in query.parts])
        encoded = time.perf_counter()
        examples = {part.id for part in query.parts if part.id is not None}
        wanted = query.offset + query.top_k
        found = self.collection.search(vector, top_k=wanted + len(examples), where=query.where)
        best = [(id, score) for id, score in zip(found.ids, found.scores, strict=True) if id not in examples][:wanted]
        searched = time.perf_counter()
        background = self.collection.background()
        shown = best[query.offset :]
        records = self.collection.records([id for id, _ in shown])
        shares = ranking.fits([score for _, score in shown], background, vector)
        hits = [
            Hit(id=id, score=score, rank=rank, record=records[id], fit=fit)
            for rank, ((id, score), fit) in enumerate(zip(shown, shares, strict=True), start=query.offset + 1)
            if id in records  # removed since it was found
        ]
        size = len(self.collection)
        weak = bool(best) and _is_text(query) and best[0][1] < self._least_usual(background)
        ended = time.perf_counter()
        info = self.collection.info
        answer = Answer(
            collection=info.name,
            model=info.model,
            fingerprint=info.fingerprint,
            via=found.via,
            took_ms={
                "encode": (encoded - started) * 1e3,
                "search": (searched - encoded) * 1e3,
                "rank": (ended - searched) * 1e3,
            },
            hits=hits,
            weak=weak,
            size=size,
        )
        if self.observer:
            self.observer.searched(answer)
        return answer

    def vector(self, query: Query) -> Embedding:
        """What the query is compared with the images by. Raises: BadQuery, BadImage, ItemNotFound."""
        query = checked(query)
        return to_vector(self._embed(query.parts), [part.weight for part in query.parts])

    def weak_below(self) -> float:
        """The score of a best hit below which words are told "nothing here fits well"."""
        return self._least_usual(self.collection.background())

    def apart(self) -> "SearchEngine":
        """The same, uncounted and with a cache of its own: many queries drive nobody's out, and times are real."""
        return SearchEngine(self.collection, self.encoder, decoder=self._decoder, kept=self._kept)

    def explain(self, query: Query, id: str) -> list[Contribution]:
        """Each part's share in the score of one item, in the order of the query."""
        query = checked(query)
        item = self.collection.embeddings([id]).get(id)
        if item is None:
            raise ItemNotFound("That image is no longer in this collection.")
        cosines = self._embed(query.parts) @ item  # (parts,)
        return [
            Contribution(
                label=part.text or ("picture" if part.id is None else "this image"),
                kind="text" if part.text is not None else "id" if part.id is not None else "image",
                weight=part.weight,
                cosine=float(cosine),
            )
            for part, cosine in zip(query.parts, cosines, strict=True)
        ]

    def keep_image(self, data: bytes, *, name: str) -> KeptImage:
        """Decodes, embeds and remembers a picture, so that `Part(image_hash=…)` finds it. Raises: BadImage."""
        hash = hashlib.sha256(data).hexdigest()
        known = self._kept.get(hash)
        if known is not None:
            return known
        decoded = self._decoded(data, name=name)
        self._remember(f"image:{hash}", self.encoder.encode_images(decoded.pixels[np.newaxis])[0])
        kept = KeptImage(hash=hash, data=data, thumbnail=decoded.thumbnail, width=decoded.width, height=decoded.height)
        self._kept.keep(kept)
        return kept

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """float32 (len(texts), dim), in the order given; recent ones come from the cache."""
        found = {text: self._cached(f"text:{text}") for text in texts}
        new = [text for text, embedding in found.items() if embedding is None]
        if new:
            for text, embedding in zip(new, self.encoder.encode_texts(new), strict=True):
                found[text] = self._remember(f"text:{text}", embedding)
        if self.observer and found:
            self.observer.encoded("text", new=len(new), cached=len(found) - len(new))
        return _stacked([found[text] for text in texts], self.encoder.dim)

    def embed_images(self, images: Sequence[bytes]) -> Embeddings:
        """float32 (len(images), dim), in the order given. Raises: BadImage for the first that can't be used."""
        keys = [f"image:{hashlib.sha256(data).hexdigest()}" for data in images]
        found = {key: self._cached(key) for key in keys}
        new = {
            key: self._decoded(data, name=f"Image {n}").pixels
            for n, (key, data) in enumerate(zip(keys, images, strict=True), 1)
            if found[key] is None
        }
        if new:
            for key, embedding in zip(new, self.encoder.encode_images(np.stack([*new.values()])), strict=True):
                found[key] = self._remember(key, embedding)
        return _stacked([found[key] for key in keys], self.encoder.dim)

    def _least_usual(self, background: Embeddings) -> float:
        """A collection gives the same background until it changes, so this costs nothing on most searches."""
        kept = self._least
        if kept is None or kept[0] is not background:
            if self._ordinary is None:
                self._ordinary = self.encoder.encode_texts(ranking.ORDINARY_WORDS)
            self._least = kept = (background, ranking.least_usual(self._ordinary, background))
        return kept[1]

    def _embed(self, parts: Sequence[Part]) -> Embeddings:
        """(len(parts), dim)"""
        texts = self.embed_texts([part.text for part in parts if part.text is not None])
        in_order = iter(texts)
        ids = [part.id for part in parts if part.id is not None]
        items = self.collection.embeddings(ids) if ids else {}
        return _stacked(
            [next(in_order) if part.text is not None else self._embed_example(part, items) for part in parts],
            self.encoder.dim,
        )

    def _embed_example(self, part: Part, items: dict[str, Embedding]) -> Embedding:
        if part.id is not None:
            if part.id not in items:
                raise ItemNotFound(f'The query names the item "{part.id}", which is not in this collection.')
            return items[part.id]
        if part.image is not None:
            return self._embed_image(part.image, name="The query's picture")
        hash = part.image_hash or ""
        embedding = self._cached(f"image:{hash}")
        if embedding is not None:
            return embedding
        kept = self._kept.get(hash)
        if kept is None:
            raise BadQuery("The query's picture is no longer held here: add it again.")
        return self._embed_image(kept.data, name="The query's picture")

    def _embed_image(self, data: bytes, *, name: str) -> Embedding:
        key = f"image:{hashlib.sha256(data).hexdigest()}"
        embedding = self._cached(key)
        if self.observer:
            self.observer.encoded("image", new=int(embedding is None), cached=int(embedding is not None))
        if embedding is None:
            decoded = self._decoded(data, name=name)
            embedding = self._remember(key, self.encoder.encode_images(decoded.pixels[np.newaxis])[0])
        return embedding

    def _decoded(self, data: bytes, *, name: str) -> Decoded:
        return self._decoder.decode(data, preprocess=self.encoder.preprocess, name=name, deadline_s=QUERY_DEADLINE_S)

    def _cached(self, key: str) -> Embedding | None:
        with self._cache_lock:
            embedding = self._cache.get(key)
            if embedding is not None:
                self._cache.move_to_end(key)
            return embedding

    def _remember(self, key: str, embedding: Embedding) -> Embedding:
        with self._cache_lock:
            self._cache[key] = embedding
            self._cache.move_to_end(key)
            if len(self._cache) > CACHED_EMBEDDINGS:
                self._cache.popitem(last=False)
        return embedding


def check_fields(collection: Collection, where: Where) -> None:
    """An empty collection takes every filter: it has no fields yet. Raises: UnknownField."""
    for condition in where:
        if len(collection) and not collection.has_field(condition.field):
            known = [*collection.fields(), *FILTER_COLUMNS]
            more = ", …" if len(known) > NAMED_FIELDS else ""
            raise UnknownField(
                f'The filter names the field "{condition.field[:40]}", which no image in "{collection.info.name}" '
                f"has; known are {', '.join(name[:40] for name in known[:NAMED_FIELDS])}{more}."
            )


def _is_text(query: Query) -> bool:
    """Only what is asked in words alone is measured with words; a subtraction changes the scale."""
    return all(part.text is not None and part.weight > 0 for part in query.parts)


def _stacked(rows: Sequence[Embedding | None], dim: int) -> Embeddings:
    held = [row for row in rows if row is not None]
    return np.stack(held) if held else np.empty((0, dim), np.float32)
