from dataclasses import replace

import pytest

from ui.cookies import LASTS_S, session_of, user_of
from ui.passwords import NOBODYS
from ui.users import User, Users

NOW_S = 1_800_000_000.5
ADA = User("ada", "editor", NOBODYS)
USERS = Users(b"k" * 32, {"ada": ADA, "bob": User("bob", "viewer", NOBODYS)})
SESSION = session_of(USERS, ADA, NOW_S)


def test_a_session_is_known_until_it_ends() -> None:
    assert user_of(USERS, SESSION, NOW_S) == ADA
    assert user_of(USERS, SESSION, NOW_S + LASTS_S - 1) == ADA
    assert user_of(USERS, SESSION, NOW_S + LASTS_S) is None


def test_a_session_ends_with_the_password_or_the_user_or_the_key() -> None:
    other = replace(ADA, password=NOBODYS.replace("$3$", "$2$"))
    assert user_of(replace(USERS, users={"ada": other}), SESSION, NOW_S) is None
    assert user_of(replace(USERS, users={}), SESSION, NOW_S) is None
    assert user_of(replace(USERS, key=b"K" * 32), SESSION, NOW_S) is None


def test_another_role_counts_at_once() -> None:
    found = user_of(replace(USERS, users={"ada": replace(ADA, role="viewer")}), SESSION, NOW_S)
    assert found is not None
    assert found.role == "viewer"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "..",
        SESSION[:-1],
        SESSION.replace("YWRh", "Ym9i"),
        SESSION.replace("1800", "1900"),
        SESSION.replace("YWRh", "////"),
        SESSION.replace("YWRh", "_w=="),
        SESSION + "\n",
    ],
)
def test_what_is_forged_is_nobodys(value: str) -> None:
    assert value != SESSION
    assert user_of(USERS, value, NOW_S) is None
