"""`evaluate` in a shell: labels read, progress shown, the report printed, kept, and written where it is wanted."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from search.comparison import Comparison
from search.errors import BadQuery, DiskFull, SourceError, StoreUnavailable
from search.evaluate import evaluate
from search.labels import MOST_BYTES, read_labels
from search.report import Report, to_json
from search.workspace import Workspace
from ui.report_text import as_text

STOPPED_BY_CTRL_C = 130
_TOLD_EVERY_S = 0.25

ReadFile = Callable[[Path, int], bytes]


def run_evaluate(
    workspace: Workspace,
    *,
    collection: str,
    queries: Path,
    by: Sequence[str],
    read_file: ReadFile,
    max_image_bytes: int,
    exact_up_to: int,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Raises: SourceError, BadQuery, CollectionError, ModelError."""
    for path in (json_file, html_file):
        if path is not None and not path.absolute().parent.is_dir():
            raise SourceError(f"{path} can't be written: there is no folder {path.parent}.")
    engine = workspace.engine(collection)
    labels = read_labels(read_file(queries, MOST_BYTES), name=str(queries), with_images=True)

    def read_image(name: str) -> bytes:
        path = queries.parent / name
        try:
            return read_file(path, max_image_bytes)
        except SourceError as error:  # the report is kept and shown on the page, where this machine's folders are not
            raise SourceError(str(error).replace(str(path), name)) from error

    with _Line() as line:
        report = evaluate(engine, labels, by=by or None, read_image=read_image, tell=line.tell)
    assert report is not None  # nothing cancels it here
    comparison = _kept(report, workspace)
    typer.echo(as_text(report, comparison))
    if report.via == "exact" and report.size > exact_up_to:
        typer.echo("The index was not asked here; the page's Quality tab judges it.", err=True)
    if json_file:
        _write(json_file, json.dumps(to_json(report), ensure_ascii=False, indent=1))
    if html_file:
        from ui.report_page import page

        _write(html_file, page(report, comparison, collection=engine.collection, decoder=workspace.decoder))


def queries_for(collection: str | None, queries: Path | None, *, bundled: tuple[str, Path]) -> tuple[str, Path]:
    """The collection to judge and what to ask it. Raises: BadQuery."""
    name, own = bundled
    if queries is not None and collection is None:
        raise BadQuery(f"Which collection is to be asked? For example: evaluate photos --queries {queries.name}")
    if queries is None and collection not in (None, name):
        raise BadQuery(
            f'The bundled queries are only for "{name}": name a file of queries for "{collection}", such as '
            "--queries my-queries.csv."
        )
    return collection or name, queries or own


def _kept(report: Report, workspace: Workspace) -> Comparison | None:
    """A report that can't be kept is still worth printing."""
    if workspace.evaluations is None:
        return None
    try:
        workspace.evaluations.reports.keep(report)
    except (DiskFull, StoreUnavailable) as error:
        typer.echo(str(error), err=True)
    return workspace.evaluations.reports.compared(report)


class _Line:
    """The progress line of a terminal, taken away at the end."""

    def __init__(self) -> None:
        self._is_terminal, self._told_at = sys.stderr.isatty(), 0.0

    def tell(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._is_terminal and now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            typer.echo(f"\r\x1b[K{done:,} of {total:,} queries asked", nl=False, err=True)

    def __enter__(self) -> "_Line":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._is_terminal:
            typer.echo("\r\x1b[K", nl=False, err=True)
        if kind is KeyboardInterrupt:
            raise typer.Exit(STOPPED_BY_CTRL_C)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{path} can't be written: {error.strerror}.") from error
    typer.echo(f"Wrote {path}.", err=True)
