"""The shell: `python app.py search | index | collections | evaluate | int8 | ui | serve`; what is asked and printed.

An error is one sentence on stderr and exit code 1; a wrong option 2.
"""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from settings import Settings
from ui.collections_command import collections_commands
from ui.search_command import add_search, read_image
from ui.terminal import has_screen, told
from ui.user_command import token_commands, user_commands

if TYPE_CHECKING:
    from search.types import Encoder, Holder
    from ui.changing import Changing
    from ui.start import Join
    from ui.stores import Stores

OWN_COLLECTION = "images"  # that `index` adds to where none is named: the bundled gallery can't be changed


@dataclass(frozen=True, slots=True)
class Bundled:
    """What `evaluate` judges where it is given nothing: a collection, its labelled queries, the model card's table."""

    collection: str
    queries: Path
    card: "Callable[[Encoder], str]"


def build(
    settings: Settings,
    join: "Join",
    *,
    holder: "Callable[[], Holder | None]",
    bundled: Bundled,
    stores: "Stores | None" = None,
) -> typer.Typer:
    """`holder`: who has the data folder open for writing; without `stores` no parts, and no SIGHTLINE_EVENTS."""
    app = typer.Typer(
        help="Search your own images by meaning.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def changing() -> AbstractContextManager["Changing"]:
        from ui.changing import open_changing

        return open_changing(settings, join, holder)

    add_search(app, settings, join)

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

    @app.command()
    def evaluate(
        collection: Annotated[
            str | None, typer.Argument(metavar="COLLECTION", help="Without it: the bundled gallery.")
        ] = None,
        queries: Annotated[
            Path | None,
            typer.Option(metavar="FILE", exists=True, help="A CSV file with the columns query and relevant."),
        ] = None,
        by: Annotated[
            list[str] | None,
            typer.Option(metavar="COLUMN", help="Split by this column only; can be given again."),
        ] = None,
        json_file: Annotated[
            Path | None, typer.Option("--json", metavar="FILE", help="Write the report there as JSON.")
        ] = None,
        html_file: Annotated[
            Path | None, typer.Option("--html", metavar="FILE", help="Write the report there as one HTML page.")
        ] = None,
    ) -> None:
        """Measure how well labelled queries find their images.

        \b
        python app.py evaluate photos --queries my-queries.csv --html report.html
        python app.py evaluate photos --queries my-queries.csv --by kind --json report.json
        python app.py evaluate

        Recall, precision, MRR, nDCG and how often "nothing here fits well" is said rightly, with 95 % intervals, for
        all queries and for each value of the other columns. `relevant` holds ids, uris or paths separated by spaces
        (by | where a name has a space), and nothing where no image answers. A column `image` names pictures to ask
        with. The report is kept; the next one is compared with it. Without a collection the bundled queries are asked
        of the bundled gallery, and the table of the bundled model's card is measured too (about a minute).
        """
        from ui.evaluate_command import queries_for, run_evaluate

        with told(), closing(join(settings, write=False)) as workspace:
            name, file = queries_for(collection, queries, bundled=(bundled.collection, bundled.queries))
            run_evaluate(
                workspace,
                collection=name,
                queries=file,
                by=by or (),
                read_file=read_image,
                max_image_bytes=settings.max_image_mb * 2**20,
                exact_up_to=settings.exact_up_to,
                json_file=json_file,
                html_file=html_file,
            )
            if collection is None:
                typer.echo(f"\n{bundled.card(workspace.engine(name).encoder)}")

    @app.command()
    def int8(
        collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="Whose images it is tried on.")],
        off: Annotated[bool, typer.Option("--off", help="Back to float32.")] = False,
    ) -> None:
        """Encode the texts of a collection's model in int8, if that is faster and finds the same.

        \b
        python app.py int8 photos
        python app.py int8 photos --off

        Kept only where, measured here, 95 % of the first ten hits stay and a text takes 1.3 times less. Images are
        never encoded so. A page that is running goes on as before until it is started again.
        """
        from ui.int8_command import run_int8

        logging.basicConfig(level=logging.ERROR)  # onnxruntime has hints for its developers
        with told(), closing(join(settings, write=False)) as workspace:
            for line in run_int8(workspace, collection, off=off):
                typer.echo(line)

    @app.command()
    def ui(
        open_browser: Annotated[
            bool, typer.Option("--open", help="Open the page in the browser, where there is a screen.")
        ] = False,
    ) -> None:
        """Serve the page and the HTTP API until Ctrl-C.

        \b
        python app.py ui --open
        PORT=9000 SIGHTLINE_DATA_DIR=~/sightline python app.py ui

        Listening wider than this machine (SIGHTLINE_HOST=0.0.0.0), everybody may search and nobody may change anything;
        with a users file (SIGHTLINE_AUTH, `user add`) whoever signs in may.
        """
        from ui.listen import leave
        from ui.logs import log_to_stderr
        from ui.start import run_ui

        def say(address: str) -> None:
            typer.echo(f"Sightline is at {address} (Ctrl-C stops it)")
            if open_browser and has_screen(os.environ, sys.platform):
                typer.launch(address)

        with told():
            log_to_stderr(settings.log)
            run_ui(settings, join, when_serving=say, open_place=stores.open_place if stores else None)
        leave()

    @app.command()
    def serve() -> None:
        """Serve /ping and /invocations as SageMaker wants them.

        \b
        python app.py serve
        curl -H "Content-Type: text/plain" -d "a red boat" localhost:8080/invocations

        There is no page, and nothing can be changed. PORT or SAGEMAKER_BIND_TO_PORT sets the port, else it is 8080.
        """
        from ui.listen import leave
        from ui.logs import log_to_stderr
        from ui.start import run_serve

        with told():
            log_to_stderr(settings.log)
            run_serve(settings, join, open_place=stores.open_place if stores else None)
        leave()

    app.add_typer(collections_commands(settings, join, changing), name="collections")
    app.add_typer(user_commands(settings), name="user")
    app.add_typer(token_commands(settings), name="token")
    return app


def _places(values: list[str]) -> list[str]:
    """Whole paths, as the process that indexes them may be another one; addresses in S3 as they are."""
    places = []
    for value in values:
        path = Path(value).expanduser()
        if not value.startswith("s3://") and not (value and path.exists()):  # "" would be this very folder
            raise typer.BadParameter(f"Path '{value}' does not exist.")
        places.append(value if value.startswith("s3://") else str(path.resolve()))
    return places
