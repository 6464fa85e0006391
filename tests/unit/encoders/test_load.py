"""A model's name becomes an encoder; what it can't become says so in one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from search.encoders.load import load_encoder
from search.errors import ModelDamaged, ModelNotFound
from search.types import Encoder
from tests.unit.encoders.exports import write_export


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    folder = write_export(tmp_path / "bundled")
    (folder / "encoder.json").write_text(json.dumps({"fingerprint": "ab" * 32}))
    return folder


def load(name: str, bundled: Path) -> Encoder:
    return load_encoder(name, models_dir=bundled.parent / "models", bundled=bundled, offline=True, threads=1)


def test_pocket_is_the_bundled_folder(bundled: Path) -> None:
    ours = load("pocket", bundled)
    assert (ours.name, ours.fingerprint, ours.dim) == ("pocket", "ab" * 32, 3)


def test_a_folder_is_known_by_its_path_and_by_the_hash_of_its_files(bundled: Path, tmp_path: Path) -> None:
    one, same = write_export(tmp_path / "one"), write_export(tmp_path / "same")
    other = write_export(tmp_path / "other", length=6)
    assert load(str(one), bundled).name == str(one)
    assert load(str(one), bundled).fingerprint == load(str(same), bundled).fingerprint
    assert load(str(one), bundled).fingerprint != load(str(other), bundled).fingerprint


@pytest.mark.parametrize("file", ["config.json", "visual/preprocess_cfg.json", "textual/tokenizer.json"])
def test_a_changed_file_is_another_encoder(bundled: Path, tmp_path: Path, file: str) -> None:
    folder = write_export(tmp_path / "one")
    before = load(str(folder), bundled).fingerprint
    text = (folder / file).read_text()
    (folder / file).write_text(text + "\n")
    assert load(str(folder), bundled).fingerprint != before


def test_a_big_file_is_hashed_once(bundled: Path, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "one")
    before = load(str(folder), bundled).fingerprint
    network = folder / "visual" / "model.onnx"
    written = network.stat().st_mtime_ns
    network.write_bytes(network.read_bytes().replace(b"image_embedding", b"image_embeddinG"))
    os.utime(network, ns=(written, written))
    assert load(str(folder), bundled).fingerprint == before
    os.utime(network, ns=(written, written + 1))
    assert load(str(folder), bundled).fingerprint != before


def test_a_damaged_note_of_fingerprints_is_made_anew(bundled: Path, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "one")
    before = load(str(folder), bundled).fingerprint
    (tmp_path / "models" / "fingerprints.json").write_text("[1, 2")
    assert load(str(folder), bundled).fingerprint == before


def test_a_folder_without_config_is_named(bundled: Path, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "one")
    (folder / "config.json").unlink()
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        load(str(folder), bundled)


def test_a_data_folder_that_can_not_be_written_costs_only_the_hash(bundled: Path, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "one")
    (tmp_path / "models").write_text("a file where the folder should be")
    assert len(load(str(folder), bundled).fingerprint) == 64


def test_a_damaged_encoder_json_is_named(bundled: Path) -> None:
    (bundled / "encoder.json").write_text("{}")
    with pytest.raises(ModelDamaged, match=r"encoder\.json"):
        load("pocket", bundled)


@pytest.mark.parametrize(
    "name",
    ["vertex:endpoint", "", "pocke", "\0"],
)
def test_an_unknown_name_is_answered_with_the_forms_there_are(bundled: Path, name: str) -> None:
    with pytest.raises(ModelNotFound, match='"pocket"'):
        load(name, bundled)


def test_a_folder_without_a_model_is_answered_with_what_it_should_hold(bundled: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"open_clip_model\.safetensors"):
        load(str(tmp_path / "empty"), bundled)


def test_a_missing_bundled_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="bundled"):
        load("pocket", tmp_path / "nowhere")


def test_a_process_that_encodes_never_imports_torch(bundled: Path) -> None:
    said = (
        "import sys, numpy as np; from pathlib import Path; from search.encoders.load import load_encoder\n"
        f"bundled = Path({str(bundled)!r})\n"
        "ours = load_encoder('pocket', models_dir=bundled.parent / 'models', bundled=bundled)\n"
        "ours.encode_texts(['red boat', 'été']); ours.encode_images(np.ones((1, 4, 4, 3), np.uint8))\n"
        "print(sorted({'torch', 'open_clip', 'torchvision', 'onnx', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pixels_of_another_size_are_an_error_of_the_model(bundled: Path) -> None:
    with pytest.raises(ModelDamaged, match="does not run"):
        load("pocket", bundled).encode_images(np.zeros((1, 5, 5, 3), dtype=np.uint8))
