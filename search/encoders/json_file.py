"""JSON of a model's folder, which may be anybody's: read up to a limit, and never deeper than it can be."""

import json
from pathlib import Path
from typing import Any

CONFIG_BYTES = 1 << 20


def read_json(path: Path, *, most_bytes: int = CONFIG_BYTES) -> Any:
    """Raises: OSError; ValueError for what is no JSON in UTF-8, too large or nested too deep."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"more than {most_bytes:,} bytes")
    return parse_json(data)


def parse_json(data: bytes) -> Any:
    """Raises: ValueError, as `read_json`."""
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
