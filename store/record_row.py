"""A record as a row of the catalog's table `records`, and back."""

import json
from collections.abc import Sequence
from typing import Any

from search.errors import StoreUnavailable
from search.types import Record
from store.filters import storable

COLUMNS = "id, uri, content_hash, size_bytes, width, height, mtime_ns, taken_at, added_at, caption, metadata"


def to_row(record: Record) -> tuple[object, ...]:
    """Raises: ValueError for what no catalog can keep."""
    if storable(record.uri) != record.uri:
        raise ValueError(f"The uri of the record {record.id!r} holds what no file name should: {record.uri!r}.")
    try:
        metadata = {storable(key): storable(v) if isinstance(v, str) else v for key, v in record.metadata.items()}
        packed = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise ValueError(f"The record {record.id!r} can't be stored: {error}.") from error
    return (
        record.id, record.uri, record.content_hash, record.size_bytes, record.width, record.height, record.mtime_ns,
        record.taken_at, record.added_at, storable(record.caption), packed,
    )  # fmt: skip


def from_row(row: Sequence[Any]) -> Record:
    """Raises: StoreUnavailable."""
    try:
        values = [*row[:-1], json.loads(row[-1])]
    except (ValueError, RecursionError) as error:
        raise StoreUnavailable("The collection's catalog has a record with damaged metadata.") from error
    return Record(*values)
