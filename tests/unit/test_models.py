"""What stands between a name and an encoder, and the one download that runs."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.encoders.fingerprint import fingerprint_of_open_clip
from search.encoders.hub import Hub
from search.errors import Busy, HubUnreachable, ModelNotFound
from search.models import Models, ModelState
from tests.hub_server import HubServer, serving
from tests.unit.encoders.exports import write_export
from tests.unit.encoders.test_fingerprint import write

NAME = "onnx:immich-app/small"
DATA = "visual/model.onnx.data"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serving() as server:
        yield server


@pytest.fixture
def models(server: HubServer, tmp_path: Path) -> Iterator[Models]:
    hub = Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache", pause_s=0.001)
    made = Models(tmp_path / "models", bundled=write_export(tmp_path / "bundled"), hub=hub)
    yield made
    made.downloads.close()
    server.release.set()
    made.downloads.wait()


def publish(server: HubServer, tmp_path: Path, repo: str = "immich-app/small") -> tuple[str, int]:
    """Its commit and size."""
    folder = tmp_path / repo.replace("/", "-")
    write_export(folder, length=77, context_length=77)
    (folder / DATA).write_bytes(b"\1" * 3_000_000)
    return server.add_folder(repo, folder), sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_state_asks_nobody_and_a_look_up_asks_once(server: HubServer, models: Models, tmp_path: Path) -> None:
    commit, size = publish(server, tmp_path)
    unasked = models.state(NAME)
    assert (unasked.state, unasked.total_bytes, unasked.missing_bytes) == ("needs_download", None, None)
    assert server.asked == []
    where = server.endpoint.removeprefix("http://")
    assert models.look_up(NAME) == ModelState(NAME, "needs_download", size, size, commit, where)
    assert len(server.asked) == 1
    assert models.here() == []


def test_what_was_shown_is_what_is_fetched(server: HubServer, models: Models, tmp_path: Path) -> None:
    commit, _ = publish(server, tmp_path)
    models.look_up(NAME)
    (tmp_path / "immich-app-small" / "config.json").write_text("{}")
    server.add_folder("immich-app/small", tmp_path / "immich-app-small")
    models.fetch(NAME)
    models.downloads.wait()
    assert (models.state(NAME).state, models.state(NAME).revision) == ("ready", commit)


def test_what_needs_no_download_is_ready_or_unknown(models: Models, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "mine")
    assert models.look_up("pocket") == models.state("pocket") == ModelState("pocket", "ready")
    assert models.state(str(folder)) == ModelState(str(folder), "ready")
    for name in ("nothing", str(tmp_path / "nowhere"), "/" + "x" * 300, "onnx:../x"):
        unknown = models.state(name)
        assert (unknown.state, bool(unknown.note)) == ("unknown", True)
        with pytest.raises(ModelNotFound) as refused:
            models.look_up(name)
        assert str(refused.value) == unknown.note


def test_a_folder_that_hides_a_name_of_open_clips_says_so(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_export(tmp_path / "ViT-B-32" / "openai")
    note = "This is a folder here, which is used; open_clip's weights of that name are not."
    assert models.look_up("ViT-B-32/openai") == ModelState("ViT-B-32/openai", "ready", note=note)


def test_a_fetch_runs_in_the_background_and_ends_ready(server: HubServer, models: Models, tmp_path: Path) -> None:
    commit, size = publish(server, tmp_path)
    server.held = {DATA: 2_500_000}
    started = models.fetch(NAME)
    assert (started.state, started.done_bytes, started.total_bytes) == ("running", 0, size)
    assert server.holding.wait(60)
    assert models.fetch(NAME).state == "running"
    with pytest.raises(Busy, match=f'"{NAME}" is being downloaded'):
        models.fetch("onnx:immich-app/other")
    server.release.set()
    models.downloads.wait()
    (ended,) = models.downloads.list()
    assert (ended.state, ended.done_bytes, ended.remaining_s) == ("done", size, 0.0)
    where = server.endpoint.removeprefix("http://")
    assert models.here() == [ModelState(NAME, "ready", size, 0, commit, where)]


def test_a_cancelled_fetch_is_half_here(server: HubServer, models: Models, tmp_path: Path) -> None:
    _, size = publish(server, tmp_path)
    server.held = {DATA: 2_500_000}
    models.fetch(NAME)
    assert server.holding.wait(60)
    models.downloads.cancel(NAME)
    server.release.set()
    models.downloads.wait()
    assert models.downloads.get(NAME).state == "cancelled"
    (here,) = models.here()
    assert (here.state, here.total_bytes) == ("needs_download", size)
    assert here.missing_bytes is not None
    assert 0 < here.missing_bytes < size
    assert models.look_up(NAME) == here
    models.fetch(NAME)
    models.downloads.wait()
    assert models.state(NAME).state == "ready"


def test_a_download_that_is_still_being_stopped_is_not_taken_for_a_new_one(server: HubServer, tmp_path: Path) -> None:
    publish(server, tmp_path)
    hub = Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache", pause_s=0.001)
    models = Models(tmp_path / "models", bundled=tmp_path, hub=hub, ends_within_s=0.0)
    server.held = {DATA: 100_000}
    first = models.fetch(NAME)
    assert server.holding.wait(60)
    models.downloads.cancel(NAME)
    with pytest.raises(Busy, match="is still being stopped"):
        models.fetch(NAME)
    server.release.set()
    assert (first.state, models.downloads.wait_for(NAME).state) == ("running", "cancelled")
    models.fetch(NAME)
    assert models.downloads.wait_for(NAME).state == "done"


def test_a_failed_fetch_says_why(server: HubServer, models: Models, tmp_path: Path) -> None:
    publish(server, tmp_path)
    server.statuses = {"config.json": [500] * 20}
    models.fetch(NAME)
    models.downloads.wait()
    failed = models.downloads.get(NAME)
    assert (failed.state, failed.error_code) == ("failed", "hub_unreachable")
    assert failed.error.startswith(f'"{NAME}": "immich-app/small" at 127.0.0.1:')


def test_what_is_not_fetched_from_anywhere_is_refused(models: Models) -> None:
    for ask in (models.fetch, models.downloads.cancel):
        with pytest.raises(ModelNotFound):
            ask("pocket")


def test_offline_a_fetch_is_refused_at_once(tmp_path: Path) -> None:
    models = Models(tmp_path / "models", bundled=tmp_path, hub=Hub(offline=True, cache_dir=tmp_path / "cache"))
    before = set(threading.enumerate())
    with pytest.raises(HubUnreachable, match="SIGHTLINE_OFFLINE"):
        models.fetch(NAME)
    assert models.downloads.list() == []
    assert set(threading.enumerate()) <= before


def test_an_endpoint_is_ready_without_asking_anybody(models: Models, server: HubServer) -> None:
    assert models.look_up("sagemaker:x") == ModelState("sagemaker:x", "ready", where="the SageMaker endpoint x")
    assert models.size_in_memory("sagemaker:x") == 0
    with pytest.raises(ModelNotFound, match="is not fetched from anywhere"):
        models.fetch("sagemaker:x")


def test_weights_are_hashed_off_the_request_and_once(models: Models, tmp_path: Path) -> None:
    folder = write(tmp_path / "moved here")
    export = tmp_path / "models" / fingerprint_of_open_clip(folder)
    export.mkdir(parents=True)
    (export / "encoder.json").write_text("{}")
    assert models.state(str(folder)).state == "needs_export"  # as far as is known
    for thread in threading.enumerate():
        if thread.name == "hash":
            thread.join(60)
    assert models.state(str(folder)).state == "ready"
    assert not any(thread.name == "hash" for thread in threading.enumerate())
