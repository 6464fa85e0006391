"""The bundled collection as a release: built and checked by the shell, served read-only by `ui` and `serve`."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from starlette.testclient import TestClient

from app import join
from search.reports import Reports
from search.types import Item
from settings import Settings
from store.collection_folder import build_folder, open_folder
from store.release import build_release, open_release
from tests.processes import ROOT, run, served, served_ui
from tests.runtime_server import aws_environment, sagemaker_runtime
from tests.unit.encoders.exports import write_export
from tests.unit.test_reports import report
from ui.access import Access
from ui.readiness import Readiness, search_check
from ui.serve import make_serve_app
from ui.service import Limits, make_service
from ui.start import with_release_at


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


def found(address: str, query: str) -> dict[str, Any]:
    request = Request(f"http://{address}/api/search", json.dumps({"query": query}).encode())
    request.add_header("content-type", "application/json")
    with urlopen(request, timeout=60) as answer:
        told: dict[str, Any] = json.load(answer)
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
        with urlopen(f"http://{one}/api/collections", timeout=60) as answer:
            told = json.load(answer)
        assert [entry["name"] for entry in told["collections"]] == ["gallery"]
        with urlopen(f"http://{one}/api/me", timeout=60) as answer:
            me = json.load(answer)
        why = "A release is served here: it can be searched, and nothing in it can be changed."
        assert (told["may_change"], told["why_not"]) == (me["may_change"], me["why_not"]) == (False, why)
        with urlopen(f"http://{one}/ping", timeout=60) as answer:
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


def test_a_part_is_told_apart_from_a_release(release: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    subprocess.run(["cp", "-R", str(release / "collection"), str(part)], check=True)
    told = json.loads((release / "manifest.json").read_bytes())
    told["files"] = {name: known for name, known in told["files"].items() if name.startswith("collection/")}
    (part / "manifest.json").write_text(json.dumps(told))
    for said in (
        run("release", "verify", str(part), data_dir=tmp_path / "data", code=1),
        run("search", "a pig", data_dir=tmp_path / "data", code=1, SIGHTLINE_RELEASE=str(part)),
    ):
        assert said == (
            '"gallery" holds no model. A part that `index --part` made is for `import`; a release is what `release '
            "build` makes of a collection.\n"
        )


def test_what_was_built_is_opened_by_the_store_with_its_licences_and_version(release: Path, tmp_path: Path) -> None:
    opened = open_release(str(release), cache=tmp_path)
    assert (opened.name, opened.collection, opened.told["evaluation"]) == ("gallery", "gallery", None)
    assert opened.told["licences"] == {
        "model": "Apache-2.0",
        "drawings": "OFL-1.1 (Noto Color Emoji)",
        "images": "OFL-1.1 (Noto Color Emoji), backgrounds Apache-2.0",
    }
    texts = {"LICENSE": ROOT / "LICENSE", "NOTO-OFL.txt": ROOT / "pocket" / "NOTO-OFL.txt"}
    for name, text in texts.items():
        assert (release / "licences" / name).read_bytes() == text.read_bytes()
    assert f'version = "{opened.told["code"]["version"]}"' in (ROOT / "pyproject.toml").read_text()


def test_a_collection_that_claims_its_model_and_was_not_embedded_by_it_is_found_out(
    release: Path, tmp_path: Path
) -> None:
    """Each picture has the embedding of another: no file, hash or fingerprint is wrong."""

    def snapshot(into: Path) -> Mapping[str, object]:
        gallery = open_folder(release / "collection")
        info, records = gallery.info, gallery.page(offset=0, count=64)
        stored = gallery.embeddings([record.id for record in records])
        with build_folder(
            into, name=info.name, model=info.model, fingerprint=info.fingerprint, dim=info.dim, description=""
        ) as made:
            for record, other in zip(records, [*records[1:], records[0]], strict=True):
                made.put([Item(record, stored[other.id], gallery.thumbnail(record.id))])
        gallery.close()
        return {"name": info.name, "images": 64, "thumbnails": 64}

    told = json.loads((release / "manifest.json").read_text())
    model = {name: release / name for name in told["files"] if name.startswith("model/")}
    build_release(
        tmp_path / "mixed", name="mixed", model=told["model"], files=model, snapshot=snapshot, told={"code": {}}
    )
    said = run("release", "verify", str(tmp_path / "mixed"), data_dir=tmp_path / "data", code=1)
    assert 'The collection of the release "mixed" was not embedded by the model beside it: 32 thumbnails' in said
    said = run("release", "verify", str(release), data_dir=tmp_path / "data")
    assert "32 thumbnails, embedded again, have a cosine of 1.000 or more with what is stored" in said


def test_the_releases_model_behind_an_endpoint_encodes_for_readers(release: Path, tmp_path: Path) -> None:
    with (
        served(tmp_path / "endpoint", SIGHTLINE_RELEASE=str(release)) as container,
        sagemaker_runtime({"encoder": container}) as runtime,
    ):
        behind = {"SIGHTLINE_RELEASE": str(release), "SIGHTLINE_MODEL": "sagemaker:encoder"}
        with served_ui(tmp_path / "a", SIGHTLINE_RELEASE=str(release)) as own:
            expected = found(own, "a pig")
        with served_ui(tmp_path / "b", **behind, **aws_environment(runtime)) as page:
            answer = found(page, "a pig")
            with urlopen(f"http://{page}/api/models", timeout=60) as told:
                notes = [model["about"] for model in json.load(told)["models"]]
        said = run("release", "verify", str(release), data_dir=tmp_path / "c", SIGHTLINE_MODEL="sagemaker:nothing")
    assert [hit["id"] for hit in answer["hits"]] == [hit["id"] for hit in expected["hits"]]
    assert (answer["model"], answer["fingerprint"]) == (expected["model"], expected["fingerprint"])
    assert notes == [
        'The model of the release "gallery", behind the SageMaker endpoint encoder; pictures are encoded there.'
    ]
    assert "is whole" in said  # by its own model


def test_an_endpoint_of_another_model_than_the_releases_is_refused_at_the_start(release: Path, tmp_path: Path) -> None:
    other = write_export(tmp_path / "other")
    run("release", "build", "--model-only", str(other), str(tmp_path / "alone"), data_dir=tmp_path / "data")
    with (
        served(tmp_path / "endpoint", SIGHTLINE_RELEASE=str(tmp_path / "alone")) as container,
        sagemaker_runtime({"encoder": container}) as runtime,
    ):
        behind = {"SIGHTLINE_RELEASE": str(release), "SIGHTLINE_MODEL": "sagemaker:encoder"}
        for duty in ("ui", "serve"):
            said = run(duty, data_dir=tmp_path / "a", code=1, **behind, **aws_environment(runtime))
            assert 'The endpoint "encoder" serves another model (' in said.splitlines()[-1]
        missing = behind | {"SIGHTLINE_MODEL": "sagemaker:nothing"}
        said = run("ui", data_dir=tmp_path / "a", code=1, **missing, **aws_environment(runtime))
        assert 'There is no endpoint "nothing" in eu-central-1' in said.splitlines()[-1]


def test_an_evaluation_of_another_version_is_left_out_with_a_word(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    kept = Reports(data_dir / "reports")
    kept.keep(replace(report(), collection="gallery"))
    said = run("release", "build", "gallery", str(tmp_path / "release"), data_dir=data_dir)
    assert "MB; the last evaluation (2026-11-23) is not in it, because it judged another model (fake-1)" in said
    assert json.loads((tmp_path / "release" / "manifest.json").read_text())["evaluation"] is None
