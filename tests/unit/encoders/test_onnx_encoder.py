"""An exported folder becomes an encoder, or one clear error."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from search.encoders.onnx_encoder import OnnxEncoder, _text_threads
from search.errors import ModelDamaged
from tests.unit.encoders.exports import write_export


def encoder(folder: Path) -> OnnxEncoder:
    return OnnxEncoder(folder, name="tiny", fingerprint="f" * 64, threads=1)


def lengths_run(rows: np.ndarray) -> list[int]:
    """The second number of an embedding beside its third, which is 1."""
    return [round(float(row[1] / row[2])) for row in rows]


def first_ids(rows: np.ndarray) -> list[int]:
    return [round(float(row[0] / row[2])) for row in rows]


def test_what_it_was_given_is_what_it_says(tmp_path: Path) -> None:
    ours = encoder(write_export(tmp_path / "tiny"))
    assert (ours.name, ours.fingerprint, ours.dim, ours.preprocess.size) == ("tiny", "f" * 64, 3, (4, 4))


def test_a_causal_tower_runs_a_text_no_longer_than_it_is(tmp_path: Path) -> None:
    rows = encoder(write_export(tmp_path / "tiny")).encode_texts(["red boat"])
    assert lengths_run(rows) == [4]


@pytest.mark.parametrize("text_cfg", [{"no_causal_mask": True}, {"pool_type": "last"}])
def test_another_tower_runs_every_text_at_full_length(tmp_path: Path, text_cfg: dict[str, object]) -> None:
    rows = encoder(write_export(tmp_path / "tiny", **text_cfg)).encode_texts(["red boat", "red"])
    assert lengths_run(rows) == [6, 6]


def test_an_export_of_fixed_length_is_padded_to_it(tmp_path: Path) -> None:
    rows = encoder(write_export(tmp_path / "tiny", length=6)).encode_texts(["red boat", "red"])
    assert lengths_run(rows) == [6, 6]


def test_an_export_of_one_row_at_a_time_takes_any_batch(tmp_path: Path) -> None:
    ours = encoder(write_export(tmp_path / "tiny", batch=1))
    assert first_ids(ours.encode_texts(["blue", "red boat", "boat"])) == [4, 3, 5]
    assert ours.encode_images(np.full((3, 4, 4, 3), 255, dtype=np.uint8)).shape == (3, 3)


def test_rows_come_in_the_order_given_whatever_their_lengths(tmp_path: Path) -> None:
    texts = ["red boat boat", "blue", "boat blue", "red"] * 20
    rows = encoder(write_export(tmp_path / "tiny")).encode_texts(texts)
    assert first_ids(rows) == [3, 4, 5, 3] * 20
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert rows.dtype == np.float32


def test_images_are_normalised_rows_in_the_order_given(tmp_path: Path) -> None:
    pixels = np.zeros((40, 4, 4, 3), dtype=np.uint8)
    pixels[::2, ..., 0] = 200  # red
    pixels[1::2, ..., 2] = 200  # blue
    rows = encoder(write_export(tmp_path / "tiny")).encode_images(pixels)
    np.testing.assert_allclose(rows[::2], np.tile([1, 0, 0], (20, 1)), atol=1e-3)
    np.testing.assert_allclose(rows[1::2], np.tile([0, 0, 1], (20, 1)), atol=1e-3)


@pytest.mark.parametrize(
    ("text_cfg", "threads"),
    [({"width": 128}, 1), ({"width": 256}, 1), ({"width": 512}, 4), ({}, 4), ({"width": "128"}, 4)],
    ids=["pocket", "the widest", "ViT-B-32", "of transformers", "damaged"],
)
def test_a_narrow_text_tower_runs_on_one_thread(text_cfg: dict[str, object], threads: int) -> None:
    assert _text_threads(text_cfg, 4) == threads


def test_nothing_in_is_nothing_out(tmp_path: Path) -> None:
    ours = encoder(write_export(tmp_path / "tiny"))
    assert ours.encode_texts([]).shape == (0, 3)
    assert ours.encode_images(np.empty((0, 4, 4, 3), dtype=np.uint8)).shape == (0, 3)


def test_threads_that_share_an_encoder_get_their_own_answers(tmp_path: Path) -> None:
    ours = encoder(write_export(tmp_path / "tiny"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: first_ids(ours.encode_texts([text])), ["red", "blue boat", "boat"] * 50))
    assert found == [[3], [4], [5]] * 50


@pytest.mark.parametrize("file", ["textual/model.onnx", "visual/model.onnx"])
@pytest.mark.parametrize("damage", [b"", b"not a model", b"\x08\x09\x12"])
def test_a_damaged_network_is_named(tmp_path: Path, file: str, damage: bytes) -> None:
    folder = write_export(tmp_path / "tiny")
    (folder / file).write_bytes(damage)
    with pytest.raises(ModelDamaged, match=file):
        encoder(folder)


@pytest.mark.parametrize("file", ["textual/model.onnx", "visual/model.onnx"])
def test_a_network_cut_short_is_named(tmp_path: Path, file: str) -> None:
    folder = write_export(tmp_path / "tiny")
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelDamaged, match=file):
        encoder(folder)


@pytest.mark.parametrize(
    "file",
    ["config.json", "textual/model.onnx", "textual/tokenizer.json", "visual/model.onnx", "visual/preprocess_cfg.json"],
)
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    folder = write_export(tmp_path / "tiny")
    (folder / file).unlink()
    with pytest.raises(ModelDamaged, match=file.split("/")[-1]) as caught:
        encoder(folder)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("config", ["[]", "{}", '{"embed_dim": 3}', '{"embed_dim": "x", "text_cfg": {}}', "nonsense"])
def test_a_config_that_is_not_open_clips_is_named(tmp_path: Path, config: str) -> None:
    folder = write_export(tmp_path / "tiny")
    (folder / "config.json").write_text(config)
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        encoder(folder)


@pytest.mark.parametrize(
    "text_cfg", [{"context_length": "long"}, {"tokenizer_kwargs": {"clean": "bleach"}}, {"tokenizer_kwargs": 5}]
)
def test_a_text_config_that_is_not_open_clips_is_named(tmp_path: Path, text_cfg: dict[str, object]) -> None:
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        encoder(write_export(tmp_path / "tiny", **text_cfg))


def test_a_network_of_another_dimension_is_named(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"embed_dim": 512}))
    with pytest.raises(ModelDamaged, match="512"):
        encoder(folder).encode_texts(["red"])


def test_an_embedding_without_length_is_an_error_and_no_answer(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "tiny")
    (folder / "visual" / "preprocess_cfg.json").write_text(json.dumps({"size": 4, "mean": 1e39, "std": 1.0}))
    with pytest.raises(ModelDamaged, match="finite"), np.errstate(all="ignore"):
        encoder(folder).encode_images(np.zeros((1, 4, 4, 3), dtype=np.uint8))
