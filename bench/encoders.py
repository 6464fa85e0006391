"""Speed, memory and start of one model, ours or the naive peer's, in this process; prints them as a line of JSON."""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.latency import percentile, texts, times_ms

BATCHES = (1, 4, 16, 32)
SIDE = 2048  # of the square product: large enough that nothing but multiplying counts


def ours(folder: str, models_dir: Path) -> dict[str, float]:
    """As the product loads it; with what one product reaches by the same kernels, the two measured in turns."""
    from search.encoders.load import load_encoder

    encoder = load_encoder(folder, models_dir=models_dir, bundled=Path(folder), offline=True)
    measured = {"start_s": _since_start(encoder.encode_texts(["a red boat"]))}
    # first, since the product that the limit is taken with has memory of its own
    measured |= _speeds(lambda t: encoder.encode_texts([t]), encoder.encode_images, encoder.preprocess.size)
    batch = _pixels(encoder.preprocess.size, 16)
    product, images_per_s, gflops = _product(), [], []
    for _ in range(5):
        images_per_s.append(_rate(lambda: encoder.encode_images(batch), len(batch)))
        gflops.append(_rate(product, 1, at_least_s=0.4) * 2 * SIDE**3 / 1e9)
    return measured | {"images_per_s": float(np.median(images_per_s)), "product_gflops": float(np.median(gflops))}


def naive(folder: str) -> dict[str, float]:
    """What open_clip's README shows: torch eager, texts padded to the context length."""
    from search.encoders.open_clip_encoder import import_open_clip

    open_clip = import_open_clip()
    import torch

    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.inference_mode():
        measured = {"start_s": _since_start(model.encode_text(tokenizer(["a red boat"])))}
        size = model.visual.image_size
        measured |= _speeds(
            lambda text: model.encode_text(tokenizer([text])),
            lambda pixels: model.encode_image(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255),
            (size, size) if isinstance(size, int) else tuple(size),
        )
    return measured | {"image_gflop": _gflop(model, size)}


def _since_start(_: object) -> float:
    """Seconds of this process, once the first embedding is there."""
    import psutil

    return time.time() - float(psutil.Process().create_time())


def _speeds(text: Callable[[str], object], images: Callable[[Any], object], size: tuple[int, ...]) -> dict[str, float]:
    import psutil

    measured = {"text_ms": percentile(times_ms([lambda t=t: text(t) for t in texts(60)]), 50)}  # type: ignore[misc]
    one = _pixels(size, 1)
    measured["image_ms"] = percentile(times_ms([lambda: images(one)] * 25, warm_up=5), 50)
    for count in BATCHES:
        batch = _pixels(size, count)
        images(batch)
        measured[f"images_per_s_{count}"] = _rate(lambda batch=batch: images(batch), count)  # type: ignore[misc]
    measured["memory_mb"] = psutil.Process().memory_full_info().pss / 2**20
    return measured


def _rate(run: Callable[[], object], count: int, *, at_least_s: float = 0.7) -> float:
    started, done = time.perf_counter(), 0
    while (taken_s := time.perf_counter() - started) < at_least_s or not done:
        run()
        done += count
    return done / taken_s if done else 0.0


def _pixels(size: tuple[int, ...], count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def _product() -> Callable[[], object]:
    """A square product by ONNX Runtime's own kernels, on as many threads as the encoders have."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    square = np.ones((SIDE, SIDE), dtype=np.float32)
    rows, product = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, square.shape) for name in ("rows", "product")
    )
    weight = numpy_helper.from_array(square, "weight")
    node = helper.make_node("MatMul", ["rows", "weight"], ["product"])
    graph = helper.make_graph([node], "square", [rows], [product], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"rows": square})


def _gflop(model: Any, size: Any) -> float:
    """Of one image. With gradients, since torch's counter does not see into the fast path that inference takes."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    height, width = (size, size) if isinstance(size, int) else size
    with FlopCounterMode(display=False) as counter:
        model.encode_image(torch.rand(1, 3, height, width))
    return float(counter.get_total_flops()) / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--models", type=Path, help="where exports are kept; without it the naive peer is measured")
    arguments = parser.parse_args()
    found = ours(arguments.folder, arguments.models) if arguments.models else naive(arguments.folder)
    print(json.dumps(found))
