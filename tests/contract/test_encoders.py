"""The contract of Encoder, kept by both runtimes, and by ONNX Runtime to torch's numbers."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file

from bench.random_model import write_random_model
from search.encoders.device import Device, Numbers
from search.encoders.export import STAGES, export, export_in_process
from search.encoders.fingerprint import fingerprint_of_open_clip
from search.encoders.load import load_encoder
from search.encoders.onnx_encoder import OnnxEncoder
from search.encoders.open_clip_encoder import OpenClipEncoder, import_open_clip, load_open_clip, run_texts
from search.encoders.scratch import scratch_in
from search.errors import ModelDamaged, ModelError
from search.types import Encoder
from tests.fakes import FakeEncoder

COSINE = 0.9999
ROOT = Path(__file__).parents[2]
POCKET = ROOT / "pocket"
TEXTS = [
    "a red boat",
    "",
    "two cats &amp; a dog",
    "猫が好き 🐈",
    "Été à la plage",
    "boat",
    "green " * 100,
    "a cat, a cat and a cat",
]


def cut_vit(**text_cfg: Any) -> dict[str, Any]:
    """ViT-B-32 with less depth and width; ids keep their numbers, since the end token is the greatest."""
    config: dict[str, Any] = import_open_clip().get_model_config("ViT-B-32")
    config["embed_dim"] = 64
    config["vision_cfg"] |= {"layers": 1, "width": 128, "image_size": 64}
    config["text_cfg"] |= {"layers": 1, "width": 64, "heads": 2} | text_cfg
    return config


@dataclass(frozen=True)
class Model:
    source: Path
    exported: Path
    models_dir: Path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    root = tmp_path_factory.mktemp("models")
    source = write_random_model(cut_vit(), root / "source")
    models_dir = root / "cache"
    load_encoder(str(source), models_dir=models_dir, bundled=root, offline=True)
    return Model(source, models_dir / fingerprint_of_open_clip(source), models_dir)


@pytest.fixture(scope="session")
def torch_encoder(model: Model) -> Encoder:
    return OpenClipEncoder(model.source, name="small", fingerprint=fingerprint_of_open_clip(model.source))


@pytest.fixture(scope="session")
def onnx_encoder(model: Model) -> Encoder:
    return OnnxEncoder(model.exported, name="small", fingerprint=fingerprint_of_open_clip(model.source))


@pytest.fixture(params=["fake", "torch", "onnx"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "fake":
        return FakeEncoder()
    found: Encoder = request.getfixturevalue(f"{request.param}_encoder")
    return found


def pictures(size: tuple[int, int], count: int = 5) -> np.ndarray:
    random = np.random.default_rng(3)
    noise = random.integers(0, 256, (count, *size, 3))
    tints = random.integers(0, 256, (count, 1, 1, 3))
    return ((noise + 3 * tints) // 4).astype(np.uint8)


def test_rows_are_float32_and_of_length_one(encoder: Encoder) -> None:
    texts, images = (
        encoder.encode_texts(["red", "a blue boat"]),
        encoder.encode_images(pictures(encoder.preprocess.size)),
    )
    for rows, count in ((texts, 2), (images, 5)):
        assert rows.dtype == np.float32
        assert rows.shape == (count, encoder.dim)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_row_does_not_depend_on_its_neighbours(encoder: Encoder) -> None:
    texts = ["red", "a green boat on a blue sea", "blue"]
    together = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    pixels = pictures(encoder.preprocess.size)
    together = encoder.encode_images(pixels)
    alone = np.concatenate([encoder.encode_images(pixel[None]) for pixel in pixels])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_nothing_in_is_nothing_out(torch_encoder: Encoder, onnx_encoder: Encoder) -> None:
    for encoder in (torch_encoder, onnx_encoder):
        assert encoder.encode_texts([]).shape == (0, 64)
        assert encoder.encode_images(pictures(encoder.preprocess.size)[:0]).shape == (0, 64)


def test_pixels_are_left_as_they_were(encoder: Encoder) -> None:
    pixels = pictures(encoder.preprocess.size)
    before = pixels.copy()
    encoder.encode_images(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_both_runtimes_give_one_embedding(torch_encoder: Encoder, onnx_encoder: Encoder) -> None:
    assert least_cosine(torch_encoder.encode_texts(TEXTS), onnx_encoder.encode_texts(TEXTS)) >= COSINE
    pixels = pictures(onnx_encoder.preprocess.size, 20)
    assert least_cosine(torch_encoder.encode_images(pixels), onnx_encoder.encode_images(pixels)) >= COSINE


def test_the_bundled_model_is_one_in_both_runtimes(tmp_path: Path) -> None:
    ours = load_encoder("pocket", models_dir=tmp_path, bundled=POCKET / "encoder", offline=True)
    fingerprint = fingerprint_of_open_clip(POCKET / "model")
    theirs = OpenClipEncoder(POCKET / "model", name="pocket", fingerprint=fingerprint)
    pixels = pictures(ours.preprocess.size, 20)
    assert (ours.fingerprint, ours.dim, ours.preprocess) == (fingerprint, theirs.dim, theirs.preprocess)
    assert least_cosine(ours.encode_texts(TEXTS), theirs.encode_texts(TEXTS)) >= COSINE
    assert least_cosine(ours.encode_images(pixels), theirs.encode_images(pixels)) >= COSINE


def least_cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.min(np.sum(left * right, axis=1)))


def test_both_runtimes_have_one_preprocessing_and_dimension(torch_encoder: Encoder, onnx_encoder: Encoder) -> None:
    assert onnx_encoder.preprocess == torch_encoder.preprocess
    assert onnx_encoder.dim == torch_encoder.dim == 64


def test_the_export_carries_the_fingerprint_of_the_weights(model: Model) -> None:
    note = json.loads((model.exported / "encoder.json").read_text())
    assert note == {
        "fingerprint": fingerprint_of_open_clip(model.source),
        "source": "source",
        "dim": 64,
        "dynamic_length": True,
        "half": False,
    }


def test_an_export_is_used_again(model: Model, tmp_path: Path) -> None:
    before = (model.exported / "textual" / "model.onnx").stat()
    again = load_encoder(str(model.source), models_dir=model.models_dir, bundled=tmp_path, offline=True)
    after = (model.exported / "textual" / "model.onnx").stat()
    assert isinstance(again, OnnxEncoder)
    assert again.name == str(model.source)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert sorted(path.name for path in model.models_dir.iterdir()) == sorted(["fingerprints.json", again.fingerprint])


def test_without_torch_an_open_clip_folder_says_what_to_install(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModelError, match="with `make full`, or in a container use the image's target `full`"):
        load_encoder(str(model.source), models_dir=tmp_path / "models", bundled=tmp_path, offline=True)


def test_without_torch_an_export_made_before_is_served(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    again = load_encoder(str(model.source), models_dir=model.models_dir, bundled=tmp_path, offline=True)
    assert again.fingerprint == fingerprint_of_open_clip(model.source)


def test_a_text_cut_at_its_end_equals_the_padded_one(model: Model, onnx_encoder: OnnxEncoder) -> None:
    session = onnxruntime.InferenceSession(model.exported / "textual" / "model.onnx")
    whole = session.run(None, {"text": onnx_encoder.ids(TEXTS)})[0]
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(onnx_encoder.encode_texts(TEXTS), whole, atol=1e-5)


def test_a_tower_that_looks_ahead_is_never_cut(tmp_path: Path) -> None:
    source = write_random_model(
        cut_vit(no_causal_mask=True, context_length=16) | {"custom_text": True}, tmp_path / "in"
    )
    export(source, tmp_path / "out")
    ours, theirs = OnnxEncoder(tmp_path / "out", name="", fingerprint=""), load_open_clip(source)
    ids = ours.ids(["a red boat"])
    rows = ours.encode_texts(["a red boat"])
    assert least_cosine(rows, run_texts(theirs, ids)) >= COSINE
    assert least_cosine(rows, run_texts(theirs, ids[:, :5])) < COSINE


def test_a_half_export_is_small_and_equals_torch_on_the_rounded_weights(tmp_path: Path) -> None:
    source = write_random_model(cut_vit(), tmp_path / "in")
    weights = load_file(source / "open_clip_model.safetensors")
    weights["token_embedding.weight"][5000:45000] = 0  # words that a training never met
    save_file(weights, source / "open_clip_model.safetensors")
    export(source, tmp_path / "out", half=True)
    rounded = write_random_model(cut_vit(), tmp_path / "rounded")
    halves = {name: values.astype(np.float16) for name, values in weights.items()}
    save_file(halves, rounded / "open_clip_model.safetensors")
    ours = OnnxEncoder(tmp_path / "out", name="", fingerprint="")
    theirs = OpenClipEncoder(rounded, name="", fingerprint="")
    pixels = pictures(ours.preprocess.size)
    np.testing.assert_allclose(ours.encode_texts(TEXTS), theirs.encode_texts(TEXTS), atol=1e-5)
    np.testing.assert_allclose(ours.encode_images(pixels), theirs.encode_images(pixels), atol=1e-5)
    numbers = sum(values.size for values in weights.values()) - 40_000 * 64
    exported_bytes = sum((tmp_path / "out" / name / "model.onnx").stat().st_size for name in ("textual", "visual"))
    assert exported_bytes < 2 * numbers + 400_000
    assert json.loads((tmp_path / "out" / "encoder.json").read_text())["fingerprint"] == fingerprint_of_open_clip(
        rounded
    )


def test_where_an_export_fails_torch_serves_and_says_so(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = shutil.copytree(model.source, tmp_path / "source")
    config = json.loads((source / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"reduction_mask": "simple"}  # only open_clip has it
    (source / "open_clip_config.json").write_text(json.dumps(config))
    (tmp_path / "models" / ".export-99999999-killed" / "visual").mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "search.encoders.load"):
        found = load_encoder(str(source), models_dir=tmp_path / "models", bundled=tmp_path, offline=True)
    assert isinstance(found, OpenClipEncoder)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["fingerprints.json"]
    assert "torch serves" in caplog.text
    assert "reduction_mask" in caplog.text


def test_a_failed_export_leaves_nothing_and_gives_its_reason(model: Model, tmp_path: Path) -> None:
    source = shutil.copytree(model.source, tmp_path / "source")
    weights = source / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    failure = export_in_process(source, tmp_path / "models" / "out", offline=True)
    assert failure == "The model's open_clip_model.safetensors is damaged; fetch it again."
    assert not (tmp_path / "models").exists()


def test_an_export_says_where_it_is(model: Model, tmp_path: Path) -> None:
    stages: list[str] = []
    assert export_in_process(model.source, tmp_path / "out", offline=True, progress=stages.append) is None
    assert tuple(stages) == STAGES
    assert (tmp_path / "out" / "encoder.json").is_file()


def test_who_follows_an_export_may_end_it(model: Model, tmp_path: Path) -> None:
    def stop(stage: str) -> None:
        raise KeyboardInterrupt(stage)

    with pytest.raises(KeyboardInterrupt, match=STAGES[0]):
        export_in_process(model.source, tmp_path / "models" / "out", offline=True, progress=stop)
    assert not (tmp_path / "models" / "out").exists()


def test_an_export_whose_asker_is_gone_ends_and_leaves_nothing_that_lasts(model: Model, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "search.encoders.export", str(model.source), str(tmp_path / "models" / "out")]
    done = subprocess.run([*command, "--attended"], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode in (-signal.SIGINT, 1)
    with scratch_in(tmp_path / "models", kind="export"):  # the next one clears what an interrupt at a bad moment left
        pass
    assert list((tmp_path / "models").iterdir()) == []


def test_an_export_that_the_disk_can_not_hold_is_not_begun(model: Model, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(model.source / "open_clip_config.json", source)
    header = b'{"w":{"dtype":"F32","shape":[250000000000],"data_offsets":[0,1000000000000]}}'
    weights = source / "open_clip_model.safetensors"
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(weights, 8 + len(header) + 10**12)  # a file of holes: it takes no room itself
    failure = export_in_process(source, tmp_path / "out", offline=True)
    assert failure is not None
    assert failure.startswith("The export needs 1,000,020 MB ")
    assert "SIGHTLINE_DATA_DIR" in failure


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_the_bits_give_nearly_the_same_embeddings(model: Model, torch_encoder: Encoder, dtype: Numbers) -> None:
    half = OpenClipEncoder(model.source, name="small", fingerprint="f", device=Device("cpu", dtype, 3))
    pixels = pictures(half.preprocess.size, 20)
    for ours, theirs in (
        (half.encode_texts(TEXTS), torch_encoder.encode_texts(TEXTS)),
        (half.encode_images(pixels), torch_encoder.encode_images(pixels)),
    ):
        assert 0.999 <= least_cosine(ours, theirs) < 1
        assert not np.array_equal(ours, theirs)


def test_where_half_the_bits_are_too_few_float32_serves_and_says_so(
    model: Model, torch_encoder: Encoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = shutil.copytree(model.source, tmp_path / "source")
    weights = load_file(source / "open_clip_model.safetensors")
    weights["visual.proj"] *= 1e7  # beyond float16; the rows are normalised afterwards
    save_file(weights, source / "open_clip_model.safetensors")
    with caplog.at_level(logging.WARNING, "search.encoders.open_clip_encoder"):
        ours = OpenClipEncoder(source, name="small", fingerprint="f", device=Device("cpu", "float16", 3))
    assert "float32 serves" in caplog.text
    pixels = pictures(ours.preprocess.size)
    assert least_cosine(ours.encode_images(pixels), torch_encoder.encode_images(pixels)) > 0.99999


def test_a_text_tower_of_transformers_says_in_one_sentence_what_to_install(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.copytree(model.source, tmp_path / "source")
    config = json.loads((source / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] = {"hf_model_name": "xlm-roberta-base", "hf_tokenizer_name": "xlm-roberta-base"}
    (source / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"needs its config\.json: fetch it"):
        load_open_clip(source)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r'"xlm-roberta-base" needs .*`pip install transformers==[\d.]+`\.$'):
        load_open_clip(source)


def test_damaged_weights_are_named_before_anything_is_exported(model: Model, tmp_path: Path) -> None:
    source = shutil.copytree(model.source, tmp_path / "source")
    weights = source / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelDamaged, match=r"open_clip_model\.safetensors"):
        load_encoder(str(source), models_dir=tmp_path / "models", bundled=tmp_path, offline=True)


def test_a_pickled_checkpoint_is_not_read(model: Model, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(model.source / "open_clip_config.json", source)
    (source / "open_clip_pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelDamaged, match="pickled"):
        load_encoder(str(source), models_dir=tmp_path / "models", bundled=tmp_path, offline=True)
