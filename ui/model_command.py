"""`python app.py model`: what is here, a download that is asked for before it starts, and removing one."""

import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from search.errors import SearchError
from settings import Settings
from ui.terminal import live_line, plain, span, told

if TYPE_CHECKING:
    from search.model_downloads import Download
    from search.models import Models, ModelState
    from search.types import Holder
    from ui.start import Join

STOPPED_BY_CTRL_C = 130
_TOLD_EVERY_S = 0.25


class Failed(SearchError):
    """A download's own error, in its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def model_commands(
    settings: Settings,
    open_models: "Callable[[Settings], Models]",
    join: "Join",
    holder: "Callable[[], Holder | None]",
) -> typer.Typer:
    """`holder`: who has the data folder open for writing."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Fetch models, list and remove them.")

    @app.command()
    def fetch(
        name: Annotated[str, typer.Argument(help="architecture/pretrained, hf-hub:owner/name or onnx:owner/name.")],
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ) -> None:
        """Download a model: its size is shown and you are asked before anything comes.

        \b
        python app.py model fetch onnx:immich-app/ViT-B-32__laion2b-s34b-b79k
        python app.py model fetch ViT-B-32/laion2b_s34b_b79k --yes
        python app.py index ~/photos --collection photos --model ViT-B-32/laion2b_s34b_b79k

        It lies in the hub's usual cache (HF_HUB_CACHE), checked, and stays at the revision of the first download.
        Ctrl-C stops; the same command goes on from there. Names with onnx: need no torch.
        """
        logging.basicConfig(level=logging.ERROR)  # what fails is said once, in its sentence
        with told():
            models = open_models(settings)
            found = models.look_up(name)
            if found.note:
                typer.echo(found.note, err=True)
            if found.state != "needs_download":
                typer.echo(f'"{plain(name)}" is here.')
                return
            missing = found.missing_bytes or 0
            typer.echo(f'"{plain(name)}" from {found.where}, revision {found.revision[:12]}: {_size(missing)}')
            if missing and not yes:
                _ask(name)
            code = _follow(models, models.fetch(name))
        raise typer.Exit(code)

    @app.command("list")
    def list_models() -> None:
        """List the models that are here: name, state, size, revision, where from.

        \b
        python app.py model list
        """
        with told():
            models = open_models(settings)
            names = list(dict.fromkeys(("pocket", settings.model)))
            for state in [models.state(name) for name in names] + models.here(beside=names):
                typer.echo(_line(state))

    @app.command()
    def remove(
        name: Annotated[str, typer.Argument(help="As `model list` shows it.")],
    ) -> None:
        """Remove a model that was fetched, unless a collection was made with it.

        \b
        python app.py model remove onnx:immich-app/ViT-B-32__laion2b-s34b-b79k
        """
        from ui.changing import open_changing

        with told(), open_changing(settings, join, holder) as change:
            removed = change.remove_model(name)
            typer.echo(f'Removed "{plain(name)}": {_size(removed.freed_bytes)} are free.')
            if removed.kept_bytes:
                typer.echo(f"{_size(removed.kept_bytes)} stay in the hub's cache, where other programs may use them.")

    return app


def _ask(name: str) -> None:
    if not sys.stdin.isatty():
        raise Failed("not_agreed", f"Nothing was fetched: nobody can be asked here. Add --yes to fetch {plain(name)}.")
    typer.confirm("Download it?", default=True, abort=True)


def _follow(models: "Models", download: "Download") -> int:
    """Returns the exit code; Ctrl-C stops the download and waits for that. Raises: Failed."""
    with live_line() as show:
        while download.state == "running":
            try:
                show(progress_line(download))
                time.sleep(_TOLD_EVERY_S)
            except KeyboardInterrupt:
                models.downloads.cancel(download.name)
                models.downloads.wait()
            download = models.downloads.get(download.name)
    if download.state == "failed":
        raise Failed(download.error_code, download.error)
    if download.state == "cancelled":
        typer.echo("Stopped; what came is kept, and the same command goes on.")
        return STOPPED_BY_CTRL_C
    typer.echo(f'Here: "{plain(download.name)}", {_size(download.total_bytes)}, every file checked.')
    return 0


def progress_line(download: "Download") -> str:
    parts = [f"{_size(download.done_bytes)} of {_size(download.total_bytes)}"]
    if download.rate_bytes_per_s:
        parts.append(f"{_size(download.rate_bytes_per_s)}/s")
    if download.remaining_s is not None:
        parts.append(f"{span(download.remaining_s)} left")
    return " · ".join(parts)


def _line(state: "ModelState") -> str:
    said = {
        "ready": "ready",
        "needs_export": "here; its first use takes minutes",
        "needs_download": "not whole: fetch it again" if state.revision else "not here",
        "unknown": plain(state.note),
    }[state.state]
    parts = [plain(state.name), said]
    if state.total_bytes is not None:
        parts += [_size(state.total_bytes), f"revision {state.revision[:12]}", state.where]
    return "  ".join(parts)


def _size(size_bytes: float) -> str:
    if size_bytes < 1e6:
        return f"{size_bytes / 1e3:,.0f} kB"
    return f"{size_bytes / 1e6:,.0f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:,.2f} GB"
