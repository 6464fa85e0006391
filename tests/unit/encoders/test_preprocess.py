"""Pixels are those of open_clip's inference transform."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search.encoders.open_clip_encoder import import_open_clip
from search.encoders.preprocess import normalise, read_preprocess, to_pixels
from search.errors import ModelDamaged
from search.types import Preprocess

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SQUARE = Preprocess(size=(64, 64), mean=MEAN, std=STD)
SPECS = [
    SQUARE,
    replace(SQUARE, interpolation="bilinear"),
    replace(SQUARE, interpolation="random"),
    replace(SQUARE, resize_mode="squash"),
    replace(SQUARE, resize_mode="squash", interpolation="bilinear", size=(48, 64)),
    replace(SQUARE, resize_mode="longest"),
    replace(SQUARE, resize_mode="longest", fill_color=127, size=(40, 72)),
    replace(SQUARE, size=(48, 80), interpolation="bilinear"),
    replace(SQUARE, size=(33, 33), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
]
SIZES = [(64, 64), (65, 64), (64, 67), (640, 427), (427, 641), (101, 333), (20, 30), (31, 7), (1, 1), (999, 125)]


def picture(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width * 1000 + height)
    small = random.integers(0, 256, (max(1, height // 3), max(1, width // 3), 3)).astype(np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST)


def theirs(image: Image.Image, spec: Preprocess) -> np.ndarray[Any, Any]:
    cfg = {name: getattr(spec, name) for name in Preprocess.__dataclass_fields__}
    transform = import_open_clip().transform
    return transform.image_transform_v2(transform.PreprocessCfg(**cfg), is_train=False)(image).numpy()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.resize_mode}-{spec.interpolation}-{spec.size}")
def test_normalised_pixels_equal_open_clips_transform(spec: Preprocess) -> None:
    for width, height in SIZES:
        image = picture(width, height)
        pixels = to_pixels(image, spec)
        assert pixels.shape == (*spec.size, 3)
        assert pixels.dtype == np.uint8
        np.testing.assert_allclose(normalise(pixels[None], spec)[0], theirs(image, spec), rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [(4000, 130), (130, 4000), (3000, 7)])
def test_a_panorama_is_within_one_step_of_open_clips_transform(size: tuple[int, int]) -> None:
    image = picture(*size)
    ours, expected = normalise(to_pixels(image, SQUARE)[None], SQUARE)[0], theirs(image, SQUARE)
    steps = np.abs(ours - expected) * np.array(STD, dtype=np.float32)[:, None, None] * 255
    assert steps.max() < 1.01


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_a_line_of_60000_pixels_is_turned_into_pixels_without_growing(mode: Any, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (10, 200, 30))
    pixels = to_pixels(image, replace(SQUARE, resize_mode=mode))
    assert pixels.shape == (64, 64, 3)
    assert pixels[31, 31].tolist() == [10, 200, 30]


def test_normalise_keeps_each_image_in_its_row() -> None:
    flat = np.array([[[[0, 0, 0]]], [[[255, 255, 255]]]], dtype=np.uint8)  # (2, 1, 1, 3)
    spec = Preprocess(size=(1, 1), mean=(0.5, 0.25, 0.0), std=(0.5, 0.5, 1.0))
    assert normalise(flat, spec)[:, :, 0, 0].tolist() == [[-1.0, -0.5, 0.0], [1.0, 1.5, 1.0]]
    assert normalise(flat[:0], spec).shape == (0, 3, 1, 1)


def test_absent_values_have_open_clips_defaults(tmp_path: Path) -> None:
    path = tmp_path / "preprocess_cfg.json"
    path.write_text(json.dumps({"size": 224, "mode": "RGB"}))
    assert read_preprocess(path) == Preprocess(size=(224, 224), mean=MEAN, std=STD)


def test_a_full_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "preprocess_cfg.json"
    cfg = {"size": [48, 80], "mean": 0.5, "std": [0.5, 0.5, 0.25], "interpolation": "bilinear", "resize_mode": "squash"}
    path.write_text(json.dumps(cfg | {"fill_color": 3}))
    assert read_preprocess(path) == Preprocess(
        size=(48, 80),
        mean=(0.5,) * 3,
        std=(0.5, 0.5, 0.25),
        interpolation="bilinear",
        resize_mode="squash",
        fill_color=3,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"size": "big"}',
        '{"size": []}',
        '{"std": [0, 1, 1]}',
        "null",
        '{"interpolation": "nearest"}',
        '{"resize_mode": "crop"}',
        '{"mean": [1, 2]}',
        '{"size": -4}',
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "preprocess_cfg.json"
    path.write_text(text)
    with pytest.raises(ModelDamaged, match=r"preprocess_cfg\.json"):
        read_preprocess(path)
