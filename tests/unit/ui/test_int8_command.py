"""`int8 COLLECTION` tells what was measured, or in one sentence why nothing was."""

from dataclasses import replace
from pathlib import Path

import onnx.parser
import pytest

from search.encoders.onnx_encoder import INT8, OnnxEncoder
from search.errors import ModelError
from search.ranking import ORDINARY_WORDS
from search.types import Item
from search.workspace import Workspace
from tests.contract.served import open_workspace
from tests.unit.encoders.exports import IMAGE, write_export
from ui.int8_command import run_int8


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = write_export(tmp_path / "model")
    image = onnx.parser.parse_model(
        IMAGE.format(batch="batch").replace("4, 4", "8, 8")
    )  # the size of served's pictures
    onnx.save(image, folder / "visual" / "model.onnx")
    encoder = OnnxEncoder(folder, name="tiny", fingerprint="f" * 64, threads=1)
    return open_workspace(tmp_path / "data", encoder=encoder)


def run(workspace: Workspace, *, off: bool = False) -> list[str]:
    try:
        return list(run_int8(workspace, "colours", off=off))
    finally:
        workspace.close()


def test_the_figures_are_told(workspace: Workspace) -> None:
    collection = workspace.engine("colours").collection
    (record,), (embedding,) = collection.records(["red"]).values(), collection.embeddings(["red"]).values()
    collection.put([Item(replace(record, id=f"{n:012x}", uri=f"uploads/{n}"), embedding, None) for n in range(200)])
    lines = run(workspace)
    assert lines[0] == 'Trying int8 texts for "tiny" (half a minute) …'
    count = 1 + 2 * len(ORDINARY_WORDS)
    assert lines[1].startswith(f"int8 finds 100.0% of the same first 10 hits (95% wanted; {count} texts, 204 images)")
    assert lines[2].startswith(("Kept, ", "Not kept: "))


def test_too_few_images_are_said(workspace: Workspace) -> None:
    with pytest.raises(ModelError, match="on 100 images and more; there are 4"):
        run(workspace)


def test_off_takes_it_back(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "model" / INT8).parent.mkdir()
    (tmp_path / "model" / INT8).write_bytes((tmp_path / "model" / "textual" / "model.onnx").read_bytes())
    assert list(run_int8(workspace, "colours", off=True)) == ["Texts are encoded in float32 from the next start on."]
    assert run(workspace, off=True) == ["Texts are encoded in float32 as before: int8 was off."]


def test_an_encoder_without_an_export_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no exported model here"):
        run(open_workspace(tmp_path))
