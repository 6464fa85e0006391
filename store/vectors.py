"""How embeddings are kept on disk (f16 with a checksum) and how they come back (f32, normalised); it holds none."""

import zlib
from collections.abc import Sequence

import numpy as np

from search.types import Embedding, Embeddings

NORM_TOLERANCE = 1e-3
_DISK = np.dtype("<f2")


def checked(embeddings: Sequence[Embedding], *, ids: Sequence[str], dim: int) -> Embeddings:
    """As one array. Raises: ValueError for one that is not finite, not normalised or of another dimension."""
    for id, embedding in zip(ids, embeddings, strict=True):
        if embedding.shape != (dim,):
            raise ValueError(f"The embedding of {id!r} has shape {embedding.shape}; this collection takes ({dim},).")
    together = np.array(embeddings, np.float32).reshape(len(ids), dim)
    off = ~(np.abs(np.linalg.norm(together, axis=1) - 1) <= NORM_TOLERANCE)  # true for NaN as well
    if off.any():
        raise ValueError(f"The embedding of {ids[int(off.argmax())]!r} is not finite or not normalised.")
    return together


def pack(embeddings: Embeddings) -> list[bytes]:
    return [row.tobytes() for row in embeddings.astype(_DISK)]


def checksum(id: str, packed: bytes) -> int:
    """Covers the id too: a row that another one's bytes were written over is noticed."""
    return zlib.crc32(packed, zlib.crc32(id.encode()))


def unpack(packed: Sequence[bytes], *, dim: int) -> Embeddings:
    """Normalised anew, so that an image is exactly 1 like itself whatever f16 rounded away."""
    rows = np.frombuffer(b"".join(packed), _DISK).reshape(len(packed), dim).astype(np.float32)
    with np.errstate(invalid="ignore"):  # zeros and infinities, which came from elsewhere, become NaN
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    normalised: Embeddings = rows
    return normalised
