"""Whether an encoder makes the embeddings that a collection holds, judged by some thumbnails; changes nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from search.images.decoder import INDEXING_DEADLINE_S, Decoder
from search.types import Collection, Encoder

LOWER_QUARTILE = 0.9  # of the cosines; docs/decisions/0015-a-release-is-embedded-again.md
WITHIN_S = 30.0  # a batch that was begun is ended
_PLACES, _AT_ONCE = 4, 8


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosines of what thumbnails embed to with what is stored of their images."""

    thumbnails: int
    least: float
    lower_quartile: float

    @property
    def is_given(self) -> bool:
        return self.lower_quartile >= LOWER_QUARTILE

    def __str__(self) -> str:
        return (
            f"{self.thumbnails} thumbnails, embedded again, have a cosine of {self.least:.3f} or more with what is "
            f"stored, three in four of them {self.lower_quartile:.3f} or more"
        )


def agreement(
    collection: Collection, encoder: Encoder, decoder: Decoder, *, clock: Callable[[], float] = time.monotonic
) -> Agreement | None:
    """Of up to 32 thumbnails from four places of the collection; None where it has none. Raises: BadImage."""
    until, cosines = clock() + WITHIN_S, list[float]()
    for place in range(_PLACES):
        records = collection.page(offset=place * max(_AT_ONCE, len(collection) // _PLACES), count=_AT_ONCE)
        stored = collection.embeddings([record.id for record in records])
        pixels = {
            record.id: decoder.decode(
                thumbnail, preprocess=encoder.preprocess, name=record.uri, deadline_s=INDEXING_DEADLINE_S
            ).pixels
            for record in records
            if record.id in stored and (thumbnail := collection.thumbnail(record.id))
        }
        if pixels:
            made = encoder.encode_images(np.stack([*pixels.values()]))  # (n, dim)
            cosines += [float(one @ stored[id]) for id, one in zip(pixels, made, strict=True)]
        if clock() >= until:
            break
    return Agreement(len(cosines), min(cosines), float(np.quantile(cosines, 0.25))) if cosines else None
