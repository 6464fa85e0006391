"""A workspace over the real store with a few plain-coloured pictures, for tests of what serves it."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from search.choices import ModelChoice
from search.images.decoder import Decoder
from search.jobs import Jobs
from search.kept_images import KeptImages
from search.models import Models
from search.types import Encoder, Item, Record
from search.workspace import Workspace
from store.library import LocalLibrary
from tests.fakes import FakeEncoder
from tests.stored import sources_of

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
}
MAX_IMAGE_BYTES = 2**20


def picture(colour: str, size: tuple[int, int] = (32, 24), kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(data, kind)
    return data.getvalue()


def open_workspace(
    data_dir: Path, *, write: bool = True, encoder: Encoder | None = None, named: Models | None = None
) -> Workspace:
    """The collection `colours`, in which each picture's id is its colour; made where it is not there yet."""
    made = encoder or FakeEncoder()
    decoder = Decoder(workers=1, max_bytes=MAX_IMAGE_BYTES)
    library = LocalLibrary(data_dir, write=write)
    workspace = Workspace(
        library,
        load_encoder=lambda name: made,
        decoder=decoder,
        kept=KeptImages(),
        models=[ModelChoice("fake", "Fake", "Knows colours.")],
        default="colours",
        reports_dir=data_dir / "reports",
        named=named,
    )
    if write:
        workspace.jobs = Jobs(
            data_dir / "jobs",
            open_collection=library.open,
            open_engine=workspace.engine,
            open_sources=sources_of(library, data_dir, max_bytes=MAX_IMAGE_BYTES),
            decoder=decoder,
            tidy_uploads=library.tidy_uploads,
        )
        if not library.list():
            workspace.create("colours", model="fake", description="Four colours")
            fill(workspace)
    return workspace


def fill(workspace: Workspace) -> None:
    engine = workspace.engine("colours")
    engine.collection.set_source("uploads", None)
    items = []
    for number, colour in enumerate(COLOURS):
        data = picture(colour)
        record = Record(
            id=colour,
            uri=f"uploads/{workspace.library.keep_upload(data, '.png')}",
            content_hash=f"{number:064x}",
            size_bytes=len(data),
            width=32,
            height=24,
            caption=f"=plain {colour}",
            metadata={"year": 2020 + number},
        )
        embedding = engine.encoder.encode_images(np.full((1, 8, 8, 3), COLOURS[colour], np.uint8))[0]
        items.append(Item(record, embedding, picture(colour, kind="WEBP")))
    engine.collection.put(items)
