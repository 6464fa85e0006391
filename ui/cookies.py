"""The session in a browser's cookie: a signed name and time, so that any process with the users file knows it."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from ui.users import User, Users

COOKIE = "sightline_session"
LASTS_S = 12 * 3600

_FORM = re.compile(r"(\d{10,12})\.([A-Za-z0-9_-]{1,128}=*)\.([0-9a-f]{64})")


def session_of(users: Users, user: User, now_s: float) -> str:
    """The cookie's value. `now_s`: seconds since 1970."""
    ends_s = int(now_s) + LASTS_S
    return f"{ends_s}.{urlsafe_b64encode(user.name.encode()).decode()}.{_signature(users, user, ends_s)}"


def user_of(users: Users, value: str, now_s: float) -> User | None:
    """None where it has ended, is forged, or the user has gone or has another password since."""
    form = _FORM.fullmatch(value)
    if form is None or int(form[1]) <= now_s:
        return None
    try:
        name = urlsafe_b64decode(form[2]).decode()
    except ValueError:
        return None
    user = users.users.get(name)
    if user is None or not hmac.compare_digest(_signature(users, user, int(form[1])), form[3]):
        return None
    return user


def _signature(users: Users, user: User, ends_s: int) -> str:
    signed = f"session\0{ends_s}\0{user.name}\0{user.password}"
    return hmac.new(users.key, signed.encode(), hashlib.sha256).hexdigest()
