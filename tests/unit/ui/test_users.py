"""The users file: what is kept of users and tokens, what is refused, and that a damaged one opens nothing."""

import json
import logging
import re
from pathlib import Path

import pytest

from ui.passwords import NOBODYS
from ui.users import (
    BadUsers,
    User,
    Users,
    from_json,
    new_users,
    to_json,
    with_password,
    with_token,
    with_user,
    without_token,
    without_user,
)
from ui.users_file import UsersFile, changing, open_users, users_in

PASSWORD = "correct horse battery"


def some() -> Users:
    users, _ = with_token(new_users(), "nightly", "viewer")
    return Users(users.key, {"ada": User("ada", "editor", NOBODYS)}, users.tokens)


def test_what_is_kept_comes_back_and_holds_no_secret_of_a_user() -> None:
    users, token = with_token(with_user(new_users(), "Ada", "editor", PASSWORD), "nightly", "viewer")
    text = to_json(users)
    assert from_json(text, name="it") == users
    assert PASSWORD not in text
    assert token not in text


def test_a_name_is_the_same_in_capitals() -> None:
    assert some().user(" ADA ") == User("ada", "editor", NOBODYS)
    with pytest.raises(BadUsers, match='a user "ada" already'):
        with_user(some(), "ADA", "viewer", PASSWORD)


def test_a_token_is_256_random_bits_and_found_by_itself_only() -> None:
    users, token = with_token(some(), "other", "editor")
    assert re.fullmatch(r"sl_[A-Za-z0-9_-]{43}", token)
    found = users.token(token)
    assert found is not None
    assert (found.name, found.role) == ("other", "editor")
    assert users.token(token[:-1]) is None
    assert users.token("") is None
    assert without_token(users, "other").token(token) is None


@pytest.mark.parametrize("name", ["", ".ada", "a b", "a\nb", "ä", "x" * 65, '"', "a/b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadUsers, match="can't be a user's name"):
        with_user(new_users(), name, "viewer", PASSWORD)


def test_a_role_that_is_none_is_refused() -> None:
    with pytest.raises(BadUsers, match="roles are viewer and editor"):
        with_user(new_users(), "ada", "admin", PASSWORD)


def test_whom_there_is_not_can_not_be_changed() -> None:
    for change in (lambda: without_user(some(), "bob"), lambda: with_password(some(), "bob", PASSWORD)):
        with pytest.raises(BadUsers, match='There is no user "bob"'):
            change()


def damaged() -> dict[str, str]:
    sound = json.loads(to_json(some()))
    user, token = sound["users"][0], sound["tokens"][0]
    changes = {
        "another-version": {"version": 2},
        "short-key": {"key": "00"},
        "no-key": {"key": None},
        "twice": {"users": [user, user]},
        "no-hash": {"users": [{**user, "password": "secret"}]},
        "no-role": {"users": [{**user, "role": "admin"}]},
        "more": {"users": [{**user, "admin": True}]},
        "a-list": {"users": {"ada": user}},
        "no-text": {"users": [{**user, "name": 1}]},
        "role-list": {"users": [{**user, "role": []}]},
        "no-digest": {"tokens": [{**token, "sha256": "00"}]},
        "field": {"admins": []},
    }
    texts = {name: json.dumps({**sound, **change}) for name, change in changes.items()}
    return texts | {"empty": "", "cut": to_json(some())[:-20], "list": "[]", "number": "1", "deep": "[" * 100_000}


@pytest.mark.parametrize("text", damaged().values(), ids=damaged())
def test_what_is_damaged_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BadUsers, match=r"^it is damaged or no users file of Sightline, so nobody can sign in: .*\.$"):
        from_json(text, name="it")


def test_the_file_is_its_owners_alone_and_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    with changing(path) as keep:
        keep(some())
    assert path.stat().st_mode & 0o777 == 0o600
    file = UsersFile(path)
    assert set(file.now().users) == {"ada"}
    with changing(path) as keep:
        keep(without_user(users_in(path), "ada"))
    assert file.now().users == {}
    assert [entry.name for entry in tmp_path.iterdir()] == ["users.json"]


def test_a_file_that_is_damaged_or_gone_while_it_is_used_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    path.write_text(to_json(some()))
    now = open_users(str(path))
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(BadUsers, match="is damaged"):
            now()
    path.unlink()
    with pytest.raises(BadUsers, match="is not there"):
        now()
    path.write_text(to_json(some()))
    assert set(now().users) == {"ada"}


def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "users.json"
    path.write_text(to_json(some()))
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        open_users(str(path))
    assert "can be read by other users" in caplog.text


def test_the_setting_may_hold_the_users_themselves() -> None:
    assert set(open_users(to_json(some()))().users) == {"ada"}


def test_a_file_without_anybody_is_refused() -> None:
    with pytest.raises(BadUsers, match="Nobody could sign in"):
        open_users(to_json(new_users()))
