"""An image embedded elsewhere, as JSON that travels: what a collection needs to take it in without the original."""

import base64
import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import numpy as np

from search.errors import BadQuery
from search.images.decoder import Decoded
from search.intake import placed
from search.types import Embedding, Encoder, Item, Record, Scalar

TYPE = "application/vnd.sightline.item+json"
MOST_THUMBNAIL_BYTES = 2**20
_LONGEST_SIDE_PX = 100_000
_LONGEST_TEXT = 4_096
_MOST_FIELDS = 100
_HASH = re.compile(r"[0-9a-f]{64}")
_NORM_TOLERANCE = 1e-3


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


def check_item(item: ShippedItem) -> None:
    """Raises: BadQuery for what `index` would never have made of an image."""
    if fault := _fault(item):
        raise BadQuery(f"It is no item that Sightline made: {fault} is out of its range.")


def _item(told: dict[str, Any], uri: str) -> ShippedItem:
    """Raises: ValueError, KeyError, TypeError, BadQuery."""
    embedding = np.frombuffer(base64.b64decode(told["embedding"], validate=True), "<f2").astype(np.float32)
    length = float(np.linalg.norm(embedding))
    if len(embedding) != told["dim"] or not abs(length - 1) < 0.01:
        raise ValueError("its embedding")
    metadata: dict[str, Scalar] = {"format": told["format"]}
    if told["taken_at"] is not None:
        metadata["year"] = int(told["taken_at"][:4])
    record = Record(
        id="",
        uri=uri,
        content_hash=told["sha256"],
        size_bytes=told["size_bytes"],
        width=told["width"],
        height=told["height"],
        taken_at=told["taken_at"],
        metadata=placed(metadata, uri),
    )
    thumbnail = base64.b64decode(told["thumbnail"], validate=True)
    item = ShippedItem(record, embedding / length, thumbnail, told["model"], told["fingerprint"])
    check_item(item)
    return item


def _fault(item: ShippedItem) -> str:
    """The first field that is not as it should be, whatever types they are of; nothing where all are."""
    record, thumbnail = item.record, item.thumbnail
    sizes = (record.size_bytes, record.width, record.height)
    sound = {
        "its uri": is_text(record.uri) and not {".", ".."} & set(record.uri.split("/")),
        "its hash": is_text(record.content_hash) and _HASH.fullmatch(record.content_hash),
        "its size": all(type(n) is int and 0 < n < 2**50 for n in sizes) and max(sizes[1:]) <= _LONGEST_SIDE_PX,
        "its file's time": record.mtime_ns is None or _is_number(record.mtime_ns),
        "its date": record.taken_at is None or _is_date(record.taken_at),
        "its caption": record.caption == "" or is_text(record.caption),
        "its metadata": _are_fields(record.metadata),
        "its embedding": abs(float(np.linalg.norm(item.embedding)) - 1) < _NORM_TOLERANCE,  # false for NaN as well
        "its thumbnail": len(thumbnail) <= MOST_THUMBNAIL_BYTES and thumbnail[:4] + thumbnail[8:12] == b"RIFFWEBP",
        "its model": is_text(item.model) and is_text(item.fingerprint),
    }
    return next((name for name, is_sound in sound.items() if not is_sound), "")


def is_text(value: object) -> bool:
    """One that is kept as it is: without lone surrogates and NUL."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT or "\0" in value:
        return False
    return not any(0xD800 <= ord(c) < 0xE000 for c in value)


def _is_number(value: object) -> bool:
    return type(value) in (int, float, bool) and -(2**63) <= value < 2**63  # type: ignore[operator]  # NaN is not


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and len(value) <= 40 and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _are_fields(metadata: object) -> bool:
    if not isinstance(metadata, dict) or len(metadata) > _MOST_FIELDS:
        return False
    return all(is_text(key) and (value == "" or is_text(value) or _is_number(value)) for key, value in metadata.items())
