"""A release carries the text tower that is used here, the code's version, and an evaluation of itself alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search.encoders.onnx_encoder import INT8, OnnxEncoder
from search.errors import ModelError
from search.workspace import Workspace
from tests.contract.served import open_workspace
from tests.fakes import FakeEncoder
from tests.processes import ROOT
from tests.unit.encoders.exports import write_export
from tests.unit.test_reports import report
from ui.release_contents import REVISION, code_at, evaluation_of, model_files, shipped_name


def test_an_int8_text_tower_that_is_used_here_comes_along(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "model")
    encoder = OnnxEncoder(folder, name="tiny", fingerprint="f" * 64, threads=1)
    plain = model_files(encoder)
    (folder / INT8).parent.mkdir()
    for name in ("model.onnx", "model.onnx.data", "trial.json"):
        (folder / INT8.parent / name).write_bytes(name.encode())
    assert sorted(set(model_files(encoder)) - set(plain)) == [
        "textual/int8/model.onnx",
        "textual/int8/model.onnx.data",
        "textual/int8/trial.json",
    ]


def test_an_encoder_without_files_makes_no_release() -> None:
    with pytest.raises(ModelError, match="A release needs an exported model"):
        model_files(FakeEncoder())


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = open_workspace(tmp_path)
    yield workspace
    workspace.close()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fingerprint": "e" * 64}, "it judged another model (eeeeeeeeeeee)"),
        ({"version": "0"}, "it judged another collection of this name"),
        ({"size": 7}, "it judged 7 images, and there are 4 now"),
    ],
)
def test_an_evaluation_of_something_else_is_left_out_and_that_is_said(
    workspace: Workspace, changes: dict[str, object], why: str
) -> None:
    collection = workspace.open("colours")
    own = {"fingerprint": "fake-1", "version": collection.info.version, "size": 4, "collection": "colours"}
    assert workspace.evaluations is not None
    workspace.evaluations.reports.keep(replace(report(), **(own | changes)))
    told, remark = evaluation_of(workspace, collection)
    assert (told, remark) == (None, f"the last evaluation (2026-11-23) is not in it, because {why}")


def test_an_evaluation_of_this_very_collection_is_told_without_its_queries(workspace: Workspace) -> None:
    collection = workspace.open("colours")
    assert workspace.evaluations is not None
    assert evaluation_of(workspace, collection) == (None, "no evaluation is in it, because there is none")
    own = replace(report(), fingerprint="fake-1", version=collection.info.version, size=4, collection="colours")
    workspace.evaluations.reports.keep(own)
    told, remark = evaluation_of(workspace, collection)
    assert told is not None
    assert remark == ""
    assert (told["fingerprint"], told["version"], told["size"]) == ("fake-1", own.version, 4)
    assert sorted(told) == ["fingerprint", "made_at", "overall", "size", "slices", "version"]


def test_the_codes_version_is_the_projects_and_in_an_image_the_commit_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / REVISION).write_text("abc123\n")
    assert code_at(tmp_path) == {"version": "1.2.3", "commit": "abc123", "licence": "Apache-2.0"}


def test_where_nothing_tells_the_version_it_is_unknown(tmp_path: Path) -> None:
    assert code_at(tmp_path) == {"version": "unknown", "commit": "unknown", "licence": "Apache-2.0"}


def test_the_codes_licence_is_what_the_project_says() -> None:
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "model", ["pocket", "ViT-B-32/laion2b_s34b_b79k", "hf-hub:a/b@main", "sagemaker:clip", "a-folders-own-name"]
)
def test_a_models_name_is_shipped_as_it_is(model: str) -> None:
    assert shipped_name(model) == model


def test_a_folder_is_shipped_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret" / "clip").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "secret")
    named = ["secret/clip", "clip", "./clip", "../secret/clip/", str(tmp_path / "secret" / "clip")]
    assert {shipped_name(name) for name in named[1:]} == {"clip"}
    monkeypatch.chdir(tmp_path / "secret" / "clip")
    assert shipped_name(".") == shipped_name("../clip") == "clip"
    assert shipped_name("..") == "secret"
    monkeypatch.chdir(tmp_path)
    assert shipped_name(named[0]) == "clip"
