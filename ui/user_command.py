"""`python app.py user` and `token`: who may sign in, kept in the users file that SIGHTLINE_AUTH names."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from settings import Settings
from ui.terminal import plain, told
from ui.users import BadUsers, Users, with_password, with_token, with_user, without_token, without_user
from ui.users_file import changing, users_in


class Role(StrEnum):
    viewer = "viewer"
    editor = "editor"


RoleOption = Annotated[Role, typer.Option("--role", help="viewer: search and look. editor: change things too.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")]


def user_commands(settings: Settings) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may sign in to the page.")

    @app.command()
    def add(name: str, role: RoleOption, password_stdin: FromStdin = False) -> None:
        """Add a user; the password is asked for twice.

        \b
        SIGHTLINE_AUTH=users.json python app.py user add ada --role editor
        pass show sightline | python app.py user add ada --role viewer --password-stdin
        """
        with told():
            _change(settings, lambda users: with_user(users, name, role.value, _password(password_stdin)))
            typer.echo(f'"{plain(name.strip().lower())}" may sign in as {role.value}.')

    @app.command(name="list")
    def list_users() -> None:
        """List the users and their roles."""
        with told():
            for user in _users(settings).users.values():
                typer.echo(f"{user.name}  {user.role}")

    @app.command()
    def remove(name: str) -> None:
        """Remove a user; whoever is signed in under that name no longer is."""
        with told():
            _change(settings, lambda users: without_user(users, name))
            typer.echo(f'"{plain(name.strip().lower())}" can no longer sign in.')

    @app.command()
    def password(name: str, password_stdin: FromStdin = False) -> None:
        """Change a user's password; whoever is signed in under that name must sign in again."""
        with told():
            _change(settings, lambda users: with_password(users, name, _password(password_stdin)))
            typer.echo(f'"{plain(name.strip().lower())}" has another password.')

    return app


def token_commands(settings: Settings) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Tokens by which programs sign in.")

    @app.command()
    def add(name: str, role: RoleOption) -> None:
        """Make a token and print it, once: only its hash is kept.

        \b
        TOKEN=$(python app.py token add nightly --role viewer)
        curl -H "Authorization: Bearer $TOKEN" -d "a red boat" -H "Content-Type: text/plain" localhost:7860/api/search
        """
        with told():
            made = ""

            def change(users: Users) -> Users:
                nonlocal made
                changed, made = with_token(users, name, role.value)
                return changed

            _change(settings, change)
            typer.echo(made)

    @app.command(name="list")
    def list_tokens() -> None:
        """List the tokens' names and roles."""
        with told():
            for token in _users(settings).tokens.values():
                typer.echo(f"{token.name}  {token.role}")

    @app.command()
    def remove(name: str) -> None:
        """Remove a token; it opens nothing from then on."""
        with told():
            _change(settings, lambda users: without_token(users, name))
            typer.echo(f'The token "{plain(name.strip().lower())}" opens nothing any more.')

    return app


def _change(settings: Settings, change: Callable[[Users], Users]) -> None:
    path = _path(settings)
    with changing(path) as keep:
        keep(change(users_in(path)))


def _users(settings: Settings) -> Users:
    return users_in(_path(settings))


def _path(settings: Settings) -> Path:
    if not settings.auth:
        raise BadUsers("Say which users file is meant: set SIGHTLINE_AUTH to its path, such as ~/sightline-users.json.")
    if settings.auth.startswith("{"):
        raise BadUsers("SIGHTLINE_AUTH holds the users themselves here: set it to a file's path to change that file.")
    return Path(settings.auth).expanduser()


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt="The same again"))
