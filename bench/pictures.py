"""Pictures to index and to search with: drawn noise with the detail of a photograph; nothing is fetched."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = {"0.2 MP": (550, 366), "12 MP": (4032, 3024)}


def jpeg(seed: int, size: tuple[int, int]) -> bytes:
    """A JPEG of about 1.7 bits a pixel, as cameras write them."""
    rng = np.random.default_rng(seed)
    width, height = size
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)).resize(size)
    out = io.BytesIO()
    Image.blend(coarse, fine, 0.2).save(out, "JPEG", quality=88)
    return out.getvalue()


def folder(path: Path, *, count: int, size: tuple[int, int]) -> Path:
    """`count` different files; beyond 40 drawn ones, copies that differ in a comment and so in their hash."""
    path.mkdir(parents=True)
    drawn = [jpeg(seed, size) for seed in range(min(count, 40))]
    for n in range(count):
        comment = f"{n:08d}".encode()
        data = drawn[n % len(drawn)]
        (path / f"{n:05d}.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x0a" + comment + data[2:])
    return path
