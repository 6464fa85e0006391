"""Searches over HTTP: start, memory, text and image queries on the gallery, at 100,000 images, and while indexing."""

import json
from pathlib import Path

from bench.figure import Figure
from bench.latency import Client, percentile, texts, times_ms
from bench.pictures import SIZES, folder, jpeg
from bench.server import Server, running

QUERIES = 300


def measure_gallery(work: Path) -> list[Figure]:
    with running("serve", work / "serve") as server:
        start_serve_s = server.start_s
        serve_has_torch = server.has_loaded("libtorch")
    with running("ui", work / "ui") as server:
        text = text_times(server, collection="gallery")
        image = image_times(server, collection="gallery")
        return [
            Figure("`serve`: start to /ping 200", start_serve_s, "s", "≤ 3"),
            Figure("`ui`: start to /ping 200", server.start_s, "s", "≤ 8"),
            Figure("torch in the process", float(serve_has_torch or server.has_loaded("libtorch")), "", "≤ 0"),
            Figure("text query, gallery, p50", percentile(text, 50), "ms", "≤ 12"),
            Figure("text query, gallery, p95", percentile(text, 95), "ms", ""),
            Figure("image query (0.2 MP), gallery, p50", percentile(image, 50), "ms", "≤ 40"),
            Figure("memory of `ui` on the gallery, Chroma included", server.memory_mb(), "MB", "≤ 700"),
        ]


def text_times(server: Server, *, collection: str, count: int = QUERIES) -> list[float]:
    client = Client(server.url)
    bodies = [{"query": text, "top_k": 50, "collection": collection} for text in texts(count)]
    return times_ms([lambda body=body: client.post("/api/search", body) for body in bodies])  # type: ignore[misc]


def image_times(server: Server, *, collection: str, count: int = 100) -> list[float]:
    client = Client(server.url)
    images = [jpeg(1000 + n, SIZES["0.2 MP"]) for n in range(count)]
    return times_ms([lambda body=body: client.post(f"/api/search?collection={collection}", body) for body in images])  # type: ignore[misc]


def measure_while_indexing(work: Path) -> list[Figure]:
    """Search p95 on a collection that is being indexed, against the same search when nothing else runs."""
    pictures = folder(work / "while-indexing", count=4000, size=SIZES["0.2 MP"])
    with running("ui", work / "busy") as server:
        client = Client(server.url)
        client.post("/api/collections", {"name": "busy", "model": "pocket"})
        idle = text_times(server, collection="gallery")
        job = json.loads(client.post("/api/jobs", {"collection": "busy", "paths": [str(pictures)]}))["job"]
        busy = text_times(server, collection="gallery")
        still_running = _state(server, job) == "running"
    if not still_running:
        raise RuntimeError("indexing ended before the searches did: index more pictures")
    return [Figure("search p95 while indexing ÷ idle", percentile(busy, 95) / percentile(idle, 95), "×", "≤ 3")]


def _state(server: Server, job: str) -> str:
    import urllib.request

    with urllib.request.urlopen(f"{server.url}/api/jobs/{job}", timeout=10) as answer:
        state: str = json.load(answer)["state"]
        return state
