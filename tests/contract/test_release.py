"""The bundled collection as a release: built and checked by the shell, served read-only by `ui` and `serve`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from starlette.testclient import TestClient

from app import join
from settings import Settings
from store.release import open_release
from tests.processes import ROOT, served_ui
from ui.access import Access
from ui.readiness import Readiness, search_check
from ui.serve import make_serve_app
from ui.service import Limits, make_service
from ui.start import with_release_at


def run(*arguments: str, data_dir: Path, code: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "SIGHTLINE_DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody may write in it."""
    folder = tmp_path_factory.mktemp("built")
    run("release", "build", "gallery", str(folder / "release"), data_dir=folder / "data")
    for path in (folder / "release").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder / "release"


@pytest.fixture(scope="module")
def model_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    run("release", "build", "--model-only", "pocket", str(folder / "release"), data_dir=folder / "data")
    return folder / "release"


def found(address: str, query: str) -> dict[str, object]:
    request = Request(f"http://{address}/api/search", json.dumps({"query": query}).encode())
    request.add_header("content-type", "application/json")
    with urlopen(request, timeout=30) as answer:
        told: dict[str, object] = json.load(answer)
    return told


def test_two_archives_of_one_collection_are_equal_and_whole(release: Path, tmp_path: Path) -> None:
    for name in ("one.tar.gz", "other.tar.gz"):
        run("release", "build", "gallery", str(tmp_path / name), data_dir=tmp_path / name.split(".")[0])
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    said = run("release", "verify", str(tmp_path / "one.tar.gz"), data_dir=tmp_path / "data")
    assert '"gallery" of 1,000 images' in said


def test_a_release_holds_no_place_of_this_machine(release: Path) -> None:
    assert str(ROOT).encode() not in (release / "collection" / "catalog.sqlite").read_bytes()
    assert str(ROOT) not in (release / "manifest.json").read_text()


def test_several_pages_serve_one_release_and_nobody_can_change_it(release: Path, tmp_path: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in release.rglob("*")}
    with served_ui(tmp_path / "data") as own:
        expected = found(own, "a pig")["hits"]
    with (
        served_ui(tmp_path / "a", SIGHTLINE_RELEASE=str(release)) as one,
        served_ui(tmp_path / "a", SIGHTLINE_RELEASE=str(release)) as other,
    ):
        assert found(one, "a pig")["hits"] == expected
        assert found(other, "a pig")["hits"] == expected
        with urlopen(f"http://{one}/api/collections", timeout=30) as answer:
            told = json.load(answer)
        assert [entry["name"] for entry in told["collections"]] == ["gallery"]
        assert told["may_change"] is False
        with urlopen(f"http://{one}/ping", timeout=30) as answer:
            assert answer.status == 200
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in release.rglob("*")} == before


@pytest.fixture
def serving(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    settings = Settings(release=str(request.getfixturevalue(request.param)))
    workspace = join(settings, write=False)
    readiness = Readiness(search_check(workspace, model=workspace.embeds_with))
    readiness.check_now()
    service = make_service(workspace, access=Access(host="0.0.0.0"), limits=Limits(), readiness=readiness)
    yield TestClient(make_serve_app(service))
    service.close()
    workspace.close()


@pytest.mark.parametrize("serving", ["release"], indirect=True)
def test_serve_searches_a_release(serving: TestClient) -> None:
    assert serving.get("/ping").status_code == 200
    answer = serving.post("/invocations", json={"query": "a pig", "top_k": 2}).json()
    assert (answer["collection"], len(answer["hits"])) == ("gallery", 2)


@pytest.mark.parametrize("serving", ["model_alone"], indirect=True)
def test_a_release_without_a_collection_embeds_and_says_that_it_can_not_search(serving: TestClient) -> None:
    assert serving.get("/ping").status_code == 200
    embedded = serving.post("/invocations", json={"embed": {"texts": ["a pig"]}}).json()
    assert (len(embedded["embeddings"]["texts"][0]), embedded["model"]) == (256, "pocket")
    assert serving.post("/invocations", json={"describe": {}}).json()["dim"] == 256
    refused = serving.post("/invocations", json={"query": "a pig"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "collection_not_found")
    assert "it can embed" in refused.json()["error"]["message"]


def test_serve_takes_the_release_that_the_platform_unpacked_unless_another_is_set(
    release: Path, tmp_path: Path
) -> None:
    assert with_release_at(release, Settings()).release == str(release)
    assert with_release_at(release, Settings(release="/another")).release == "/another"
    assert with_release_at(tmp_path, Settings()).release == ""


def test_a_damaged_release_is_not_served(model_alone: Path, tmp_path: Path) -> None:
    copy = tmp_path / "release"
    subprocess.run(["cp", "-R", str(model_alone), str(copy)], check=True)
    (copy / "model" / "config.json").write_text("{}")
    for duty in ("ui", "serve"):
        said = run(duty, data_dir=tmp_path / "data", code=1, SIGHTLINE_RELEASE=str(copy))
        assert said.splitlines()[-1].startswith('The release "pocket" is damaged in model/config.json')


def test_what_was_built_is_opened_by_the_store(release: Path, tmp_path: Path) -> None:
    opened = open_release(str(release), cache=tmp_path)
    assert (opened.name, opened.collection, opened.told["licences"]["drawings"]) == (
        "gallery", "gallery", "OFL-1.1 (Noto Color Emoji)",
    )  # fmt: skip
