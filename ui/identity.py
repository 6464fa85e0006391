"""Who a request comes from, where there is a sign-in: the user of its session, or the token it bears."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.requests import cookie_parser

from ui.cookies import COOKIE, user_of
from ui.users import Users


@dataclass(frozen=True, slots=True)
class SignedIn:
    name: str
    role: str
    by: Literal["session", "token"]


def signed_in(headers: Mapping[str, str], users: Users, now_s: float) -> SignedIn | None:
    """`headers`: names in lower case. A token that is none is not made up for by a session."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = users.token(given.strip())
        return SignedIn(token.name, token.role, "token") if token else None
    user = user_of(users, cookie_parser(headers.get("cookie", "")).get(COOKIE, ""), now_s)
    return SignedIn(user.name, user.role, "session") if user else None
