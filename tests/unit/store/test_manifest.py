import json
from pathlib import Path

import pytest

from search.errors import StoreUnavailable
from search.types import CollectionInfo
from store import manifest

INFO = CollectionInfo("Holidays", "0123456789abcdef", "pocket", "f" * 64, 256, "2026-01-01T00:00:00+00:00", True, "Sea")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    manifest.write(tmp_path, INFO)
    assert manifest.read(tmp_path, read_only=True) == INFO


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"dim": "256"}, {"dim": True}, {"name": None}, {"fingerprint": 5}],
)
def test_a_manifest_of_another_form_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    manifest.write(tmp_path, INFO)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoreUnavailable):
        manifest.read(tmp_path, read_only=True)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff\xfe"])
def test_a_missing_or_damaged_manifest_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(StoreUnavailable):
        manifest.read(tmp_path, read_only=True)
