"""What goes with a fetched model that is removed, and what others still need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.encoders.hub import Hub
from search.encoders.load import find_model
from search.encoders.pins import pinned_folder, read_pin
from search.encoders.removal import Removed, remove_model
from search.errors import ModelDamaged
from search.models import Models
from tests.hub_server import HubServer, serving
from tests.unit.encoders.exports import write_export


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubServer]:
    """Two repositories of the same content."""
    export = write_export(tmp_path / "export", length=77, context_length=77)
    with serving() as server:
        for repo in ("owner/one", "owner/two"):
            server.add_folder(repo, export)
        yield server


def fetched(server: HubServer, data: Path, *names: str, cache: Path) -> Hub:
    hub = Hub(endpoint=server.endpoint, cache_dir=cache, pause_s=0.001)
    models = Models(data / "models", bundled=data, hub=hub)
    for name in names:
        models.fetch(name)
        assert models.downloads.wait_for(name).state == "done"
    return hub


def remove(name: str, data: Path, hub: Hub) -> Removed:
    return remove_model(name, models_dir=data / "models", bundled=data, hub=hub, wanted=())


def blobs(cache: Path, repo: str) -> list[Path]:
    return list((cache / f"models--{repo.replace('/', '--')}" / "blobs").iterdir())


def test_the_same_content_of_another_repository_does_not_keep_it(server: HubServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    hub = fetched(server, tmp_path, "onnx:owner/one", "onnx:owner/two", cache=cache)
    remove("onnx:owner/one", tmp_path, hub)
    assert (blobs(cache, "owner/one"), len(blobs(cache, "owner/two"))) == ([], 5)
    find_model("onnx:owner/two", bundled=tmp_path, models_dir=tmp_path / "models")


def test_the_same_files_under_another_name_stay(server: HubServer, tmp_path: Path) -> None:
    hub = fetched(server, tmp_path, "onnx:owner/one", "onnx:owner/one@main", cache=tmp_path / "cache")
    remove("onnx:owner/one", tmp_path, hub)
    find_model("onnx:owner/one@main", bundled=tmp_path, models_dir=tmp_path / "models")
    remove("onnx:owner/one@main", tmp_path, hub)
    assert blobs(tmp_path / "cache", "owner/one") == []


def test_only_what_is_there_is_said_to_stay(server: HubServer, tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    hub = fetched(server, data, "onnx:owner/one", cache=cache)
    left = blobs(cache, "owner/one")
    gone = left.pop()
    gone.unlink()
    assert remove("onnx:owner/one", data, hub).kept_bytes == sum(path.stat().st_size for path in left)


def test_a_removal_that_stopped_halfway_can_be_done_again(server: HubServer, tmp_path: Path) -> None:
    name, cache = "onnx:owner/one", tmp_path / "cache"
    hub = fetched(server, tmp_path, name, cache=cache)
    pin = read_pin(name, models_dir=tmp_path / "models")
    assert pin
    snapshot = cache / "models--owner--one" / "snapshots" / pin.commit / pin.files[-1].file.path
    snapshot.unlink()
    snapshot.mkdir()
    with pytest.raises(ModelDamaged, match="could not be removed whole"):
        remove(name, tmp_path, hub)
    assert pinned_folder(name, models_dir=tmp_path / "models").is_dir()
    snapshot.rmdir()
    remove(name, tmp_path, hub)
    assert blobs(cache, "owner/one") == []
