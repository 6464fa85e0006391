"""The real app over small collections of coloured pictures, so that every answer is known beforehand.

Collections: "colours", "many" shades, "hostile" names, an "empty" one and one of the "bundled" model.
"""

import hashlib
import io
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from PIL import Image

from search.choices import ModelChoice
from search.images.decoder import Decoder
from search.jobs import Jobs
from search.kept_images import KeptImages
from search.types import Collection, Item, Record
from search.workspace import Workspace
from store.library import LocalLibrary
from store.sources import open_sources
from tests.fakes import FakeEncoder
from ui.access import Access
from ui.readiness import Readiness
from ui.server import make_app
from ui.service import Limits, make_service

# Near to far from "red" in the fake encoder's space, which is the mean colour.
COLOURS = {
    "red": (250, 0, 0),
    "scarlet": (250, 40, 0),
    "vermilion": (250, 80, 0),
    "orange": (250, 130, 0),
    "yellow": (250, 250, 0),
    "magenta": (250, 0, 250),
    "grey": (120, 120, 120),
    "green": (0, 250, 0),
    "cyan": (0, 250, 250),
    "blue": (0, 0, 250),
}
SHADES = 90  # pictures of "many": more than one page of the grid
HOSTILE = '<img src=x onerror="window.harmed=1">{{harmed}} ${window.harmed=1} <script>window.harmed=1</script>'


@contextmanager
def running_app(folder: Path) -> Iterator[str]:
    """Yields the address. In a process of its own, because Gradio leaves warnings and sockets behind."""
    command = [sys.executable, "-m", "tests.browser.running", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None and app.stdin is not None
        yield app.stdout.readline().strip()
        app.terminate()


def run(folder: Path) -> None:
    library = LocalLibrary(folder / "data", write=True)
    fill(library, folder, FakeEncoder())
    labels = folder / "queries.csv"
    labels.write_text("query,relevant\nred,red-id\nblue,shots/blue.png\n")
    workspace = Workspace(
        library,
        load_encoder=lambda name: FakeEncoder(name),
        decoder=Decoder(workers=1),
        kept=KeptImages(),
        models=[ModelChoice("fake", "Fake", "knows colours"), ModelChoice("pocket", "Pocket", "knows illustrations")],
        default="colours",
        reports_dir=folder / "data" / "reports",
        labels={"colours": labels},
    )
    workspace.jobs = Jobs(
        folder / "data" / "jobs",
        open_collection=library.open,
        open_engine=workspace.engine,
        open_sources=lambda spec, collection: open_sources(
            spec.paths,
            spec.uploads,
            spec.archives,
            known=collection.sources(),
            uploads_dir=folder / "data" / "uploads",
            keep=library.keep_upload,
            max_bytes=50 * 2**20,
        ),
        decoder=workspace.decoder,
    )
    workspace.jobs.start()
    service = make_service(
        workspace, access=Access(host="127.0.0.1"), limits=Limits(), readiness=Readiness(lambda: None)
    )
    config = uvicorn.Config(make_app(service), log_level="warning", timeout_graceful_shutdown=1)
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
    workspace.close()


def fill(library: LocalLibrary, folder: Path, encoder: FakeEncoder) -> None:
    collections = {
        name: library.create(name, model=model, fingerprint=encoder.fingerprint, dim=encoder.dim)
        for name, model in (
            ("colours", "fake"),
            ("many", "fake"),
            ("hostile", "fake"),
            ("empty", "fake"),
            ("bundled", "pocket"),
        )
    }
    colours = {name: (rgb, f"{name} square") for name, rgb in COLOURS.items()}
    put(collections["colours"], folder / "shots", colours, encoder)
    put(collections["bundled"], folder / "shots", colours, encoder)
    shades = {f"shade {n}": ((n + 40, 255 - n, 60), "") for n in range(SHADES)}
    put(collections["many"], folder / "shades", shades, encoder)
    put(collections["hostile"], folder / "hostile", {name: (rgb, HOSTILE) for name, rgb in COLOURS.items()}, encoder)


def put(
    collection: Collection, folder: Path, pictures: dict[str, tuple[tuple[int, int, int], str]], encoder: FakeEncoder
) -> None:
    folder.mkdir(exist_ok=True)
    collection.set_source("shots", folder)
    items = []
    for number, (name, (colour, caption)) in enumerate(pictures.items()):
        data = picture_bytes(colour)
        (folder / f"{name}.png").write_bytes(data)
        record = Record(
            id=f"{name.replace(' ', '-')}-id",
            uri=f"shots/{name}.png",
            content_hash=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            width=64,
            height=48,
            added_at=f"2026-01-{number % 28 + 1:02}T00:00:00Z",
            caption=caption,
            metadata={"kind": "warm" if colour[0] > 200 else "cold", "number": number, "note": caption},
        )
        embedding = encoder.encode_images(np.full((1, 8, 8, 3), colour, np.uint8))[0]
        items.append(Item(record=record, embedding=embedding, thumbnail=picture_bytes(colour, "WEBP")))
    collection.put(items)


def picture_bytes(colour: tuple[int, int, int], format: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(data, format, **({"lossless": True} if format == "WEBP" else {}))
    return data.getvalue()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
