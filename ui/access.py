"""Who may do what, decided from who is signed in, the address we listen on, the caller's address and headers.

Where there is a users file, viewers look and editors change. Where there is none and we listen on loopback, the person
at this machine may do everything, and other sites' pages in the same browser nothing; listening wider, everybody may
search and nobody may change anything. Whoever has the one-time token that lies beside the data folder's lock may do
everything anywhere.
"""

import hmac
import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from search.errors import NotAllowed, NotSignedIn
from ui.identity import SignedIn, signed_in
from ui.users import Users

TOKEN_HEADER = "x-sightline-token"

EDITOR = "editor"

# What needs no sign-in: whether it is alive, and the page that signs in.
OPEN = frozenset({"/healthz", "/ping", "/sign-in", "/page/sign_in.css", "/page/tokens.css", "/page/icon.svg"})

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Caller:
    """A request as far as access goes; header names in lower case."""

    method: str
    address: str | None
    headers: Mapping[str, str]
    signed_in: SignedIn | None = None


@dataclass(frozen=True, slots=True)
class Access:
    host: str  # that we listen on
    token: str = ""  # of the data folder's lock; empty: nobody has one
    sources: Sequence[Path | str] = ()  # folders and addresses in S3 that who calls from elsewhere may have indexed
    users: Callable[[], Users] | None = None  # who may sign in; None: there is no sign-in
    origins: Sequence[str] = ()  # of other sites, whose pages may ask the API
    is_behind_proxy: bool = False  # whose word on the host is believed

    @property
    def is_local(self) -> bool:
        return is_loopback(self.host)

    def check_reach(self, caller: Caller) -> None:
        """Refuses what another site's page sends through the browser of the person at this machine.

        Raises: NotAllowed.
        """
        if self.is_local and not (self.is_behind_proxy and "via" in caller.headers):
            if not is_loopback(_host_name(caller.headers.get("host", ""))):
                raise NotAllowed(
                    "This server only answers to localhost or 127.0.0.1 in the address; another name points here. "
                    "Set SIGHTLINE_HOST to serve other machines."
                )
            if caller.headers.get("origin") not in self.origins:
                check_same_site(caller)
        if caller.signed_in is not None and caller.signed_in.by == "session":
            check_same_site(caller)

    def identified(self, caller: Caller) -> Caller:
        """Raises: BadUsers."""
        if self.users is None:
            return caller
        return replace(caller, signed_in=signed_in(caller.headers, self.users(), time.time()))

    def check_signed_in(self, caller: Caller, path: str) -> None:
        """Raises: NotSignedIn."""
        if self.users is not None and caller.signed_in is None and path not in OPEN and not self.has_token(caller):
            raise NotSignedIn(
                "Sign in first: at /sign-in with a browser, or with the header Authorization: Bearer and a token."
            )

    def may_change(self, caller: Caller) -> bool:
        if self.has_token(caller):
            return True
        if self.users is not None:
            return caller.signed_in is not None and caller.signed_in.role == EDITOR
        return (
            self.is_local
            and is_loopback(caller.address or "")
            and is_loopback(_host_name(caller.headers.get("host", "")))
            and not any(name in caller.headers for name in _FORWARDED)
            and _is_same_site(caller.headers)
        )

    def why_not(self, caller: Caller) -> str | None:
        """Why the caller may not change anything, or None who may."""
        if self.may_change(caller):
            return None
        if self.users is not None and caller.signed_in is not None:
            return (
                f"You are signed in as {caller.signed_in.name}, a viewer: you can search and look, and editors can "
                "change things."
            )
        return (
            "Everybody may search here and nobody may change anything, because this server is reached from "
            "elsewhere and has no sign-in. On its own machine, `python app.py index PATH` adds images."
        )

    def check_change(self, caller: Caller) -> None:
        """Raises: NotAllowed."""
        if (why := self.why_not(caller)) is not None:
            raise NotAllowed(why)

    def may_name_path(self, caller: Caller, path: Path) -> bool:
        """Whether the caller may have a file or folder of this machine indexed in place."""
        if not self.may_change(caller):
            return False
        if self._is_here(caller):
            return True
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError):  # links that lead round in a circle
            return False
        return any(resolved.is_relative_to(source.resolve()) for source in self.sources if isinstance(source, Path))

    def may_name_address(self, caller: Caller, address: str) -> bool:
        """Whether the caller may have what is there in S3 indexed with this server's credentials."""
        if not self.may_change(caller):
            return False
        places = [source.rstrip("/") for source in self.sources if isinstance(source, str)]
        return self._is_here(caller) or any(f"{address}/".startswith(f"{place}/") for place in places)

    def _is_here(self, caller: Caller) -> bool:
        """Whether the request was made on this machine, where its sender can read the files anyway."""
        address = caller.address or ""
        return (is_loopback(address) or address == self.host) and not any(name in caller.headers for name in _FORWARDED)

    def has_token(self, caller: Caller) -> bool:
        given = caller.headers.get(TOKEN_HEADER, "")
        return bool(self.token) and hmac.compare_digest(given.encode(), self.token.encode())


def check_same_site(caller: Caller) -> None:
    """Raises: NotAllowed for what another site's page sends and would change something."""
    if caller.method not in _SAFE_METHODS and not _is_same_site(caller.headers):
        raise NotAllowed("A page of another site sent this request; only this server's own page may.")


def caller_of(scope: Scope) -> Caller:
    """The one that the guard has identified, where it has."""
    known = scope.get("state", {}).get("caller")
    if isinstance(known, Caller):
        return known
    client = scope.get("client")
    return Caller(
        method=scope.get("method", "GET"), address=client[0] if client else None, headers=Headers(scope=scope)
    )


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    """`localhost` of `localhost:7860`, `::1` of `[::1]:7860`; empty where it is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_same_site(headers: Mapping[str, str]) -> bool:
    """Whether the request came from this server's own page, or from no page at all (a program sends no Origin)."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host", "")
