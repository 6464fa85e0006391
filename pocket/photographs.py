"""Measures a model on photographs of one subject each, named after it: tiger_cat.jpg is asked for as "tiger cat".

python -m pocket.photographs FOLDER [--model NAME]
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from pocket.evaluate import embed
from search.encoders.load import load_encoder
from search.types import Encoder

_BUNDLED = Path(__file__).parent / "encoder"


def hits(encoder: Encoder, folder: Path) -> dict[str, float]:
    """Share of names whose photograph is the first, or among the first five, and what guessing would reach."""
    files = sorted(folder.glob("*.jpg"))
    if not files:
        raise SystemExit(f"{folder} holds no .jpg file.")
    scores = (
        encoder.encode_texts([file.stem.replace("_", " ") for file in files])
        @ embed(encoder, (Image.open(file).convert("RGB") for file in files)).T
    )
    ranks = (scores > np.diag(scores)[:, None]).sum(axis=1)
    return {
        "photographs": len(files),
        "P@1": float(np.mean(ranks < 1)),
        "hit@5": float(np.mean(ranks < 5)),
        "hit@5 by chance": 5 / len(files),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="pocket")
    args = parser.parse_args()
    encoder = load_encoder(args.model, models_dir=Path("data") / "models", bundled=_BUNDLED)
    print(" ".join(f"{name}={value:.3g}" for name, value in hits(encoder, args.folder).items()))


if __name__ == "__main__":
    main()
