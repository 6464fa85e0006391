"""`python app.py release`: a collection and its model made into a release, and one checked; what it is, store says."""

import logging
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.errors import ItemNotFound, ModelError
from settings import Settings
from ui.terminal import plain

if TYPE_CHECKING:
    from search.types import Encoder
    from search.workspace import Workspace
    from ui.start import Join
    from ui.stores import Stores


def release_commands(
    settings: Settings,
    told: Callable[[], AbstractContextManager[None]],
    join: "Join",
    stores: "Stores",
    root: Path,
) -> typer.Typer:
    """`root`: of the code, for its version and licences."""
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
        with told(), closing(join(settings, write=False)) as workspace:
            model = collection if model_only else workspace.engine(collection).collection.info.model
            with workspace.encoders.using(model) as encoder:
                manifest = stores.build_release(
                    out.expanduser(),
                    name=Path(collection).name,
                    model={"name": _shipped(model), "fingerprint": encoder.fingerprint, "dim": encoder.dim},
                    model_files=_files(encoder),
                    snapshot=None if model_only else partial(_snapshot, workspace, collection, model),
                    told={
                        "code": _code(root),
                        "licences": _licences(model),
                        "evaluation": None if model_only else _evaluation(workspace, collection),
                    },
                )
        total = sum(file["bytes"] for file in manifest["files"].values())
        typer.echo(f"{plain(str(out))}: {len(manifest['files']):,} files, {total / 1e6:,.1f} MB")

    @app.command()
    def verify(
        release: Annotated[str, typer.Argument(metavar="RELEASE", help="A folder, a .tar.gz, or s3://bucket/key.")],
    ) -> None:
        """Check every file of a release against its manifest, then embed and search with it.

        \b
        python app.py release verify photos-1.tar.gz
        """
        from dataclasses import replace

        from ui.readiness import search_check

        logging.basicConfig(level=logging.ERROR)
        with told():
            opened = stores.open_release(release, cache=settings.data_dir / "releases")
            with closing(join(replace(settings, release=str(opened.folder)), write=False)) as workspace:
                search_check(workspace, model=opened.model)()
                name = opened.collection
                holds = f'"{plain(name)}" of {len(workspace.open(name)):,} images' if name else "no collection"
            typer.echo(f"{plain(release)} is whole: model {plain(opened.model)} ({opened.fingerprint[:12]}), {holds}.")

    return app


def _files(encoder: "Encoder") -> dict[str, Path]:
    """Of the exported folder, by their place in it. Raises: ModelError where torch serves."""
    from search.encoders.fingerprint import exported_files

    folder = getattr(encoder, "folder", None)
    if not isinstance(folder, Path):
        raise ModelError(f'A release needs an exported model, and "{encoder.name}" is served without an export here.')
    found = {path.relative_to(folder).as_posix(): path for path in exported_files(folder)}
    if (folder / "encoder.json").is_file():
        found["encoder.json"] = folder / "encoder.json"
    return found


def _shipped(model: str) -> str:
    """A folder's own name in place of its path, which means nothing elsewhere."""
    return Path(model).name if model.startswith(("/", ".", "~")) else model


def _snapshot(workspace: "Workspace", name: str, model: str, into: Path) -> Mapping[str, object]:
    collection = workspace.open(name)
    thumbnails = collection.snapshot(into, model=_shipped(model))
    return {"name": collection.info.name, "images": len(collection), "thumbnails": thumbnails}


def _evaluation(workspace: "Workspace", name: str) -> Mapping[str, object] | None:
    """The last report's figures, without its queries."""
    from search.report import to_json

    if workspace.evaluations is None:
        return None
    try:
        told = to_json(workspace.evaluations.reports.get(name))
    except ItemNotFound:
        return None
    return {field: told[field] for field in ("made_at", "fingerprint", "version", "overall", "slices")}


def _licences(model: str) -> Mapping[str, str]:
    if model == "pocket":
        return {"model": "Apache-2.0", "drawings": "OFL-1.1 (Noto Color Emoji)"}
    return {"model": f"as its own card says: {_shipped(model)}"}


def _code(root: Path) -> Mapping[str, object]:
    version = "unknown"
    if (root / "pyproject.toml").is_file():
        version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    git = ("git", "-C", str(root), "rev-parse", "HEAD")
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return {"version": version, "commit": commit, "licence": "Apache-2.0"}
