"""An image embedded elsewhere, as JSON that travels: what a collection needs to take it in without the original."""

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import numpy as np

from search.errors import BadQuery
from search.images.decoder import Decoded
from search.types import Embedding, Encoder, Item, Record, Scalar

TYPE = "application/vnd.sightline.item+json"
_MOST_THUMBNAIL_BYTES = 2**20
_LONGEST_SIDE_PX = 100_000


@dataclass(frozen=True, slots=True)
class ShippedItem:
    record: Record  # without an id, and with the uri that the reader gives it
    embedding: Embedding
    thumbnail: bytes
    model: str
    fingerprint: str


def ship_item(data: bytes, decoded: Decoded, embedding: Embedding, encoder: Encoder) -> bytes:
    told = {
        "sha256": sha256(data).hexdigest(),
        "size_bytes": len(data),
        "width": decoded.width,
        "height": decoded.height,
        "format": decoded.format,
        "taken_at": decoded.taken_at,
        "thumbnail": base64.b64encode(decoded.thumbnail).decode(),
        "embedding": base64.b64encode(embedding.astype("<f2").tobytes()).decode(),
        "dim": encoder.dim,
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
    }
    return json.dumps(told).encode()


def read_item(data: bytes, *, uri: str) -> ShippedItem:
    """Raises: BadQuery for what `ship_item` did not write."""
    try:
        return _item(json.loads(data), uri)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadQuery("It is no item: its job failed on it, or wrote something else.") from error


def as_item(shipped: ShippedItem, id: str, *, added_at: str) -> Item:
    return Item(replace(shipped.record, id=id, added_at=added_at), shipped.embedding, shipped.thumbnail)


def _item(told: dict[str, Any], uri: str) -> ShippedItem:
    """Raises: ValueError, KeyError, TypeError."""
    embedding = np.frombuffer(base64.b64decode(told["embedding"], validate=True), "<f2").astype(np.float32)
    length = float(np.linalg.norm(embedding))
    thumbnail = base64.b64decode(told["thumbnail"], validate=True)
    sizes = (told["width"], told["height"], told["size_bytes"])
    texts = (told["sha256"], told["format"], told["model"], told["fingerprint"])
    taken_at = told["taken_at"]
    if taken_at is not None:
        datetime.fromisoformat(taken_at)
    is_one = (
        len(embedding) == told["dim"]
        and abs(length - 1) < 0.01
        and all(type(size) is int and 0 < size < 2**50 for size in sizes)
        and max(sizes[:2]) <= _LONGEST_SIDE_PX
        and all(isinstance(text, str) and 0 < len(text) <= 512 for text in texts)
        and len(told["sha256"]) == 64
        and set(told["sha256"]) <= set("0123456789abcdef")
        and thumbnail[:4] + thumbnail[8:12] == b"RIFFWEBP"
        and len(thumbnail) <= _MOST_THUMBNAIL_BYTES
    )
    if not is_one:
        raise ValueError("a field is out of its range")
    metadata: dict[str, Scalar] = {"format": told["format"]}
    if taken_at is not None:
        metadata["year"] = int(taken_at[:4])
    record = Record(
        id="",
        uri=uri,
        content_hash=told["sha256"],
        size_bytes=told["size_bytes"],
        width=told["width"],
        height=told["height"],
        taken_at=taken_at,
        metadata=metadata,
    )
    return ShippedItem(record, embedding / length, thumbnail, told["model"], told["fingerprint"])
