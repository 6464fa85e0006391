"""`index --part`: the images of one share, embedded apart from any data folder, as a part that `import` takes in."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from search.errors import BadQuery, EncoderMismatch
from search.indexing import index
from search.share import Share, SharedSource
from settings import Settings
from ui.stores import Stores
from ui.terminal import plain

if TYPE_CHECKING:
    from ui.start import Join

_TOLD = 20  # unusable files by name


def make_part(
    settings: Settings, join: "Join", stores: Stores, paths: Sequence[str], share: Share, out: Path, *, model: str
) -> None:
    """Takes no lock but that of its own unfinished folder, in which the same command goes on."""
    if out.parts[:1] == ("s3:",):
        raise BadQuery("--out is a folder: write the part to one, and copy it to the bucket when it is done.")
    name = f"part-{share.number:04}-of-{share.of:04}"
    done, work = out / name, out / f".{name}"
    if done.exists():
        typer.echo(f"{plain(str(done))} is there already.")
        return
    with (
        closing(join(settings, write=False)) as workspace,
        closing(stores.open_library(work)) as library,
        workspace.encoders.using(model) as encoder,
    ):
        if not library.list():
            library.create("part", model=model, fingerprint=encoder.fingerprint, dim=encoder.dim)
        collection = library.open("part")
        if collection.info.fingerprint != encoder.fingerprint:
            raise EncoderMismatch(f"{plain(str(work))} was begun with another model: take it away, or name that model.")
        sources = stores.open_sources(
            paths,
            known=collection.sources(),
            uploads_dir=work / "uploads",
            keep=library.keep_upload,
            max_bytes=settings.max_image_mb * 2**20,
        )
        for source in sources:
            index(collection, encoder, workspace.decoder, SharedSource(source, share))
        failures = collection.failures()
        stores.build_release(
            done,
            name=name,
            model={"name": model, "fingerprint": encoder.fingerprint, "dim": encoder.dim},
            files={},
            snapshot=lambda into: {
                "name": "part",
                "images": len(collection),
                "thumbnails": collection.snapshot(into, model=model),
            },
            told={"part": {"number": share.number, "of": share.of}, "unusable": len(failures)},
        )
        typer.echo(f"{plain(str(done))}: {len(collection):,} images, {len(failures):,} unusable.")
        for failure in failures[:_TOLD]:
            typer.echo(f"  {plain(failure.uri)}: {plain(failure.message)}", err=True)
    shutil.rmtree(work)
