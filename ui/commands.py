"""The shell: its commands joined, and `ui` and `serve`, which last until Ctrl-C; the others have files of their own.

An error is one sentence on stderr and exit code 1; a wrong option 2.
"""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from settings import Settings
from ui.adding_commands import add_import, add_index
from ui.collections_command import collections_commands
from ui.judging_commands import add_evaluate, add_int8
from ui.search_command import add_search
from ui.terminal import has_screen, open_streams, told
from ui.user_command import token_commands, user_commands

if TYPE_CHECKING:
    from search.types import Encoder, Holder
    from ui.changing import Changing
    from ui.start import Join
    from ui.stores import Stores


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
    open_streams()
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
    add_index(app, settings, join, changing, stores)
    add_import(app, settings, join, holder, stores)
    add_evaluate(app, settings, join, bundled)
    add_int8(app, settings, join)

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
