"""`python app.py collections`: which there are, a new one, one less."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, Annotated

import typer

from settings import Settings
from ui.terminal import plain, told

if TYPE_CHECKING:
    from ui.changing import Changing
    from ui.start import Join


def collections_commands(
    settings: Settings, join: "Join", changing: "Callable[[], AbstractContextManager[Changing]]"
) -> typer.Typer:
    collections = typer.Typer(no_args_is_help=False, rich_markup_mode=None)

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

    return collections
