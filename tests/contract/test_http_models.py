"""`/api/models`: what there is, what a name would cost, and a download that only runs where it was asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from search.encoders.hub import Hub
from search.models import Models
from tests.contract.served import open_workspace
from tests.contract.test_http import serve
from tests.hub_server import HubServer, serving
from tests.unit.encoders.exports import write_export

NAME = "onnx:immich-app/small"
DATA = "visual/model.onnx.data"


@dataclass
class Served:
    client: TestClient
    hub: HubServer
    models: Models
    commit: str
    total_bytes: int


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving() as server:
        folder = write_export(tmp_path / "export", length=77, context_length=77)
        (folder / DATA).write_bytes(b"\1" * 3_000_000)
        commit = server.add_folder("immich-app/small", folder)
        total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        hub = Hub(endpoint=server.endpoint, cache_dir=tmp_path / "cache", pause_s=0.001)
        models = Models(tmp_path / "models", bundled=tmp_path, hub=hub)
        workspace = open_workspace(tmp_path / "data", named=models)
        with serve(workspace) as client:
            yield Served(client, server, models, commit, total)
        workspace.close()
        server.release.set()
        models.wait()


def test_asking_shows_the_size_and_fetches_nothing(served: Served) -> None:
    answer = served.client.post("/api/models", json={"model": NAME})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "name": NAME,
            "state": "needs_download",
            "total_bytes": served.total_bytes,
            "missing_bytes": served.total_bytes,
            "revision": served.commit,
            "where": served.hub.endpoint.removeprefix("http://"),
            "note": "",
        },
    )
    assert served.hub.contents_asked() == []
    assert served.client.get("/api/models").json()["downloads"] == []


def test_a_download_is_accepted_followed_and_then_listed(served: Served) -> None:
    served.hub.held = {DATA: 2_500_000}
    started = served.client.post("/api/models", json={"model": NAME, "download": True})
    assert (started.status_code, started.json()["download"]["state"]) == (202, "running")
    assert served.hub.holding.wait(20)
    (download,) = served.client.get("/api/models").json()["downloads"]
    assert (download["name"], download["state"], download["total_bytes"]) == (NAME, "running", served.total_bytes)
    busy = served.client.post("/api/models", json={"model": "onnx:a/b", "download": True})
    assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
    served.hub.release.set()
    served.models.wait()
    listed = served.client.get("/api/models").json()
    assert [(model["name"], model["state"]) for model in listed["models"]] == [("fake", "unknown"), (NAME, "ready")]
    assert (listed["models"][0]["title"], listed["downloads"][0]["state"]) == ("Fake", "done")


def test_a_download_is_cancelled(served: Served) -> None:
    served.hub.held = {DATA: 2_500_000}
    served.client.post("/api/models", json={"model": NAME, "download": True})
    assert served.hub.holding.wait(20)
    assert served.client.delete("/api/models", params={"model": NAME}).status_code == 200
    served.hub.release.set()
    served.models.wait()
    (download,) = served.client.get("/api/models").json()["downloads"]
    assert (download["state"], download["error_code"]) == ("cancelled", "cancelled")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "onnx:../../etc"}, 404, "model_not_found"),
        ({"model": "onnx:nobody/nothing"}, 404, "model_not_found"),
        ({"model": "onnx:nobody/nothing", "download": True}, 404, "model_not_found"),
        ({"model": ""}, 422, "bad_query"),
        ({"model": 3}, 422, "bad_query"),
        ({"model": "x" * 5_000}, 422, "bad_query"),
        ({"model": NAME, "download": "yes"}, 422, "bad_query"),
        ({"model": NAME, "yes": True}, 422, "bad_query"),
    ],
)
def test_what_cannot_be_fetched_is_refused(served: Served, body: object, status: int, code: str) -> None:
    answer = served.client.post("/api/models", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_nothing_runs_to_cancel(served: Served) -> None:
    answer = served.client.delete("/api/models", params={"model": NAME})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_from_elsewhere_models_are_listed_and_nothing_is_looked_up(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    with serve(workspace, host="0.0.0.0", address="192.0.2.1") as client:
        assert client.get("/api/models").status_code == 200
        assert client.post("/api/models", json={"model": NAME}).status_code == 403
        assert client.delete("/api/models", params={"model": NAME}).status_code == 403
    workspace.close()


def test_a_collection_of_a_model_that_is_not_here_is_refused_with_the_command(tmp_path: Path) -> None:
    from search.encoders.load import load_encoder

    workspace = open_workspace(tmp_path)
    workspace._load_encoder = lambda name: load_encoder(name, models_dir=tmp_path / "models", bundled=tmp_path)
    workspace._encoders.clear()
    with serve(workspace) as client:
        answer = client.post("/api/collections", json={"name": "photos", "model": NAME})
    workspace.close()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_not_downloaded")
    assert f"`python app.py model fetch {NAME}`" in answer.json()["error"]["message"]
