"""A name stays what it was when it was first fetched, and a note that says otherwise harms nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from search.encoders.fingerprint import write_whole
from search.encoders.hub import Hub
from search.encoders.pins import note_of, pinned_folder, pins, read_pin
from search.errors import (
    ModelDamaged,
    ModelError,
)
from search.models import Models
from tests.hub_server import HubServer
from tests.unit.encoders.fetched import NAME, REPO, fetch, load, plan


def test_a_name_stays_at_its_first_commit(server: HubServer, hub: Hub, export: Path, tmp_path: Path) -> None:
    first = server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    before = load(NAME, tmp_path).fingerprint
    (export / "config.json").write_text((export / "config.json").read_text() + "\n")
    second = server.add_folder(REPO, export)
    server.asked.clear()
    assert plan(NAME, hub, tmp_path).pin.commit == first
    fetch(NAME, hub, tmp_path)
    assert server.asked == []
    assert load(NAME, tmp_path).fingerprint == before
    fetch(f"{NAME}@{second}", hub, tmp_path)
    assert load(f"{NAME}@{second}", tmp_path).fingerprint != before
    assert [pin.commit for pin in pins(tmp_path / "models")[0]] == [first, second]


def test_what_is_kept_of_a_model_is_refused_with_its_reason_and_leaves_nothing_behind(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    server.add_folder(REPO, export)
    (tmp_path / "models").symlink_to(tmp_path / "gone")
    with pytest.raises(ModelError) as refused:
        fetch(NAME, hub, tmp_path)
    assert (str(refused.value), refused.value.code) == (
        f'What is kept of "{NAME}" can\'t be written (File exists): make the data folder writable.',
        "model_error",
    )
    (tmp_path / "whole").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "whole", "{}")
    assert list(tmp_path.glob(".*")) == []


def spoilt(**changes: object) -> bytes:
    """A note of which one thing is another."""
    file = {"repo": "a/b", "commit": "0" * 40, "path": "x", "size_bytes": 1, "digest": "0" * 64}
    entry = {"file": {**file, **{name: changes[name] for name in changes.keys() & file.keys()}}, "target": "x"}
    if "target" in changes:
        entry["target"] = changes["target"]
    said = {"name": NAME, "where": "hub", "commit": "0" * 40, "files": [entry], "config": {}, "note": ""}
    return json.dumps(said | {name: value for name, value in changes.items() if name in said}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b'{"files": [{}]}',
        b"[" * 100_000,
        b'{"name": "' + b"x" * 5_000_000 + b'"}',
        b"\xff\xfe",
        b'"text"',
        spoilt(size_bytes="1"),
        spoilt(size_bytes=-1),
        spoilt(size_bytes=10**400),
        spoilt(size_bytes=True),
        spoilt(commit=7),
        spoilt(commit="main"),
        spoilt(digest="../../etc"),
        spoilt(repo="../a"),
        spoilt(target="../../settings.json"),
        spoilt(target="/etc/passwd"),
        spoilt(path="../../../x"),
        spoilt(name="other"),
        spoilt(note="\ud800"),
        spoilt(where=None),
        spoilt(config=[]),
        spoilt(files=7),
    ],
    ids=lambda content: content[:12].hex(),
)
def test_a_note_that_cannot_be_read_says_which_and_is_one_bad_row(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path, content: bytes
) -> None:
    server.add_folder(REPO, export)
    server.add_folder("owner/other", export)
    fetch(NAME, hub, tmp_path)
    fetch("onnx:owner/other", hub, tmp_path)
    note = note_of(NAME, models_dir=tmp_path / "models")
    note.write_bytes(content)
    with pytest.raises(ModelDamaged, match=f"models/named/{note.name}"):
        load(NAME, tmp_path)
    models = Models(tmp_path / "models", bundled=tmp_path, hub=hub)
    good, bad = models.here()
    assert (good.name, good.state) == ("onnx:owner/other", "ready")
    assert (bad.name, bad.state, bad.note.startswith("The file") or bad.note.startswith("What is kept")) == (
        note.stem,
        "unknown",
        True,
    )
    assert [state.name for state in models.here(beside=[NAME])] == ["onnx:owner/other"]
    assert models.state(NAME).state == "unknown"


def test_a_model_whose_folder_somebody_removed_comes_again_at_its_commit(
    server: HubServer, hub: Hub, export: Path, tmp_path: Path
) -> None:
    commit = server.add_folder(REPO, export)
    fetch(NAME, hub, tmp_path)
    before = load(NAME, tmp_path).fingerprint
    (export / "config.json").write_text((export / "config.json").read_text() + " ")
    assert server.add_folder(REPO, export) != commit
    for folder in (pinned_folder(NAME, models_dir=tmp_path / "models"), tmp_path / "cache"):
        shutil.rmtree(folder)
    fetch(NAME, hub, tmp_path)
    pin = read_pin(NAME, models_dir=tmp_path / "models")
    assert pin is not None
    assert (pin.commit, load(NAME, tmp_path).fingerprint) == (commit, before)
