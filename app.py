"""Joins the parts: settings → library, encoder, engine → page, API or command; what `python app.py` and a Space run."""

import os

# Before numpy is imported: searches run beside each other, and OpenBLAS's own threads make them wait for one another
# (docs/decisions/0016-many-searches-at-once.md).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import threading
from functools import partial
from pathlib import Path

from pocket.card import card_of
from search.choices import choices
from search.encoders.hub import Hub
from search.errors import ModelNotFound
from search.models import Models
from search.types import Encoder
from search.workspace import Workspace
from settings import BadSetting, Settings, read_settings

HERE = Path(__file__).parent
BUNDLED_MODEL = HERE / "pocket" / "encoder"
GALLERY = "gallery"
QUERIES = HERE / "pocket" / "queries.csv"


def join(settings: Settings, *, write: bool) -> Workspace:
    """What a face needs. `write`: take the data folder's lock. Raises: StoreBusy, ModelNotFound, ReleaseDamaged."""
    from search.encoders.load import load_encoder
    from search.images.decoder import Decoder
    from search.jobs import Jobs
    from search.kept_images import KeptImages
    from search.memory import available_bytes
    from search.speeds import Speeds
    from store.library import LocalLibrary
    from store.release import open_release
    from store.sources import open_sources
    from ui.released import released

    if settings.release:
        release = open_release(settings.release, cache=settings.data_dir / "releases", is_served=True)
        return released(release, LocalLibrary, settings)
    models_dir, named, exports = settings.data_dir / "models", models_of(settings), threading.Lock()
    if (usual := named.state(settings.model)).state == "unknown":
        raise ModelNotFound(f"SIGHTLINE_MODEL can't be used. {usual.note}")
    library = LocalLibrary(
        settings.data_dir,
        bundled=[(GALLERY, HERE / "pocket" / "gallery")],
        exact_up_to=settings.exact_up_to,
        chroma_url=settings.chroma_url or None,
        write=write,
        copy_to=settings.copy,
    )

    def encoder_of(name: str) -> Encoder:
        return load_encoder(
            name,
            models_dir=models_dir,
            bundled=BUNDLED_MODEL,
            offline=settings.offline,
            threads=os.cpu_count(),
            progress=partial(workspace.encoders.tell, name),
            warn=partial(workspace.encoders.warn, name),
            export_turn=exports,
        )

    workspace = Workspace(
        library,
        load_encoder=encoder_of,
        size_of=named.size_in_memory,
        available=available_bytes,
        decoder=Decoder(workers=os.cpu_count() or 1, max_bytes=settings.max_image_mb * 2**20),
        kept=KeptImages(),
        models=choices(settings.model),
        default=GALLERY,
        configured=settings.collection,
        named=named,
        speeds=Speeds(models_dir, named.measure),
        reports_dir=settings.data_dir / "reports",
        labels={GALLERY: QUERIES},
        embeds_with=settings.model,
    )
    if write:
        workspace.jobs = Jobs(
            settings.data_dir / "jobs",
            open_collection=library.open,
            open_engine=workspace.engine,
            open_sources=lambda spec, collection: open_sources(
                spec.paths,
                spec.uploads,
                spec.archives,
                known=collection.sources(),
                uploads_dir=settings.data_dir / "uploads",
                keep=library.keep_upload,
                max_bytes=settings.max_image_mb * 2**20,
            ),
            decoder=workspace.decoder,
            tidy_uploads=library.tidy_uploads,
        )
    return workspace


def models_of(settings: Settings) -> Models:
    return Models(settings.data_dir / "models", bundled=BUNDLED_MODEL, hub=Hub(offline=settings.offline))


def main() -> None:
    try:
        settings = read_settings(os.environ)
    except BadSetting as error:
        sys.exit(str(error))
    from store import batch_output, collection_folder, library, lock, part_place, parts, places, release, sources
    from ui.commands import Bundled, build
    from ui.model_command import model_commands
    from ui.release_command import release_commands
    from ui.stores import Stores

    holder = partial(lock.read_holder, settings.data_dir)
    stores = Stores(
        open_library=library.LocalLibrary,
        open_sources=sources.open_sources,
        origins=sources.origins,
        build_release=release.build_release,
        open_release=release.open_release,
        find_parts=parts.find_parts,
        part_place=part_place.part_place,
        open_folder=collection_folder.open_folder,
        read_outputs=batch_output.read_outputs,
        open_place=places.open_place,
    )
    commands = build(settings, join, holder=holder, bundled=Bundled(GALLERY, QUERIES, card=card_of), stores=stores)
    commands.add_typer(model_commands(settings, models_of, join, holder), name="model")
    commands.add_typer(release_commands(settings, join, stores, root=HERE, gallery=GALLERY), name="release")
    commands(["ui"] if settings.in_space and len(sys.argv) == 1 else None)  # a Space gives no arguments


if __name__ == "__main__":
    main()
