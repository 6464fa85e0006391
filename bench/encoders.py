"""Speed of one model in ONNX Runtime and, as the naive peer, in torch with padded texts; prints two JSON lines."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.latency import percentile, texts, times_ms

BATCH = 16


def speeds(text: Callable[[str], object], images: Callable[[], object]) -> dict[str, float]:
    text_ms = percentile(times_ms([lambda t=t: text(t) for t in texts(60)]), 50)  # type: ignore[misc]
    images()
    started = time.perf_counter()
    for _ in range(4):
        images()
    return {"text_ms": text_ms, "images_per_s": 4 * BATCH / (time.perf_counter() - started)}


def ours(source: Path, models_dir: Path) -> dict[str, float]:
    from search.encoders.load import load_encoder

    encoder = load_encoder(str(source), models_dir=models_dir, bundled=source, offline=True, threads=None)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *encoder.preprocess.size, 3), dtype=np.uint8)
    return speeds(lambda text: encoder.encode_texts([text]), lambda: encoder.encode_images(pixels))


def naive(source: Path) -> dict[str, float]:
    from search.encoders.open_clip_encoder import import_open_clip

    open_clip = import_open_clip()
    import torch

    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{source}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{source}")
    model.eval()
    batch = torch.rand(BATCH, 3, 224, 224)
    with torch.inference_mode():
        return speeds(lambda text: model.encode_text(tokenizer([text])), lambda: model.encode_image(batch))


if __name__ == "__main__":
    print(json.dumps(ours(Path(sys.argv[1]), Path(sys.argv[2]))))
    print(json.dumps(naive(Path(sys.argv[1]))))
