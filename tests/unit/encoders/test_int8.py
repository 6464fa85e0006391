"""An int8 text tower is served where it proved itself on a collection, and leaves no trace where it did not."""

import itertools
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from search.encoders.fingerprint import fingerprint_of_export
from search.encoders.int8 import Trial, remove_int8, try_int8
from search.encoders.onnx_encoder import INT8, OnnxEncoder
from search.errors import ModelError
from tests.unit.encoders.exports import WORDS, write_export

DIM = 64
TEXTS = ("red", "blue", "boat", "red boat", "blue boat")
NETWORK = """<ir_version: 9, opset_import: ["": 18]>
text (int32[batch, length] text) => (float[batch, 64] text_embedding) {
  found = Gather(table, text)
  axes = Constant<value = int64[1] {1}>()
  mean = ReduceMean<keepdims = 0>(found, axes)
  text_embedding = MatMul(mean, weight)
}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = write_export(tmp_path / "model")
    random = np.random.default_rng(5)
    model = onnx.parser.parse_model(NETWORK)
    for name, shape in (("table", (len(WORDS), DIM)), ("weight", (DIM, DIM))):
        values = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, out / "textual" / "model.onnx")
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"embed_dim": DIM}))
    return out


def load(folder: Path) -> OnnxEncoder:
    return OnnxEncoder(folder, name="tiny", fingerprint=fingerprint_of_export(folder), threads=1)


def apart(folder: Path) -> np.ndarray:
    """Images of which each text has its own twenty."""
    return np.repeat(load(folder).encode_texts(TEXTS), 20, axis=0)


def all_alike(folder: Path) -> np.ndarray:
    """Images that differ only across what the texts say: what int8 gets wrong decides which of them come first."""
    texts = load(folder).encode_texts(TEXTS)
    noise = np.random.default_rng(6).normal(0, 0.05, (500, DIM))
    basis, _ = np.linalg.qr(texts.T)  # (DIM, texts)
    images = texts[0] + noise - noise @ basis @ basis.T
    return np.asarray(images / np.linalg.norm(texts[0] + noise, axis=1).max(), dtype=np.float32)


def clock(*, int8_ms: float) -> Callable[[], float]:
    """One on which float32 takes 10 ms, and int8 what is said."""
    ticks = itertools.cycle([0.0, 0.010, 0.010, 0.010 + int8_ms / 1e3])
    rounds = itertools.count()
    return lambda: next(rounds) // 4 + next(ticks)


def test_what_is_as_good_and_faster_is_kept_and_served(folder: Path) -> None:
    before = load(folder)
    trial = try_int8(before, apart(folder), TEXTS, now=clock(int8_ms=5))
    assert (trial.overlap, round(trial.gain, 3), trial.is_kept) == (1.0, 2.0, True)
    after = load(folder)
    ours, theirs = after.encode_texts(TEXTS), before.encode_texts(TEXTS)
    assert not np.array_equal(ours, theirs)
    assert float(np.min(np.sum(ours * theirs, axis=1))) > 0.99
    assert after.fingerprint == before.fingerprint
    assert sorted(path.name for path in (folder / "textual").iterdir()) == ["int8", "model.onnx", "tokenizer.json"]


def test_what_is_not_faster_is_not_kept(folder: Path) -> None:
    trial = try_int8(load(folder), apart(folder), TEXTS, now=clock(int8_ms=9))
    assert not trial.is_kept
    assert str(trial) == (
        "int8 finds 100.0% of the same first 10 hits (95% wanted; 5 texts, 100 images) and a text takes 9.0 ms "
        "instead of 10.0, 1.11 times as fast (1.3 wanted)"
    )
    assert sorted(path.name for path in (folder / "textual").iterdir()) == ["model.onnx", "tokenizer.json"]


def test_what_finds_something_else_is_not_kept(folder: Path) -> None:
    trial = try_int8(load(folder), all_alike(folder), TEXTS, now=clock(int8_ms=5))
    assert trial.overlap < 0.5
    assert not trial.is_kept
    assert not (folder / INT8).exists()


def test_one_that_no_longer_proves_itself_is_removed(folder: Path) -> None:
    float32 = load(folder).encode_texts(TEXTS)
    assert try_int8(load(folder), apart(folder), TEXTS, now=clock(int8_ms=5)).is_kept
    assert not try_int8(load(folder), apart(folder), TEXTS, now=clock(int8_ms=9)).is_kept
    np.testing.assert_array_equal(load(folder).encode_texts(TEXTS), float32)


def test_it_is_tried_against_float32_even_where_int8_serves(folder: Path) -> None:
    images = apart(folder)
    for _ in range(2):
        trial = try_int8(load(folder), images, TEXTS, now=clock(int8_ms=5))
    assert (trial.overlap, trial.is_kept) == (1.0, True)


def test_it_can_be_taken_back(folder: Path) -> None:
    float32 = load(folder).encode_texts(TEXTS)
    try_int8(load(folder), apart(folder), TEXTS, now=clock(int8_ms=5))
    assert remove_int8(folder)
    assert not remove_int8(folder)
    np.testing.assert_array_equal(load(folder).encode_texts(TEXTS), float32)


def test_what_can_not_be_taken_back_is_not_said_to_be(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.onnx").touch()
    (folder / "textual" / "int8").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="The model's folder can't be written: Cannot call rmtree on a symbolic link"):
        remove_int8(folder)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_network_that_is_links_to_the_hubs_cache_is_tried(
    folder: Path, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    path, cache = folder / "textual" / "model.onnx", tmp_path / "cache"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0)
    cache.mkdir()
    for file in (path, path.with_name("weights")):
        file.rename(cache / f"blob of {file.name}")
        link(cache / f"blob of {file.name}", file)
    assert try_int8(load(folder), apart(folder), TEXTS, now=clock(int8_ms=5)).is_kept
    load(folder)


def test_a_network_that_is_none_any_more_is_one_sentence(folder: Path) -> None:
    encoder, images = load(folder), apart(folder)
    (folder / "textual" / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError) as refused:
        try_int8(encoder, images, TEXTS)
    assert str(refused.value).startswith("The text tower can't be quantised: ")
    assert str(folder) not in str(refused.value)


def test_what_a_killed_trial_left_goes_with_the_next(folder: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for pid in (ended.pid, os.getpid()):
        (folder / "textual" / f".int8-{pid}-left").mkdir()
    try_int8(load(folder), apart(folder), TEXTS, now=clock(int8_ms=9))
    assert [path.name for path in (folder / "textual").glob(".int8-*")] == [f".int8-{os.getpid()}-left"]


def test_a_handful_of_images_proves_nothing(folder: Path) -> None:
    with pytest.raises(ModelError, match="there are 99"):
        try_int8(load(folder), apart(folder)[:99], TEXTS)


@pytest.mark.parametrize(
    ("overlap", "int8_ms", "is_kept"), [(0.95, 10.0, True), (0.949, 1.0, False), (1.0, 10.1, False), (1.0, 1.0, True)]
)
def test_both_bars_must_be_reached(overlap: float, int8_ms: float, is_kept: bool) -> None:
    assert Trial(overlap, 13.0, int8_ms, texts=1, images=1).is_kept is is_kept
