"""`python app.py evaluate | int8`: what is asked of who judges a collection's answers; others judge them."""

import logging
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from settings import Settings
from ui.search_command import read_image
from ui.terminal import told

if TYPE_CHECKING:
    from ui.commands import Bundled
    from ui.start import Join


def add_evaluate(app: typer.Typer, settings: Settings, join: "Join", bundled: "Bundled") -> None:
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


def add_int8(app: typer.Typer, settings: Settings, join: "Join") -> None:
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
