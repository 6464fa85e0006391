"""How fast a model is on this machine, in about five seconds; runs in a process of its own.

python -m search.encoders.speed NAME --models-dir FOLDER --bundled FOLDER
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from search.types import Encoder

SECONDS = 5.0
_TEXTS_SHARE = 0.3  # of that time; pictures need more of it, as a run takes many at once
_MOST_AT_ONCE = 16  # as indexing sends them
_RUN_S = 0.75  # a run of pictures should not be longer
_NICE = 5  # whoever searches meanwhile goes first
_TEXTS = ("a red boat on the sea", "two children on a bicycle", "an old church in winter", "a dog", "city at night")


@dataclass(frozen=True, slots=True)
class Speed:
    text_ms: float  # one query's words, median
    images_per_s: float
    memory_bytes: int  # the most that the process took
    load_s: float


def measure(
    encoder: Encoder, *, seconds: float = SECONDS, now: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Milliseconds a text and images a second, after one run of each that is not counted."""
    encoder.encode_texts([_TEXTS[0]])
    pixels = np.random.default_rng(0).integers(0, 256, (_MOST_AT_ONCE, *encoder.preprocess.size, 3), dtype=np.uint8)
    encoder.encode_images(pixels[:1])
    took = _runs(lambda n: encoder.encode_texts([_TEXTS[n % len(_TEXTS)]]), seconds * _TEXTS_SHARE, now)
    one = _runs(lambda n: encoder.encode_images(pixels[:1]), 0.0, now)[0]
    count = max(1, min(_MOST_AT_ONCE, int(_RUN_S / one))) if one > 0 else _MOST_AT_ONCE
    runs = _runs(lambda n: encoder.encode_images(pixels[:count]), seconds * (1 - _TEXTS_SHARE) - one, now)
    return statistics.median(took) * 1e3, count * len(runs) / sum(runs)


def _runs(run: Callable[[int], object], seconds: float, now: Callable[[], float]) -> list[float]:
    """How long each took; at least one, and none that begins after `seconds`."""
    took: list[float] = []
    while not took or sum(took) < seconds:
        began = now()
        run(len(took))
        took.append(now() - began)
    return took


def _peak_bytes() -> int:
    """Linux's getrusage would tell the parent's memory where that is more: a child begins as its copy."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    from search.encoders.load import load_encoder
    from search.errors import ModelError

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--bundled", type=Path, required=True)
    args = parser.parse_args()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    began = time.perf_counter()
    try:
        encoder = load_encoder(
            args.name, models_dir=args.models_dir, bundled=args.bundled, offline=True, threads=os.cpu_count()
        )
        load_s = time.perf_counter() - began
        text_ms, images_per_s = measure(encoder)
    except ModelError as error:
        print(json.dumps({"refused": str(error)}))
        return
    speed = Speed(round(text_ms, 2), round(images_per_s, 2), _peak_bytes(), round(load_s, 2))
    print(json.dumps({"fingerprint": encoder.fingerprint, **asdict(speed)}))


if __name__ == "__main__":
    main()
