"""`/api/models`: what there is, what a name would cost, and a download that only runs where it was asked for."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from bench.random_model import write_random_model
from search.encoders.export import STAGES
from search.encoders.hub import Hub
from search.encoders.load import load_encoder
from search.encoders.speed import Speed
from search.loaded import Encoders
from search.models import Models
from search.speeds import Speeds
from search.types import Encoder
from search.workspace import Workspace
from tests.contract.in_process import serve
from tests.contract.served import open_workspace
from tests.contract.test_encoders import cut_vit
from tests.hub_server import HubServer, serving
from tests.unit.encoders.exports import write_export

NAME = "onnx:immich-app/small"
DATA = "visual/model.onnx.data"


@dataclass
class Served:
    client: TestClient
    hub: HubServer
    models: Models
    workspace: Workspace
    models_dir: Path
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
        speed = Speed(text_ms=12.5, images_per_s=21.0, memory_bytes=800, load_s=1.0)
        workspace.speeds = Speeds(tmp_path / "models", lambda name: ("fake-1", speed), machine="here")
        with serve(workspace) as client:
            yield Served(client, server, models, workspace, tmp_path / "models", commit, total)
        workspace.close()
        server.release.set()
        models.downloads.wait()


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
            "needs_full": False,
        },
    )
    assert served.hub.contents_asked() == []
    assert served.client.get("/api/models").json()["downloads"] == []


def test_a_download_is_accepted_followed_and_then_listed(served: Served) -> None:
    served.hub.held = {DATA: 2_500_000}
    started = served.client.post("/api/models", json={"model": NAME, "download": True})
    assert (started.status_code, started.json()["download"]["state"]) == (202, "running")
    assert served.hub.holding.wait(60)
    (download,) = served.client.get("/api/models").json()["downloads"]
    assert (download["name"], download["state"], download["total_bytes"]) == (NAME, "running", served.total_bytes)
    busy = served.client.post("/api/models", json={"model": "onnx:a/b", "download": True})
    assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
    served.hub.release.set()
    served.models.downloads.wait()
    listed = served.client.get("/api/models").json()
    assert [(model["name"], model["state"]) for model in listed["models"]] == [("fake", "unknown"), (NAME, "ready")]
    assert (listed["models"][0]["title"], listed["downloads"][0]["state"]) == ("Fake", "done")


def test_a_download_is_cancelled(served: Served) -> None:
    served.hub.held = {DATA: 2_500_000}
    served.client.post("/api/models", json={"model": NAME, "download": True})
    assert served.hub.holding.wait(60)
    assert served.client.delete("/api/models", params={"model": NAME}).status_code == 200
    served.hub.release.set()
    served.models.downloads.wait()
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
    workspace = open_workspace(tmp_path)
    workspace.encoders = Encoders(lambda name: load_encoder(name, models_dir=tmp_path / "models", bundled=tmp_path))
    with serve(workspace) as client:
        answer = client.post("/api/collections", json={"name": "photos", "model": NAME})
    workspace.close()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_not_downloaded")
    assert f"`python app.py model fetch {NAME}`" in answer.json()["error"]["message"]


def told(served: Served) -> dict[str, Any]:
    return served.client.get("/api/models").json()  # type: ignore[no-any-return]


def test_a_collection_is_made_with_a_model_that_is_downloaded_first_whoever_watches(served: Served) -> None:
    served.workspace.encoders = real_encoders(served)
    served.hub.held = {DATA: 2_500_000}
    asked = {"name": "photos", "model": NAME, "download": True}
    started = served.client.post("/api/makings", json=asked)
    assert (started.status_code, started.json()["making"]["state"]) == (202, "downloading")
    assert served.hub.holding.wait(60)
    again = served.client.post("/api/makings", json=asked)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "collection_exists")
    assert told(served)["makings"] == [
        {"collection": "photos", "model": NAME, "state": "downloading", "error": "", "error_code": ""}
    ]
    served.hub.release.set()
    end_makings()
    assert told(served)["makings"][0]["state"] == "done"
    made = served.client.get("/api/collections/photos").json()
    assert (made["model"], made["dim"], made["count"]) == (NAME, 3, 0)
    (model,) = [model for model in told(served)["models"] if model["name"] == NAME]
    assert (model["state"], model["is_loaded"], model["collections"]) == ("ready", True, ["photos"])


def test_a_making_is_cancelled_with_its_download_and_then_dismissed(served: Served) -> None:
    served.hub.held = {DATA: 2_500_000}
    served.client.post("/api/makings", json={"name": "photos", "model": NAME, "download": True})
    assert served.hub.holding.wait(60)
    assert served.client.delete("/api/makings/photos").json()["making"]["state"] == "cancelled"
    served.hub.release.set()
    end_makings()
    assert [making["state"] for making in told(served)["makings"]] == ["cancelled"]
    assert told(served)["downloads"][0]["state"] == "cancelled"
    served.client.delete("/api/makings/photos")
    assert told(served)["makings"] == []
    assert served.client.get("/api/collections/photos").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "photos", "model": NAME}, 409, "model_not_downloaded"),
        ({"name": "colours", "model": NAME, "download": True}, 409, "collection_exists"),
        ({"name": "../photos", "model": NAME, "download": True}, 422, "collection_error"),
        ({"name": "photos", "model": "onnx:../../etc", "download": True}, 404, "model_not_found"),
        ({"name": "photos"}, 422, "bad_query"),
        ({"model": NAME}, 422, "bad_query"),
        ({"name": "photos", "model": NAME, "download": 1}, 422, "bad_query"),
        ({"name": ["photos"], "model": NAME}, 422, "bad_query"),
    ],
)
def test_forged_makings_are_refused_and_nothing_is_downloaded(
    served: Served, body: object, status: int, code: str
) -> None:
    answer = served.client.post("/api/makings", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert served.hub.contents_asked() == []
    assert told(served)["makings"] == []


def test_the_speed_is_measured_by_name_and_told_with_the_model(served: Served) -> None:
    assert served.client.post("/api/models/speed", json={"model": NAME}).json()["error"]["code"] == (
        "model_not_downloaded"
    )
    for nowhere in ("nothing", "/nowhere/at/all", "onnx:../x"):
        refused = served.client.post("/api/models/speed", json={"model": nowhere})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    mine = str(served.models_dir.parent / "export")
    started = served.client.post("/api/models/speed", json={"model": mine})
    assert (started.status_code, started.json()["speed_test"]) == (202, {"name": mine, "is_running": True, "error": ""})
    for thread in threading.enumerate():
        if thread.name == "speed":
            thread.join(60)
    listed = told(served)
    (fake,) = [model for model in listed["models"] if model["name"] == "fake"]
    assert (fake["speed"]["text_ms"], fake["speed"]["images_per_s"]) == (12.5, 21.0)
    assert (listed["speed_test"]["is_running"], listed["machine"]) == (False, "here")
    assert served.client.post("/api/models/speed", json={"model": ""}).status_code == 422


def test_a_model_is_removed_with_its_files_where_the_cache_is_our_own(served: Served) -> None:
    served.workspace.encoders = real_encoders(served)
    served.client.post("/api/makings", json={"name": "photos", "model": NAME, "download": True})
    end_makings()
    refused = served.client.post("/api/models/remove", json={"model": NAME})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_in_use")
    assert "photos could not be searched without it" in refused.json()["error"]["message"]
    served.client.delete("/api/collections/photos")
    removed = served.client.post("/api/models/remove", json={"model": NAME}).json()
    assert removed["kept_bytes"] == 0
    assert removed["freed_bytes"] >= served.total_bytes
    assert [path for path in served.models_dir.parent.glob("cache/models--*/**/*") if path.is_file()] == []
    assert NAME not in [model["name"] for model in told(served)["models"]]
    again = served.client.post("/api/models/remove", json={"model": NAME})
    assert (again.status_code, again.json()["error"]["code"]) == (404, "model_not_found")
    served.client.post("/api/makings", json={"name": "photos", "model": NAME, "download": True})
    end_makings()
    assert served.client.get("/api/collections/photos").status_code == 200


@pytest.mark.parametrize("name", ["pocket", "../../etc", "onnx:a/b", "/etc"])
def test_what_was_not_fetched_is_not_removed(served: Served, name: str) -> None:
    answer = served.client.post("/api/models/remove", json={"model": name})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_from_elsewhere_nothing_is_made_measured_or_removed(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    with serve(workspace, host="0.0.0.0", address="192.0.2.1") as client:
        changes = [("POST", f"/api/{path}") for path in ("makings", "models/speed", "models/remove")]
        for method, path in [*changes, ("DELETE", "/api/makings/a")]:
            assert client.request(method, path, json={"model": NAME, "name": "a"}).status_code == 403
    workspace.close()


def test_an_export_is_told_stage_by_stage_and_the_collection_made_after_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_random_model(cut_vit(), source)
    workspace = open_workspace(tmp_path / "data", named=Models(tmp_path, bundled=tmp_path, hub=Hub(offline=True)))
    stages: list[str] = []

    def load(name: str) -> Encoder:
        return load_encoder(
            name,
            models_dir=tmp_path / "models",
            bundled=tmp_path,
            offline=True,
            progress=tell,
            warn=lambda sentence: workspace.encoders.warn(name, sentence),
        )

    def tell(stage: str) -> None:
        workspace.encoders.tell(str(source), stage)
        (model,) = [model for model in client.get("/api/models").json()["models"] if model["name"] == str(source)]
        stages.append(model["loading"]["stage"])

    workspace.encoders = Encoders(load)
    workspace.library.create("before", model=str(source), fingerprint="f", dim=64)
    with serve(workspace) as client:
        listed = client.post("/api/models", json={"model": str(source)}).json()
        assert listed["state"] == "needs_export"
        assert listed["note"].startswith("The first use exports it: some minutes, ")
        client.post("/api/makings", json={"name": "photos", "model": str(source)})
        end_makings()
        assert client.get("/api/collections/photos").json()["dim"] == 64
    assert stages == list(STAGES)
    assert workspace.encoders.warning(str(source)) == ""
    workspace.close()


def real_encoders(served: Served) -> Encoders:
    def load(name: str) -> Encoder:
        return load_encoder(name, models_dir=served.models_dir, bundled=served.models_dir)

    return Encoders(load)


def end_makings() -> None:
    for thread in threading.enumerate():
        if thread.name == "making":
            thread.join(300)  # an export is among them
