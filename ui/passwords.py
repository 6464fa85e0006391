"""Passwords as they are kept: what one may be, its scrypt hash with the parameters beside it, and comparing."""

import hashlib
import hmac
import re
import secrets
import unicodedata
from base64 import b64decode, b64encode

from search.errors import SearchError

# 32 MiB and a quarter of a second for each; one of the settings of equal strength that OWASP's Password Storage Cheat
# Sheet gives for scrypt, docs/decisions/0010-sign-in.md.
N, R, P = 2**15, 8, 3
_MOST_N, _MOST_R, _MOST_P = 2**18, 16, 16  # of a hash that was made elsewhere: what one comparison may cost
_SALT_BYTES = 16
_HASH_BYTES = 32

SHORTEST, LONGEST = 10, 200  # characters

_FORM = re.compile(r"scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]{22}==)\$([A-Za-z0-9+/]{43}=)")

# Compared with where there is no such user, so that the time taken does not tell; no password has this hash.
NOBODYS = f"scrypt${N}${R}${P}${b64encode(bytes(_SALT_BYTES)).decode()}${b64encode(bytes(_HASH_BYTES)).decode()}"


class BadPassword(SearchError):
    code = "bad_password"


def hash_of(password: str) -> str:
    """Raises: BadPassword."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadPassword(
            f"The password has {len(password):,} characters; give one of {SHORTEST} to {LONGEST}, such as four words."
        )
    salt = secrets.token_bytes(_SALT_BYTES)
    made = _scrypt(password, salt, N, R, P)
    return f"scrypt${N}${R}${P}${b64encode(salt).decode()}${b64encode(made).decode()}"


def is_hash(text: str) -> bool:
    """Whether it is one that can be compared with at a bounded cost."""
    form = _FORM.fullmatch(text)
    if not form:
        return False
    n, r, p = (int(number) for number in form.groups()[:3])
    return n > 1 and n & (n - 1) == 0 and n <= _MOST_N and 0 < r <= _MOST_R and 0 < p <= _MOST_P


def is_password(given: str, kept: str) -> bool:
    """`kept`: a hash; one that is none fits no password."""
    form = _FORM.fullmatch(kept)
    if form is None or not is_hash(kept) or len(given) > LONGEST:
        return False
    n, r, p = (int(number) for number in form.groups()[:3])
    made = _scrypt(given, b64decode(form[4]), n, r, p)
    return hmac.compare_digest(made, b64decode(form[5]))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    typed = unicodedata.normalize("NFC", password).encode("utf-8", "replace")  # keyboards differ in how they say "é"
    room_bytes = 128 * r * (n + p + 2) + 2**20
    return hashlib.scrypt(typed, salt=salt, n=n, r=r, p=p, maxmem=room_bytes, dklen=_HASH_BYTES)
