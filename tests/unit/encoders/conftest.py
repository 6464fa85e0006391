"""A hub over a real connection, and an export to put on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.encoders.hub import Hub
from tests.hub_server import HubServer, serving
from tests.unit.encoders.exports import write_export


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def hub(server: HubServer, tmp_path: Path) -> Hub:
    return Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache", pause_s=0.001)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """As public ones are: 77 ids, files for other hardware, and some that nobody should fetch."""
    folder = write_export(tmp_path / "export", length=77, context_length=77)
    (folder / "textual" / "tokenizer_config.json").write_text("{}")
    (folder / "notes.md").write_text("a model")
    for path in ("visual/rknpu/model.rknn", "textual/fp16/model.onnx", "visual/model.armnn", "visual/run.py", "w.bin"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"x" * 5_000)
    return folder
