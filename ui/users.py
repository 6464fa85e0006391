"""Who may sign in: users, tokens and the key that signs sessions, as values and as the JSON that keeps them."""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from search.errors import SearchError
from ui.passwords import hash_of, is_hash

ROLES = ("viewer", "editor")
MOST = 1_000  # users, and tokens

_VERSION = 1
_KEY_BYTES = 32
_TOKEN_BYTES = 32  # so random that its plain SHA-256 can be kept
_TOKEN_PREFIX = "sl_"  # by which scanners for leaked secrets can know one
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")


class BadUsers(SearchError):
    """A users file that can't be used, or a change of it that can't be made."""

    code = "bad_users"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    role: str
    password: str = field(repr=False)  # its hash


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    role: str
    sha256: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Users:
    key: bytes = field(repr=False)
    users: Mapping[str, User] = field(default_factory=dict)  # by name
    tokens: Mapping[str, Token] = field(default_factory=dict)  # by name

    def user(self, name: str) -> User | None:
        return self.users.get(plain_name(name))

    def token(self, given: str) -> Token | None:
        """What is compared are hashes of random secrets, so how long that takes tells nothing."""
        wanted = _sha256(given)
        return next((token for token in self.tokens.values() if secrets.compare_digest(token.sha256, wanted)), None)


def new_users() -> Users:
    return Users(secrets.token_bytes(_KEY_BYTES))


def plain_name(name: str) -> str:
    """As it is kept: phones begin with a capital letter."""
    return name.strip().lower()


def with_user(users: Users, name: str, role: str, password: str) -> Users:
    """Raises: BadUsers, BadPassword."""
    name = _checked(name, role, users.users, "user")
    return replace(users, users={**users.users, name: User(name, role, hash_of(password))})


def with_password(users: Users, name: str, password: str) -> Users:
    """Raises: BadUsers, BadPassword."""
    name = _known(name, users.users, "user")
    return replace(users, users={**users.users, name: replace(users.users[name], password=hash_of(password))})


def without_user(users: Users, name: str) -> Users:
    """Raises: BadUsers."""
    name = _known(name, users.users, "user")
    return replace(users, users={known: user for known, user in users.users.items() if known != name})


def with_token(users: Users, name: str, role: str) -> tuple[Users, str]:
    """And the token itself, which is kept nowhere. Raises: BadUsers."""
    name = _checked(name, role, users.tokens, "token")
    token = _TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    return replace(users, tokens={**users.tokens, name: Token(name, role, _sha256(token))}), token


def without_token(users: Users, name: str) -> Users:
    """Raises: BadUsers."""
    name = _known(name, users.tokens, "token")
    return replace(users, tokens={known: token for known, token in users.tokens.items() if known != name})


def to_json(users: Users) -> str:
    kept = {
        "version": _VERSION,
        "key": users.key.hex(),
        "users": [{"name": u.name, "role": u.role, "password": u.password} for u in users.users.values()],
        "tokens": [{"name": t.name, "role": t.role, "sha256": t.sha256} for t in users.tokens.values()],
    }
    return json.dumps(kept, indent=1) + "\n"


def from_json(text: str, *, name: str) -> Users:
    """`name`: what the text is called in a message. Raises: BadUsers."""
    try:
        kept = json.loads(text)
        if set(kept) != {"version", "key", "users", "tokens"} or kept["version"] != _VERSION:
            raise ValueError("it is of another form")
        key = bytes.fromhex(kept["key"])
        if len(key) != _KEY_BYTES:
            raise ValueError("its key is not one")
        users, tokens = _users(kept["users"]), _tokens(kept["tokens"])
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise BadUsers(
            f"{name} is damaged or no users file of Sightline, so nobody can sign in: put a copy back, or move it away "
            "and add the users again."
        ) from error
    return Users(key, users, tokens)


def _users(entries: Iterable[dict[str, str]]) -> dict[str, User]:
    found: dict[str, User] = {}
    for entry in entries:
        user = User(**entry)
        if not (_is_sound(user.name, user.role, found) and is_hash(user.password)):
            raise ValueError("a user can't be read")
        found[user.name] = user
    return found


def _tokens(entries: Iterable[dict[str, str]]) -> dict[str, Token]:
    found: dict[str, Token] = {}
    for entry in entries:
        token = Token(**entry)
        if not (_is_sound(token.name, token.role, found) and _SHA256.fullmatch(token.sha256)):
            raise ValueError("a token can't be read")
        found[token.name] = token
    return found


def _is_sound(name: str, role: str, known: Mapping[str, object]) -> bool:
    return bool(_NAME.fullmatch(name)) and role in ROLES and name not in known and len(known) < MOST


def _checked(name: str, role: str, known: Mapping[str, object], kind: str) -> str:
    name = plain_name(name)
    if not _NAME.fullmatch(name):
        raise BadUsers(f"\"{name[:80]}\" can't be a {kind}'s name: use 1 to 64 letters, digits and . _ @ + -.")
    if role not in ROLES:
        raise BadUsers(f'"{role[:40]}" is no role; roles are {" and ".join(ROLES)}.')
    if name in known:
        raise BadUsers(f'There is a {kind} "{name}" already; remove it first, or choose another name.')
    if len(known) >= MOST:
        raise BadUsers(f"There are {MOST:,} {kind}s, the most that are kept: remove one first.")
    return name


def _known(name: str, known: Mapping[str, object], kind: str) -> str:
    if plain_name(name) not in known:
        raise BadUsers(f'There is no {kind} "{name[:80]}"; `{kind} list` shows those there are.')
    return plain_name(name)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
