"""A network stored in half precision answers as one whose weights were rounded."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from search.encoders.half import halve

NETWORK = """<ir_version: 9, opset_import: ["": 18]>
text (int32[batch, length] text) => (float[batch, 64] text_embedding) {
  found = Gather(table, text)
  axes = Constant<value = int64[1] {1}>()
  mean = ReduceMean<keepdims = 0>(found, axes)
  product = MatMul(mean, weight)
  text_embedding = Add(product, bias)
}"""


def write(path: Path, table: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    weight = random.normal(size=(64, 64)).astype(np.float32)
    weights = {"table": table, "weight": weight, "bias": random.normal(size=64).astype(np.float32)}
    model = onnx.parser.parse_model(NETWORK)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(values, name) for name, values in weights.items())
    onnx.save(model, path)
    return weights


def run(path: Path, ids: np.ndarray) -> np.ndarray:
    found = onnxruntime.InferenceSession(path).run(None, {"text": ids})[0]
    return np.asarray(found)


def rounded(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("used", [1000, 100])
def test_answers_are_those_of_the_rounded_weights(tmp_path: Path, used: int) -> None:
    path = tmp_path / "model.onnx"
    table = np.zeros((1000, 64), dtype=np.float32)
    table[np.random.default_rng(2).permutation(1000)[:used]] = np.random.default_rng(3).normal(size=(used, 64))
    weights = write(path, table)
    ids = np.random.default_rng(4).integers(0, 1000, (7, 11)).astype(np.int32)
    before_bytes = path.stat().st_size
    halve(path)
    expected = rounded(table)[ids].mean(axis=1) @ rounded(weights["weight"]) + weights["bias"]
    np.testing.assert_allclose(run(path, ids), expected, atol=1e-4)
    assert path.stat().st_size < before_bytes * (0.52 if used == 1000 else 0.15)


@pytest.mark.parametrize("used", [1000, 100])
def test_a_table_of_whole_steps_is_kept_in_bytes_without_loss(tmp_path: Path, used: int) -> None:
    path = tmp_path / "model.onnx"
    random = np.random.default_rng(3)
    table = np.zeros((1000, 64), dtype=np.float32)
    steps = 2.0 ** random.integers(-9, -5, (used, 1))
    table[random.permutation(1000)[:used]] = random.integers(-127, 128, (used, 64)) * steps
    weights = write(path, table)
    ids = random.integers(0, 1000, (7, 11)).astype(np.int32)
    before_bytes = path.stat().st_size
    halve(path)
    expected = table[ids].mean(axis=1) @ rounded(weights["weight"]) + weights["bias"]
    np.testing.assert_allclose(run(path, ids), expected, atol=1e-5)
    assert path.stat().st_size < before_bytes * (0.31 if used == 1000 else 0.12)


def test_weights_that_half_precision_can_not_hold_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    weights = write(path, np.full((1000, 64), 1e6, dtype=np.float32))
    halve(path)
    ids = np.zeros((1, 3), dtype=np.int32)
    expected = weights["table"][ids].mean(axis=1) @ rounded(weights["weight"]) + weights["bias"]
    np.testing.assert_allclose(run(path, ids), expected, rtol=1e-3)
