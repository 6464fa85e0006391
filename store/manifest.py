"""manifest.json of a collection folder: what the collection is; not what is in it."""

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path

from search.errors import StoreUnavailable
from search.types import CollectionInfo
from store.files import write_durably

FORMAT = 1
_MOST_BYTES = 2**20
_FIELDS = {
    "name": str,
    "version": str,
    "model": str,
    "fingerprint": str,
    "dim": int,
    "created_at": str,
    "description": str,
}


def write(folder: Path, info: CollectionInfo) -> None:
    values = {"format": FORMAT, **{field: getattr(info, field) for field in _FIELDS}}
    write_durably(folder / "manifest.json", (json.dumps(values, indent=2) + "\n").encode())


def read(folder: Path, *, read_only: bool) -> CollectionInfo:
    """Raises: StoreUnavailable where it is missing, damaged or of a later format."""
    try:
        with (folder / "manifest.json").open("rb") as file:
            values = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreUnavailable(f"The collection folder {folder.name!r} has no readable manifest.json.") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise StoreUnavailable(f"The collection folder {folder.name!r} is not of format {FORMAT}: update Sightline.")
    for field, kind in _FIELDS.items():
        if type(values.get(field)) is not kind:
            raise StoreUnavailable(f"manifest.json of the collection folder {folder.name!r} lacks a valid {field!r}.")
    return CollectionInfo(read_only=read_only, **{field: values[field] for field in _FIELDS})


def new_info(name: str, *, model: str, fingerprint: str, dim: int, description: str) -> CollectionInfo:
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    return CollectionInfo(name, secrets.token_hex(8), model, fingerprint, dim, created_at, False, description)
