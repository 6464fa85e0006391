"""`python app.py search`: a query from words and files, its hits as lines or as JSON."""

import json
import stat
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.errors import EmptyQuery, SourceError
from settings import Settings
from ui.terminal import plain, told
from ui.words_command import WordsCommand

if TYPE_CHECKING:
    from search.types import Answer, Query
    from ui.start import Join


def add_search(app: typer.Typer, settings: Settings, join: "Join") -> None:
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
        collection: Annotated[
            str | None, typer.Option("--collection", "-c", metavar="NAME", help="Without it: the default collection.")
        ] = None,
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
                _query(words or (), [read_image(path, max_bytes) for path in image or ()], minus or (), top_k)
            )
            typer.echo(_as_json(answer) if as_json else _as_lines(answer))


def _query(words: Sequence[str], images: Sequence[bytes], minus: Sequence[str], top_k: int) -> "Query":
    from search.query import MINUS_WEIGHT, parse_text
    from search.types import Part, Query

    asked = parse_text(" ".join(words)) if words else ()
    pictures = [Part(image=image) for image in images]
    subtracted = [Part(text=what, weight=MINUS_WEIGHT) for what in minus]
    if not asked and not pictures and not subtracted:
        raise EmptyQuery('Nothing to search for: give words, such as "a red boat", or a picture with --image.')
    return Query(parts=(*asked, *pictures, *subtracted), top_k=top_k)


def read_image(path: Path, max_bytes: int) -> bytes:
    """One byte more than the limit is enough for the decoder to refuse it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{path} can't be read: it is not a file.")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}.") from error


def _as_json(answer: "Answer") -> str:
    from ui.api_query import answer_json
    from ui.picture_urls import no_thumb_url

    return json.dumps(answer_json(answer, thumb_url=no_thumb_url), ensure_ascii=False, indent=2)


def _as_lines(answer: "Answer") -> str:
    lines = [
        f"{hit.rank:4}  {hit.score:+.3f}  {plain(hit.record.uri)}  {plain(hit.record.caption)}".rstrip()
        for hit in answer.hits
    ]
    if answer.weak:
        lines.insert(0, "Nothing here fits well; these come closest.")
    return "\n".join(lines) or f'Nothing is in the collection "{answer.collection}" that could be found.'
