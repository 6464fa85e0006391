"""Encoders alone: pocket, and whole architectures with random weights, each beside torch eager in the same run."""

import json
import subprocess
import sys
from pathlib import Path

from bench.encoders import BATCHES
from bench.figure import Figure
from bench.server import ROOT

WHOLE = ("ViT-B-32", "MobileCLIP2-S0")


def measure_models(work: Path) -> list[Figure]:
    pocket = ROOT / "pocket"
    figures = _figures("pocket", ours=pocket / "encoder", naive=pocket / "model", models_dir=work / "models")
    for name in WHOLE:
        folder = work / name
        subprocess.run([sys.executable, "-m", "bench.random_model", name, str(folder)], cwd=ROOT, check=True)
        figures += _figures(name, ours=folder, naive=folder, models_dir=work / "models")
    return figures


def _figures(name: str, *, ours: Path, naive: Path, models_dir: Path) -> list[Figure]:
    _run(str(ours), "--models", str(models_dir))  # the first use exports, and reads the files into memory
    mine = _run(str(ours), "--models", str(models_dir))
    peer = _run(str(naive))
    limit = mine["product_gflops"] / peer["image_gflop"]  # images a second, were all of it one large product
    basis = f"{mine['product_gflops']:.0f} GFLOP/s, {peer['image_gflop']:.2f} an image"
    peer_images_per_s = max(peer[f"images_per_s_{count}"] for count in BATCHES)
    return [
        Figure(f"{name}: text, p50", mine["text_ms"], "ms", "≤ 25" if name == "ViT-B-32" else ""),
        Figure(f"{name}: image, p50", mine["image_ms"], "ms", ""),
        *(Figure(f"{name}: images in batches of {n}", mine[f"images_per_s_{n}"], "images/s", "") for n in BATCHES),
        Figure(f"{name}: memory", mine["memory_mb"], "MB", ""),
        Figure(f"{name}: start of a process to its first embedding", mine["start_s"], "s", ""),
        Figure(
            f"{name}: share of the limit of one large product (ONNX Runtime's own, {basis})",
            mine["images_per_s"] / limit,
            "",
            "≥ 0.75" if name == "ViT-B-32" else "",
        ),
        Figure(f"{name}: text, torch eager padded ÷ ours", peer["text_ms"] / mine["text_ms"], "×", "≥ 4"),
        Figure(f"{name}: images a second, ours ÷ torch eager", mine["images_per_s"] / peer_images_per_s, "×", ""),
        Figure(f"{name}: start, torch eager ÷ ours", peer["start_s"] / mine["start_s"], "×", "≥ 3"),
        Figure(f"{name}: memory, ours ÷ torch eager", mine["memory_mb"] / peer["memory_mb"], "×", "≤ 0.5"),
    ]


def _run(*arguments: str) -> dict[str, float]:
    """In a process of its own, so that start and memory are one encoder's."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.encoders", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))
