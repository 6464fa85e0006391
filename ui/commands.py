"""The shell: `python app.py search | index | collections | evaluate | int8 | ui | serve`; what is asked and printed.

An error is one sentence on stderr and exit code 1; a wrong option 2.
"""

import json
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.errors import EmptyQuery, SearchError, SourceError
from settings import Settings
from ui.terminal import has_screen, plain
from ui.user_command import token_commands, user_commands
from ui.words_command import WordsCommand

if TYPE_CHECKING:
    from search.types import Answer, Encoder, Holder, Query
    from ui.changing import Changing
    from ui.start import Join
    from ui.stores import Stores


OWN_COLLECTION = "images"  # that `index` adds to where none is named: the bundled gallery can't be changed

CollectionOption = Annotated[
    str | None, typer.Option("--collection", "-c", metavar="NAME", help="Without it: the default collection.")
]


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

    @app.command(cls=WordsCommand)
    def search(
        words: Annotated[
            list[str] | None, typer.Argument(help='What to look for; "-word" and "without X" subtract.')
        ] = None,
        image: Annotated[
            list[Path] | None, typer.Option(metavar="FILE", help="A picture to look like; can be given again.")
        ] = None,
        minus: Annotated[
            list[str] | None, typer.Option(metavar="TEXT", help="What not to find; can be given again.")
        ] = None,
        top_k: Annotated[int, typer.Option(min=1, max=1000, help="How many hits.")] = 5,
        collection: CollectionOption = None,
        as_json: Annotated[bool, typer.Option("--json", help="The answer as POST /api/search gives it.")] = False,
    ) -> None:
        """Find images by words, by example, or by both.

        \b
        python app.py search "a red boat"
        python app.py search "a boat" -people --top-k 20
        python app.py search "a boat" --minus "two people"
        python app.py search "at night" --image holiday.jpg --json
        """
        max_bytes = settings.max_image_mb * 2**20
        with told(), closing(join(settings, write=False)) as workspace:
            answer = workspace.engine(collection).search(
                _query(words or (), [_read(path, max_bytes) for path in image or ()], minus or (), top_k)
            )
            typer.echo(_as_json(answer) if as_json else _as_lines(answer))

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
                read_file=_read,
                max_image_bytes=settings.max_image_mb * 2**20,
                exact_up_to=settings.exact_up_to,
                json_file=json_file,
                html_file=html_file,
            )
            if collection is None:
                typer.echo(f"\n{bundled.card(workspace.engine(name).encoder)}")

    collections = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
    app.add_typer(collections, name="collections")

    @collections.callback(invoke_without_command=True)
    def list_collections(context: typer.Context) -> None:
        """List the collections, make one, delete one.

        \b
        python app.py collections
        python app.py collections create photos --model ~/models/ViT-B-32
        python app.py collections delete photos

        A collection belongs to the model that it is made with.
        """
        if context.invoked_subcommand is None:
            with told(), closing(join(settings, write=False)) as workspace:
                for summary in workspace.collections():
                    about = f"  {plain(summary.info.description)}" if summary.info.description else ""
                    typer.echo(f"{summary.info.name}  {summary.count:,} images, {summary.info.model}{about}")

    @collections.command()
    def create(
        name: Annotated[str, typer.Argument(help="Letters, digits, spaces, _ . and -.")],
        model: Annotated[str | None, typer.Option(help="Without it: the model that is set.")] = None,
        description: Annotated[str, typer.Option(help="What it is for.")] = "",
    ) -> None:
        """Make an empty collection for one model.

        \b
        python app.py collections create photos --model ~/models/ViT-B-32
        """
        with told(), changing() as change:
            change.create(name, model=model or settings.model, description=description)
            typer.echo(f'Made "{name}" for the model {model or settings.model}.')

    @collections.command()
    def delete(
        name: str,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ) -> None:
        """Delete a collection; images that are indexed in place stay where they are.

        \b
        python app.py collections delete photos
        """
        if not yes:
            typer.confirm(f'Delete the collection "{name}" and what is known of its images?', abort=True)
        with told(), changing() as change:
            change.delete(name)
            typer.echo(f'Deleted "{name}".')

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

    app.add_typer(user_commands(settings, told), name="user")
    app.add_typer(token_commands(settings, told), name="token")
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


@contextmanager
def told() -> Iterator[None]:
    """An error meant for a person becomes one sentence on stderr and exit code 1."""
    try:
        yield
    except SearchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _query(words: Sequence[str], images: Sequence[bytes], minus: Sequence[str], top_k: int) -> "Query":
    from search.query import MINUS_WEIGHT, parse_text
    from search.types import Part, Query

    asked = parse_text(" ".join(words)) if words else ()
    pictures = [Part(image=image) for image in images]
    subtracted = [Part(text=what, weight=MINUS_WEIGHT) for what in minus]
    if not asked and not pictures and not subtracted:
        raise EmptyQuery('Nothing to search for: give words, such as "a red boat", or a picture with --image.')
    return Query(parts=(*asked, *pictures, *subtracted), top_k=top_k)


def _read(path: Path, max_bytes: int) -> bytes:
    """One byte more than the limit is enough for the decoder to refuse it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{path} can't be read: it is not a file.")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error


def _as_json(answer: "Answer") -> str:
    from ui.api_query import answer_json, no_thumb_url

    return json.dumps(answer_json(answer, thumb_url=no_thumb_url), ensure_ascii=False, indent=2)


def _as_lines(answer: "Answer") -> str:
    lines = [
        f"{hit.rank:4}  {hit.score:+.3f}  {plain(hit.record.uri)}  {plain(hit.record.caption)}".rstrip()
        for hit in answer.hits
    ]
    if answer.weak:
        lines.insert(0, "Nothing here fits well; these come closest.")
    return "\n".join(lines) or f'Nothing is in the collection "{answer.collection}" that could be found.'
