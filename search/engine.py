"""Answers queries over one collection with its encoder; it owns the way from parts to hits and no storage."""

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from search import ranking
from search.embedder import Embedder, stacked
from search.errors import BadQuery, EncoderMismatch, ItemNotFound, UnknownField
from search.images.decoder import Decoder
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

NAMED_FIELDS = 20  # in an error
# Texts wait to be encoded together, but rows are compared by as many threads as there are cores: more only take the
# interpreter from each other (docs/decisions/0016-many-searches-at-once.md).
TURNS = max(2, os.cpu_count() or 1)


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
        self.embedder = Embedder(encoder, decoder=decoder, observer=observer)
        self._decoder = decoder
        self._turns = threading.Semaphore(TURNS)
        self._kept = kept
        self._ordinary: Embeddings | None = None  # (words, dim)
        self._least: tuple[Embeddings, float] | None = None  # of a background

    def search(self, query: Query) -> Answer:
        """Raises: BadQuery, BadImage, ItemNotFound, CollectionError."""
        started = time.perf_counter()
        query = checked(query)
        check_fields(self.collection, query.where)
        vector = self._vector(query.parts)
        encoded = time.perf_counter()
        with self._turns:
            answer = self._answer(query, vector, started, encoded)
        if self.embedder.observer:
            self.embedder.observer.searched(answer, [part.text for part in query.parts if part.text is not None])
        return answer

    def _answer(self, query: Query, vector: Embedding, started: float, encoded: float) -> Answer:
        """The two moments are of time.perf_counter()."""
        examples = {part.id for part in query.parts if part.id is not None}
        wanted = query.offset + query.top_k
        found = self.collection.search(vector, top_k=wanted + len(examples), where=query.where)
        best = [(id, score) for id, score in zip(found.ids, found.scores, strict=True) if id not in examples][:wanted]
        searched = time.perf_counter()
        background = self.collection.background()
        hits = self._hits(best[query.offset :], background, vector, first_rank=query.offset + 1)
        weak = bool(best) and _is_text(query) and best[0][1] < self._least_usual(background)
        size = len(self.collection)
        ended = time.perf_counter()
        info = self.collection.info
        return Answer(
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

    def _hits(
        self, best: Sequence[tuple[str, float]], background: Embeddings, vector: Embedding, *, first_rank: int
    ) -> list[Hit]:
        records = self.collection.records([id for id, _ in best])
        fits = ranking.fits([score for _, score in best], background, vector)
        return [
            Hit(id=id, score=score, rank=rank, record=records[id], fit=fit)
            for rank, ((id, score), fit) in enumerate(zip(best, fits, strict=True), start=first_rank)
            if id in records  # removed since it was found
        ]

    def vector(self, query: Query) -> Embedding:
        """What the query is compared with the images by. Raises: BadQuery, BadImage, ItemNotFound."""
        return self._vector(checked(query).parts)

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
                label=part.text or ("your picture" if part.id is None else "this image"),
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
        decoded = self.embedder.decode(data, name=name)
        self.embedder.remember(f"image:{hash}", self.encoder.encode_images(decoded.pixels[np.newaxis])[0])
        kept = KeptImage(hash=hash, data=data, thumbnail=decoded.thumbnail, width=decoded.width, height=decoded.height)
        self._kept.keep(kept)
        return kept

    def _least_usual(self, background: Embeddings) -> float:
        """A collection gives the same background until it changes, so this costs nothing on most searches."""
        kept = self._least
        if kept is None or kept[0] is not background:
            if self._ordinary is None:
                self._ordinary = self.encoder.encode_texts(ranking.ORDINARY_WORDS)
            self._least = kept = (background, ranking.least_usual(self._ordinary, background))
        return kept[1]

    def _vector(self, parts: Sequence[Part]) -> Embedding:
        return to_vector(self._embed(parts), [part.weight for part in parts])

    def _embed(self, parts: Sequence[Part]) -> Embeddings:
        """(len(parts), dim)"""
        texts = self.embedder.embed_texts([part.text for part in parts if part.text is not None])
        in_order = iter(texts)
        ids = [part.id for part in parts if part.id is not None]
        items = self.collection.embeddings(ids) if ids else {}
        return stacked(
            [next(in_order) if part.text is not None else self._embed_example(part, items) for part in parts],
            self.encoder.dim,
        )

    def _embed_example(self, part: Part, items: dict[str, Embedding]) -> Embedding:
        if part.id is not None:
            if part.id not in items:
                raise ItemNotFound(f'The query names the item "{part.id}", which is not in this collection.')
            return items[part.id]
        if part.image is not None:
            return self.embedder.embed_image(part.image, name="The query's picture")
        hash = part.image_hash or ""
        embedding = self.embedder.cached(f"image:{hash}")
        if embedding is not None:
            return embedding
        kept = self._kept.get(hash)
        if kept is None:
            raise BadQuery("The query's picture is no longer held here: add it again.")
        return self.embedder.embed_image(kept.data, name="The query's picture")


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
