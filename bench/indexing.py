"""Images indexed a second, as the command does it: from the folder to the acknowledged write."""

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.figure import Figure
from bench.pictures import SIZES, folder
from bench.server import ROOT


def measure_indexing(work: Path) -> list[Figure]:
    return [
        Figure("indexing, 0.2 MP", _rate(work, "0.2 MP", count=1500), "images/s", "≥ 60"),
        Figure("indexing, 12 MP", _rate(work, "12 MP", count=200), "images/s", "≥ 20"),
    ]


def _rate(work: Path, size: str, *, count: int, model: str = "pocket") -> float:
    """Of `count` images, without the command's own start (that of indexing one more image, taken off)."""
    name = size.replace(" ", "")
    pictures = folder(work / f"pictures-{name}", count=count, size=SIZES[size])
    one = folder(work / f"one-{name}", count=1, size=SIZES[size])
    data_dir = work / f"index-{name}"
    start_s = _seconds(data_dir, one, model=model)
    return count / (_seconds(data_dir, pictures, model=model) - start_s)


def _seconds(data_dir: Path, pictures: Path, *, model: str) -> float:
    environment = {**os.environ, "SIGHTLINE_DATA_DIR": str(data_dir)}
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "app.py", "index", str(pictures), "--collection", "bench", "--model", model],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started
