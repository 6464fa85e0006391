"""`python app.py index | import`: what is asked of who brings images into a collection; others bring them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from settings import Settings
from ui.terminal import told

if TYPE_CHECKING:
    from search.types import Holder
    from ui.changing import Changing
    from ui.start import Join
    from ui.stores import Stores

OWN_COLLECTION = "images"  # that `index` adds to where none is named: the bundled gallery can't be changed


def add_index(
    app: typer.Typer,
    settings: Settings,
    join: "Join",
    changing: "Callable[[], AbstractContextManager[Changing]]",
    stores: "Stores | None",
) -> None:
    @app.command()
    def index(
        paths: Annotated[
            list[str],
            typer.Argument(
                metavar="PATH...", callback=_places, help="Folders, images, zip archives and s3://bucket/prefix."
            ),
        ],
        collection: Annotated[
            str | None, typer.Option("--collection", "-c", metavar="NAME", help="Made where it is not there yet.")
        ] = None,
        model: Annotated[
            str | None, typer.Option(help="What a new collection is embedded with; else the one that is set.")
        ] = None,
        prune: Annotated[bool, typer.Option("--prune", help="Remove what is no longer there.")] = False,
        part: Annotated[str | None, typer.Option(metavar="I/N", help="Only that share, as a part in --out.")] = None,
        out: Annotated[str | None, typer.Option(metavar="FOLDER|s3://…", help="Where the part is kept.")] = None,
    ) -> None:
        """Add images, which stay where they are, to a collection.

        \b
        python app.py index ~/photos
        python app.py index ~/photos ~/scans --collection family --model ~/models/ViT-B-32
        python app.py index ~/photos --prune
        python app.py index s3://my-bucket/photos
        python app.py index ~/photos --part 1/4 --out parts
        python app.py index s3://my-bucket/photos --part 1/4 --out s3://my-bucket/parts

        What is unchanged is skipped, what was moved is recognised, and images can be found while the rest is read.
        Ctrl-C stops; the same command goes on. Where the page is being served, it does the work and this shows it.
        """
        from ui.indexing import run_index

        if part is not None or out is not None:
            from search.share import read_share
            from ui.parts_command import make_part

            assert stores
            if part is None or out is None or prune or collection:
                raise typer.BadParameter("--part I/N and --out go together, without --collection and --prune.")
            with told():
                make_part(settings, join, stores, paths, read_share(part), out, model=model or settings.model)
            return
        with told(), changing() as change:
            code = run_index(
                change,
                paths,
                collection=collection or settings.collection or OWN_COLLECTION,
                model=model,
                usual_model=settings.model,
                prune=prune,
            )
        raise typer.Exit(code)


def add_import(
    app: typer.Typer,
    settings: Settings,
    join: "Join",
    holder: "Callable[[], Holder | None]",
    stores: "Stores | None",
) -> None:
    @app.command("import")
    def import_parts(
        places: Annotated[
            list[str],
            typer.Argument(
                metavar="PART...", help="Parts, a folder of parts, or what a batch job wrote: folders or s3://…"
            ),
        ],
        collection: Annotated[
            str, typer.Option("--collection", "-c", metavar="NAME", help="Made where it is not there.")
        ],
        source: Annotated[
            str | None,
            typer.Option(
                help="s3://bucket/prefix that a batch job read; or the folder of the parts' images on this machine."
            ),
        ] = None,
    ) -> None:
        """Join what was embedded elsewhere: parts of `index --part`, or the output of a Batch Transform.

        \b
        python app.py import parts --collection photos --source ~/photos
        python app.py import s3://my-bucket/parts --collection photos
        python app.py import s3://my-bucket/embedded --collection photos --source s3://my-bucket/photos

        Each part is checked whole. What is in the collection already stays; the same command can be run again.
        """
        from ui.import_command import import_all

        assert stores
        with told():
            import_all(settings, join, stores, places, collection=collection, source=source, holder=holder)


def _places(values: list[str]) -> list[str]:
    """Whole paths, as the process that indexes them may be another one; addresses in S3 as they are."""
    places = []
    for value in values:
        path = Path(value).expanduser()
        if not value.startswith("s3://") and not (value and path.exists()):  # "" would be this very folder
            raise typer.BadParameter(f"Path '{value}' does not exist.")
        places.append(value if value.startswith("s3://") else str(path.resolve()))
    return places
