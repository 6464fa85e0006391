"""`user` and `token` as a person runs them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from settings import Settings
from ui.passwords import is_password
from ui.user_command import token_commands, user_commands
from ui.users_file import users_in

PASSWORD = "correct horse battery"

Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


@pytest.fixture
def run(path: Path) -> Run:
    settings = Settings(auth=str(path))
    apps = {"user": user_commands(settings), "token": token_commands(settings)}
    return lambda kind, *words, sent="": CliRunner().invoke(apps[kind], words, input=sent)


def test_a_user_is_added_listed_and_removed(run: Run, path: Path) -> None:
    added = run("user", "add", "Ada", "--role", "editor", "--password-stdin", sent=f"{PASSWORD}\n")
    assert (added.exit_code, added.output) == (0, '"ada" may sign in as editor.\n')
    assert is_password(PASSWORD, users_in(path).users["ada"].password)
    assert run("user", "list").output == "ada  editor\n"
    assert run("user", "remove", "ADA").output == '"ada" can no longer sign in.\n'
    assert run("user", "list").output == ""


def test_a_password_is_asked_for_twice_and_not_shown(run: Run, path: Path) -> None:
    added = run("user", "add", "ada", "--role", "viewer", sent=f"{PASSWORD}\n{PASSWORD}x\n{PASSWORD}\n{PASSWORD}\n")
    assert added.exit_code == 0
    assert added.output.count("The same again") == 2
    assert PASSWORD not in added.output
    changed = run("user", "password", "ada", "--password-stdin", sent="another horse battery\n")
    assert changed.output == '"ada" has another password.\n'
    assert is_password("another horse battery", users_in(path).users["ada"].password)


def test_what_can_not_be_done_is_said_in_one_sentence_and_changes_nothing(run: Run, path: Path) -> None:
    refused = run("user", "add", "ada", "--role", "viewer", "--password-stdin", sent="short\n")
    assert (refused.exit_code, refused.output) == (
        1,
        "The password has 5 characters; give one of 10 to 200, such as four words.\n",
    )
    assert not path.exists()
    assert run("user", "add", "ada", "--role", "admin").exit_code == 2


def test_a_token_is_printed_once_and_only_its_hash_is_kept(run: Run, path: Path) -> None:
    token = run("token", "add", "nightly", "--role", "viewer").output.strip()
    assert token not in path.read_text()
    found = users_in(path).token(token)
    assert found is not None
    assert (found.name, found.role) == ("nightly", "viewer")
    assert run("token", "list").output == "nightly  viewer\n"
    assert run("token", "remove", "nightly").output == 'The token "nightly" opens nothing any more.\n'
    assert users_in(path).token(token) is None


@pytest.mark.parametrize("auth", ["", '{"version": 1}'])
def test_which_file_is_meant_must_be_said(auth: str) -> None:
    refused = CliRunner().invoke(user_commands(Settings(auth=auth)), ["list"])
    assert refused.exit_code == 1
    assert "SIGHTLINE_AUTH" in refused.output


def test_a_users_file_in_a_folder_that_is_not_there_is_said_to_need_that_folder(tmp_path: Path) -> None:
    path = tmp_path / "nope" / "users.json"
    app = user_commands(Settings(auth=str(path)))
    refused = CliRunner().invoke(app, ["add", "ada", "--role", "viewer", "--password-stdin"], input=f"{PASSWORD}\n")
    said = f"{path} can't be written: {path.parent}: No such file or directory.\n"
    assert (refused.exit_code, refused.output) == (1, said)
