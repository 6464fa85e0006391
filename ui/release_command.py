"""`python app.py release`: a collection and its model made into a release, and one checked; what it is, store says."""

import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from settings import Settings
from ui.terminal import plain, told

if TYPE_CHECKING:
    from search.types import Collection, Release
    from ui.start import Join
    from ui.stores import Stores


def release_commands(
    settings: Settings,
    join: "Join",
    stores: "Stores",
    *,
    root: Path,
    gallery: str,
) -> typer.Typer:
    """`root`: of the code, for its version and licences; `gallery`: the collection that comes with it."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Build a release, and check one.")

    @app.command()
    def build(
        collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="With --model-only: a model's name.")],
        out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or a new .tar.gz.")],
        model_only: Annotated[
            bool, typer.Option("--model-only", help="A release that embeds and has no images.")
        ] = False,
    ) -> None:
        """Put a collection, its model and a manifest into one folder or archive, to be served read-only.

        \b
        python app.py release build photos photos-1.tar.gz
        python app.py release build --model-only ViT-B-32/laion2b_s34b_b79k encoder.tar.gz

        Thumbnails are in it, originals are not. The same collection and model make the same bytes.
        """
        logging.basicConfig(level=logging.ERROR)
        with told():
            manifest, remark = _built(settings, join, stores, collection, out, model_only, root=root, gallery=gallery)
        total = sum(file["bytes"] for file in manifest["files"].values())
        typer.echo(f"{plain(str(out))}: {len(manifest['files']):,} files, {total / 1e6:,.1f} MB{plain(remark)}")

    @app.command()
    def verify(
        release: Annotated[str, typer.Argument(metavar="RELEASE", help="A folder, a .tar.gz, or s3://bucket/key.")],
    ) -> None:
        """Check every file of a release against its manifest, search with it, and embed some thumbnails again.

        \b
        python app.py release verify photos-1.tar.gz
        """
        logging.basicConfig(level=logging.ERROR)
        with told():
            opened = stores.open_release(release, cache=settings.data_dir / "releases")
            holds = _tried(opened, stores, settings)
            typer.echo(f"{plain(release)} is whole: model {plain(opened.model)} ({opened.fingerprint[:12]}), {holds}.")

    return app


def _built(
    settings: Settings,
    join: "Join",
    stores: "Stores",
    named: str,
    out: Path,
    model_only: bool,
    *,
    root: Path,
    gallery: str,
) -> tuple[Mapping[str, Any], str]:
    """The manifest, and what somebody should know of it."""
    from ui.licences import licence_of_images, licences_of_model
    from ui.release_contents import code_at, evaluation_of, model_files, shipped_name

    with closing(join(replace(settings, release=""), write=False)) as workspace:
        collection = None if model_only else workspace.engine(named).collection
        model = named if collection is None else collection.info.model
        evaluation, remark = (None, "") if collection is None else evaluation_of(workspace, collection)
        texts, licences = licences_of_model(model, models_dir=settings.data_dir / "models", root=root)
        if collection is not None:
            licences["images"] = licence_of_images(collection, is_gallery=named == gallery)
        with workspace.encoders.using(model) as encoder:
            files = {f"model/{name}": path for name, path in model_files(encoder).items()}
            manifest = stores.build_release(
                out.expanduser(),
                name=Path(named).name,
                model={"name": shipped_name(model), "fingerprint": encoder.fingerprint, "dim": encoder.dim},
                files=files | {f"licences/{name}": path for name, path in texts.items()},
                snapshot=None if collection is None else partial(_snapshot, collection, shipped_name(model)),
                told={"code": code_at(root), "licences": licences, "evaluation": evaluation},
            )
    return manifest, f"; {remark}" if remark else ""


def _snapshot(collection: "Collection", model: str, into: Path) -> Mapping[str, object]:
    thumbnails = collection.snapshot(into, model=model)
    return {"name": collection.info.name, "images": len(collection), "thumbnails": thumbnails}


def _tried(release: "Release", stores: "Stores", settings: Settings) -> str:
    """What it holds, searched and embedded with its own model, wherever SIGHTLINE_MODEL is. Raises: ReleaseDamaged."""
    from search.agreement import agreement
    from search.errors import ReleaseDamaged
    from ui.readiness import search_check
    from ui.released import released

    own = replace(settings, model=Settings().model)
    with closing(released(release, stores.open_library, own)) as workspace:
        search_check(workspace, model=release.model)()
        if release.collection is None:
            return "no collection"
        collection = workspace.open(release.collection)
        found = agreement(collection, workspace.encoder(release.model), workspace.decoder)
        if found is not None and not found.is_given:
            raise ReleaseDamaged(
                f'The collection of the release "{release.name}" was not embedded by the model beside it: {found}; '
                "build it again with the model that embedded it."
            )
        said = found or "without a thumbnail to embed again"
        return f'"{plain(release.collection)}" of {len(collection):,} images; {said}'
