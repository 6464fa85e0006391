"""One set of weights, tokenizer and preprocessing has one fingerprint, and no other has it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from search.encoders.fingerprint import fingerprint_of_export, fingerprint_of_open_clip, read_tensors, weights_of
from search.errors import ModelDamaged
from tests.unit.encoders.exports import write_export

CONFIG: dict[str, Any] = {
    "model_cfg": {"embed_dim": 4, "vision_cfg": {"image_size": 8}, "text_cfg": {"context_length": 6}},
    "preprocess_cfg": {"size": 8, "mean": 0.5, "std": 0.5},
}
WEIGHTS = {
    "visual.proj": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "text.proj": np.arange(8, dtype=np.float32).reshape(2, 4) / 8,
    "count": np.array(7, dtype=np.int64),
}


def write(folder: Path, weights: dict[str, np.ndarray] = WEIGHTS, config: dict[str, Any] = CONFIG) -> Path:
    folder.mkdir()
    save_file(weights, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def as_halves(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: v.astype(np.float16) if v.dtype == np.float32 else v for name, v in weights.items()}


def test_the_order_of_tensors_and_the_file_name_do_not_matter(tmp_path: Path) -> None:
    one = write(tmp_path / "one")
    two = write(tmp_path / "two", dict(reversed(WEIGHTS.items())))
    (two / "open_clip_model.safetensors").rename(two / "model.safetensors")
    assert fingerprint_of_open_clip(one) == fingerprint_of_open_clip(two)


def test_numbers_count_and_not_how_they_are_stored(tmp_path: Path) -> None:
    halves = as_halves(WEIGHTS)
    wide = {name: v.astype(np.float32) if v.dtype == np.float16 else v for name, v in halves.items()}
    assert fingerprint_of_open_clip(write(tmp_path / "f16", halves)) == fingerprint_of_open_clip(
        write(tmp_path / "f32", wide)
    )


def test_rounding_gives_the_fingerprint_of_the_rounded_weights(tmp_path: Path) -> None:
    whole, halves = write(tmp_path / "f32"), write(tmp_path / "f16", as_halves(WEIGHTS))
    assert fingerprint_of_open_clip(whole, half=True) == fingerprint_of_open_clip(halves)
    assert fingerprint_of_open_clip(whole) != fingerprint_of_open_clip(halves)


def test_a_changed_number_shape_or_name_is_another_encoder(tmp_path: Path) -> None:
    changed = WEIGHTS["text.proj"].copy()
    changed[1, 3] += 1e-6
    variants = [
        WEIGHTS,
        WEIGHTS | {"text.proj": changed},
        WEIGHTS | {"text.proj": WEIGHTS["text.proj"].reshape(4, 2)},
        WEIGHTS | {"count": np.array(8, dtype=np.int64)},
        {name.replace("text", "texts"): values for name, values in WEIGHTS.items()},
    ]
    found = [fingerprint_of_open_clip(write(tmp_path / str(n), weights)) for n, weights in enumerate(variants)]
    assert len(set(found)) == len(variants)


@pytest.mark.parametrize(
    ("room", "change"),
    [
        ("preprocess_cfg", {"mean": 0.4}),
        ("preprocess_cfg", {"interpolation": "bilinear"}),
        ("model_cfg", {"quick_gelu": True}),
        ("model_cfg", {"text_cfg": {"context_length": 7}}),
        ("model_cfg", {"vision_cfg": {"image_size": 16}}),
    ],
)
def test_a_changed_config_is_another_encoder(tmp_path: Path, room: str, change: dict[str, Any]) -> None:
    before = fingerprint_of_open_clip(write(tmp_path / "one"))
    after = write(tmp_path / "two", config=CONFIG | {room: CONFIG[room] | change})
    assert fingerprint_of_open_clip(after) != before


def test_a_tokenizer_in_the_folder_counts_where_the_model_uses_it(tmp_path: Path) -> None:
    model = CONFIG["model_cfg"]
    config = CONFIG | {"model_cfg": model | {"text_cfg": model["text_cfg"] | {"hf_tokenizer_name": "any"}}}
    one, two = write(tmp_path / "one", config=config), write(tmp_path / "two", config=config)
    (one / "tokenizer.json").write_text("{}")
    (two / "tokenizer.json").write_text("{ }")
    assert fingerprint_of_open_clip(one) != fingerprint_of_open_clip(two)


def test_bfloat16_weights_are_the_numbers_they_hold(tmp_path: Path) -> None:
    numbers = np.array([1.0, -2.5, 0.15625], dtype=np.float32)  # all exact in bfloat16
    wide = write(tmp_path / "f32", {"w": numbers})
    narrow = write(tmp_path / "bf16", {"w": numbers})
    raw = (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (narrow / "open_clip_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + raw)
    assert fingerprint_of_open_clip(narrow) == fingerprint_of_open_clip(wide)


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_weights_cut_short_are_named(tmp_path: Path, keep: int) -> None:
    folder = write(tmp_path / "one")
    weights = weights_of(folder)
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ModelDamaged, match=r"open_clip_model\.safetensors"):
        fingerprint_of_open_clip(folder)


@pytest.mark.parametrize(
    "header", [b"[7]", b"7", b'{"w": 1}', b'{"w": {"dtype": "F32"}}', b"\xff" * 9,
               b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [-9, 4]}}',
               b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 99]}}',
               b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 3]}}']
)  # fmt: skip
def test_a_forged_header_is_named(tmp_path: Path, header: bytes) -> None:
    folder = write(tmp_path / "one")
    weights_of(folder).write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(ModelDamaged, match=r"open_clip_model\.safetensors"):
        fingerprint_of_open_clip(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[[1, 2]]",
        '{"model_cfg": {}}',
        '{"model_cfg": []}',
        '{"model_cfg": {"embed_dim": 4, "text_cfg": {}}}',
    ],
)
def test_a_config_that_is_not_open_clips_is_named(tmp_path: Path, text: str) -> None:
    folder = write(tmp_path / "one")
    (folder / "open_clip_config.json").write_text(text)
    with pytest.raises(ModelDamaged, match=r"open_clip_config\.json"):
        fingerprint_of_open_clip(folder)


def test_what_a_file_manager_or_a_person_leaves_in_an_export_is_no_part_of_it(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    before = fingerprint_of_export(folder)
    for room in ("", "visual", "textual"):
        for name in (".DS_Store", "._model.onnx", "Thumbs.db", "desktop.ini", "README.md"):
            (folder / room / name).write_bytes(b"x")
    assert fingerprint_of_export(folder) == before


def test_weights_beside_a_graph_that_names_them_are_part_of_it(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    with (folder / "visual" / "model.onnx").open("ab") as graph:
        graph.write(b"weights.bin")
    without = fingerprint_of_export(folder)
    found = {without}
    for content in (b"one", b"two"):
        (folder / "visual" / "weights.bin").write_bytes(content)
        found.add(fingerprint_of_export(folder))
    assert len(found) == 3


def test_a_macs_double_of_the_weights_is_not_taken_for_them(tmp_path: Path) -> None:
    folder = write(tmp_path / "model")
    (folder / "open_clip_model.safetensors").rename(folder / "weights.safetensors")
    (folder / "._weights.safetensors").write_bytes(b"Mac OS X")
    assert weights_of(folder).name == "weights.safetensors"


@pytest.mark.parametrize("said", ["../../..", "x" * 64, "", None, 7, "\ud800"])
def test_an_encoder_json_names_a_fingerprint_or_is_damaged(tmp_path: Path, said: object) -> None:
    (tmp_path / "encoder.json").write_text(json.dumps({"fingerprint": said}))
    with pytest.raises(ModelDamaged, match=r"encoder\.json"):
        fingerprint_of_export(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"\xff",
        b" " * 2_000_000 + json.dumps(CONFIG).encode(),
        json.dumps(CONFIG).replace('"embed_dim": 4', '"embed_dim": 1e999').encode(),
        json.dumps(CONFIG).replace('"embed_dim": 4', '"embed_dim": 1000000000000').encode(),
        json.dumps(CONFIG).replace('"image_size": 8', '"image_size": 1000000000').encode(),
        json.dumps(CONFIG).replace('"image_size": 8', '"image_size": Infinity').encode(),
    ],
    ids=lambda content: content[:30].hex(),
)
def test_a_hostile_config_is_damaged(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path / "model")
    (folder / "open_clip_config.json").write_bytes(content)
    with pytest.raises(ModelDamaged, match=r"open_clip_config\.json"):
        fingerprint_of_open_clip(folder)


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [10**4000], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1] * 100_000, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4.0]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        7,
    ],
    ids=lambda tensor: str(tensor)[:40],
)
def test_a_tensor_that_can_not_be_is_a_damaged_file(tmp_path: Path, tensor: object) -> None:
    header = json.dumps({"a": tensor}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(ModelDamaged):
        read_tensors(tmp_path / "model.safetensors")


def test_a_header_that_is_nested_too_deep_is_a_damaged_file(tmp_path: Path) -> None:
    header = b"[" * 100_000
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelDamaged):
        read_tensors(tmp_path / "model.safetensors")
