"""Text queries over 100,000 images: as many different vectors of the bundled model's dimension, kept in Chroma."""

import json
import time
import urllib.request
from pathlib import Path

import numpy as np

from bench.figure import Figure
from bench.latency import percentile
from bench.server import ROOT, Server, running
from bench.serving import text_times
from search.types import Item, Record

COUNT = 100_000
INDEX_LIMIT_S = 900


def measure_scale(work: Path) -> list[Figure]:
    data_dir = work / "scale"
    fill(data_dir, COUNT)
    with running("ui", data_dir, collection="many") as server:
        text_times(server, collection="many", count=20)
        exact = text_times(server, collection="many")
        via = _wait_for_chroma(server)
        times = text_times(server, collection="many")
        return [
            Figure(
                "text query, 100,000 images, exact scan while Chroma is filled, p50", percentile(exact, 50), "ms", ""
            ),
            Figure(f"text query, 100,000 images, p50 (via {via})", percentile(times, 50), "ms", "≤ 25"),
            Figure(f"text query, 100,000 images, p95 (via {via})", percentile(times, 95), "ms", ""),
            Figure("memory of `ui` at 100,000 images, Chroma included", server.memory_mb(), "MB", ""),
        ]


def fill(data_dir: Path, count: int) -> None:
    """The collection "many": neighbours of the gallery's own embeddings, so that their spread is a real model's."""
    from store.collection_folder import open_folder
    from store.library import LocalLibrary

    gallery = open_folder(ROOT / "pocket" / "gallery")
    info, seeds = gallery.info, gallery.background()
    library = LocalLibrary(data_dir)
    collection = library.create("many", model=info.model, fingerprint=info.fingerprint, dim=info.dim)
    rng = np.random.default_rng(0)
    for start in range(0, count, 1000):
        rows = seeds[rng.integers(0, len(seeds), 1000)] + rng.normal(0, 0.03, (1000, info.dim))
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        collection.put([_item(start + n, row) for n, row in enumerate(rows)])
    library.close()


def _item(n: int, row: np.ndarray) -> Item:
    record = Record(id=f"{n:012x}", uri=f"many/{n:06d}.jpg", content_hash=f"{n:064x}", size_bytes=1, width=1, height=1)
    return Item(record, row, None)


def _wait_for_chroma(server: Server) -> str:
    """Which path answers, once Chroma holds everything or the limit is up."""
    until = time.monotonic() + INDEX_LIMIT_S
    via = "exact"
    while time.monotonic() < until and via == "exact":
        request = urllib.request.Request(
            f"{server.url}/api/search",
            json.dumps({"query": "a boat", "collection": "many"}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            via = json.load(answer)["via"]
        time.sleep(2)
    return via
