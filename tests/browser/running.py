"""The real app over small collections of coloured pictures, so that every answer is known beforehand.

Collections: "colours", "many" shades, "hostile" names, an "empty" one, one of the "bundled" model, and one "elsewhere",
whose model is on a hub and not here.
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
from search.encoders.hub import Hub
from search.encoders.load import load_encoder
from search.encoders.speed import Speed
from search.images.decoder import Decoder
from search.jobs import Jobs
from search.kept_images import KeptImages
from search.models import Models
from search.speeds import Speeds
from search.types import Collection, Encoder, Item, Record
from search.workspace import Workspace
from store.library import LocalLibrary
from store.places import open_place
from tests.fakes import FakeEncoder
from tests.stored import sources_of
from tests.unit.encoders.exports import write_export
from ui.access import Access
from ui.events import Events
from ui.readiness import Readiness
from ui.server import make_app
from ui.service import Front, Limits, make_service
from ui.users_file import open_users

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


# On the hub of these tests: one of the table, one that a collection was made with elsewhere, one to be named.
TINY, AWAY, NAMED = "onnx:immich-app/tiny", "onnx:immich-app/away", "onnx:immich-app/named"


@contextmanager
def running_app(folder: Path, *, hub: str, users: str = "", under: str = "") -> Iterator[str]:
    """Yields the address. In a process of its own, because Gradio leaves warnings and sockets behind."""
    command = [sys.executable, "-m", "tests.browser.running", str(folder), hub, users, under]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None and app.stdin is not None
        yield app.stdout.readline().strip()
        app.terminate()


def run(folder: Path, endpoint: str, users: str, under: str) -> None:
    library = LocalLibrary(folder / "data", write=True)
    fill(library, folder, FakeEncoder())
    labels = folder / "queries.csv"
    labels.write_text("query,relevant\nred,red-id\nblue,shots/blue.png\n")
    models_dir = folder / "models"

    bundled = write_export(folder / "bundled")

    def real(name: str) -> Encoder:
        return load_encoder(name, models_dir=models_dir, bundled=bundled)

    def load(name: str) -> Encoder:
        made = real(name) if name.startswith(("onnx:", "/")) else None
        return made if made and name != AWAY else FakeEncoder(name)

    workspace = Workspace(
        library,
        load_encoder=load,
        decoder=Decoder(workers=1),
        kept=KeptImages(),
        models=[
            ModelChoice("fake", "Fake", "knows colours"),
            ModelChoice("pocket", "Pocket", "knows illustrations"),
            ModelChoice(str(bundled), "Export", "Knows sums."),
            ModelChoice(TINY, "Tiny", "Knows next to nothing.", languages="English", parameters=10**6, recall_en=12.3),
        ],
        named=Models(models_dir, bundled=bundled, hub=Hub(endpoint=endpoint, cache_dir=folder / "hub", pause_s=0.01)),
        speeds=Speeds(models_dir, lambda name: measured(real(name)), machine="A machine, 2 cores"),
        default="colours",
        reports_dir=folder / "data" / "reports",
        labels={"colours": labels},
    )
    workspace.jobs = Jobs(
        folder / "data" / "jobs",
        open_collection=library.open,
        open_engine=workspace.engine,
        open_sources=sources_of(library, folder / "data", max_bytes=50 * 2**20),
        decoder=workspace.decoder,
    )
    workspace.jobs.start()
    service = make_service(
        workspace,
        access=Access(host="127.0.0.1", users=open_users(users) if users else None),
        limits=Limits(),
        readiness=Readiness(lambda: None),
        front=Front(root_path=under),
        events=Events(open_place(str(folder / "events"))),
    )
    config = uvicorn.Config(make_app(service), log_level="warning", timeout_graceful_shutdown=1)
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
    workspace.close()


def measured(encoder: Encoder) -> tuple[str, Speed]:
    return encoder.fingerprint, Speed(12.5, 21.0, 800_000_000, 1.0)


def fill(library: LocalLibrary, folder: Path, encoder: FakeEncoder) -> None:
    collections = {
        name: library.create(name, model=model, fingerprint=encoder.fingerprint, dim=encoder.dim)
        for name, model in (
            ("colours", "fake"),
            ("many", "fake"),
            ("hostile", "fake"),
            ("empty", "fake"),
            ("bundled", "pocket"),
            ("elsewhere", AWAY),
        )
    }
    colours = {name: (rgb, f"{name} square") for name, rgb in COLOURS.items()}
    put(collections["colours"], folder / "shots", colours, encoder)
    put(collections["bundled"], folder / "shots", colours, encoder)
    put(collections["elsewhere"], folder / "shots", colours, encoder)
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
    run(Path(sys.argv[1]), *sys.argv[2:])
