"""What tests of the store share: its functions for commands, items with known embeddings, brute force, waiting."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from search.job import JobSpec
from search.types import Collection, Embedding, Embeddings, Item, Record, Scalar, Source
from store.batch_output import read_outputs
from store.collection_folder import open_folder
from store.library import LocalLibrary
from store.part_place import part_place
from store.parts import find_parts
from store.places import open_place
from store.release import build_release, open_release
from store.sources import open_sources, origins
from ui.stores import Stores

DIM = 16
STORES = Stores(
    open_library=LocalLibrary,
    open_sources=open_sources,
    origins=origins,
    build_release=build_release,
    open_release=open_release,
    find_parts=find_parts,
    part_place=part_place,
    open_folder=open_folder,
    read_outputs=read_outputs,
    open_place=open_place,
)


def sources_of(
    library: LocalLibrary, data_dir: Path, *, max_bytes: int
) -> Callable[[JobSpec, Collection], Sequence[Source]]:
    """What a job names, as app.py opens it."""
    return lambda spec, collection: open_sources(
        spec.paths,
        spec.uploads,
        spec.archives,
        known=collection.sources(),
        uploads_dir=data_dir / "uploads",
        keep=library.keep_upload,
        max_bytes=max_bytes,
    )


def embeddings(count: int, *, seed: int = 0, dim: int = DIM) -> Embeddings:
    """Random directions, in values that f16 keeps exactly, so that expected scores are exact too."""
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows.astype(np.float16).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def item(
    number: int,
    embedding: Sequence[float] | Embedding,
    *,
    id: str | None = None,
    uri: str | None = None,
    content_hash: str | None = None,
    thumbnail: bytes | None = None,
    caption: str = "",
    **metadata: Scalar,
) -> Item:
    vector = np.array(embedding, np.float32)
    record = Record(
        id=id or f"id-{number:05}",
        uri=uri or f"photos/{number:05}.jpg",
        content_hash=content_hash or f"{number:064x}",
        size_bytes=1000 + number,
        width=640,
        height=480,
        added_at=f"2026-01-01T00:00:00.{number:06}Z",
        caption=caption,
        metadata=metadata,
    )
    return Item(record, vector / np.linalg.norm(vector), thumbnail)


def items(count: int, *, start: int = 0, seed: int = 0) -> list[Item]:
    return [item(start + n, row, parity=n % 2) for n, row in enumerate(embeddings(count, seed=seed))]


def brute_force(kept: Iterable[Item], vector: Embedding, *, top_k: int) -> list[tuple[str, float]]:
    """In double precision and plain Python order: score, then id. Scores are equal to what f32 holds."""
    scored = []
    for one in kept:
        stored = one.embedding.astype(np.float16).astype(np.float64)
        score = float(stored @ vector.astype(np.float64) / np.linalg.norm(stored))
        scored.append((one.record.id, round(score, 6)))
    best = sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:top_k]
    return [(id, pytest.approx(score, abs=2e-6)) for id, score in best]


def found(collection: Collection, vector: Embedding, *, top_k: int, **where: object) -> list[tuple[str, float]]:
    answer = collection.search(vector, top_k=top_k, **where)  # type: ignore[arg-type]
    return list(zip(answer.ids, answer.scores, strict=True))


def wait_until(holds: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def is_indexed(collection: Collection) -> bool:
    health = collection.health()
    return health["index"] == "ready" and health["watermark"] == health["sequence"]


def wait_until_indexed(collection: Collection) -> None:
    """At once where nothing is to be indexed."""
    if collection.health()["index"] != "off":
        wait_until(lambda: is_indexed(collection))
