"""Joins the parts: settings → library, encoder, engine → page, API or command; what `python app.py` and a Space run."""

import os
import sys
from pathlib import Path

from search.errors import ModelNotFound
from search.types import Collection, Encoder, Source
from search.workspace import ModelChoice, Workspace
from settings import BadSetting, Settings, read_settings

HERE = Path(__file__).parent
GALLERY = "gallery"
POCKET = ModelChoice(
    name="pocket",
    title="pocket (bundled)",
    note="Knows illustrations; for photographs make a collection with another model.",
)


def join(settings: Settings, *, write: bool) -> Workspace:
    """Everything a face needs. `write`: take the data folder's lock. Raises: StoreBusy, ModelNotFound."""
    from search.encoders.load import find_model, load_encoder
    from search.images.decoder import Decoder
    from search.job import JobSpec
    from search.jobs import Jobs
    from search.kept_images import KeptImages
    from store.library import open_library
    from store.sources import open_sources

    bundled_model = HERE / "pocket" / "encoder"
    models = [POCKET]
    if settings.model != POCKET.name:
        try:
            find_model(settings.model, bundled=bundled_model)
        except ModelNotFound as error:
            raise ModelNotFound(f"SIGHTLINE_MODEL can't be used. {error}") from error
        models.insert(0, ModelChoice(name=settings.model, title=settings.model, note="The model set for this server."))

    library = open_library(
        settings.data_dir,
        bundled=[(GALLERY, HERE / "pocket" / "gallery")],
        exact_up_to=settings.exact_up_to,
        chroma_url=settings.chroma_url or None,
        write=write,
    )

    def encoder_of(name: str) -> Encoder:
        return load_encoder(
            name,
            models_dir=settings.data_dir / "models",
            bundled=bundled_model,
            offline=settings.offline,
            threads=os.cpu_count(),
        )

    workspace = Workspace(
        library,
        load_encoder=encoder_of,
        decoder=Decoder(workers=os.cpu_count() or 1, max_bytes=settings.max_image_mb * 2**20),
        kept=KeptImages(),
        models=models,
        default=GALLERY,
        configured=settings.collection,
    )

    def sources_of(spec: JobSpec, collection: Collection) -> list[Source]:
        return open_sources(
            spec.paths,
            spec.uploads,
            spec.archives,
            known=collection.sources(),
            uploads_dir=settings.data_dir / "uploads",
            keep=library.keep_upload,
            max_bytes=settings.max_image_mb * 2**20,
        )

    if write:
        workspace.jobs = Jobs(
            settings.data_dir / "jobs",
            open_collection=library.open,
            open_engine=workspace.engine,
            open_sources=sources_of,
            decoder=workspace.decoder,
        )
    return workspace


def card_of(encoder: Encoder) -> str:
    """The bundled model's table of measures, for any encoder."""
    from pocket.evaluate import as_text, evaluate

    return as_text(evaluate(encoder))


def main() -> None:
    try:
        settings = read_settings(os.environ)
    except BadSetting as error:
        sys.exit(str(error))
    from store.lock import read_holder
    from ui.commands import Bundled, build

    build(
        settings,
        join,
        holder=lambda: read_holder(settings.data_dir),
        bundled=Bundled(GALLERY, HERE / "pocket" / "queries.csv", card=card_of),
    )()


if __name__ == "__main__":
    main()
