"""Who may do what, decided from the address we listen on, the caller's address and headers; no sign-in yet.

Listening on loopback, the person at this machine may do everything, and other sites' pages in the same browser nothing.
Listening wider, everybody may search and nobody may change anything, but for the holder of the one-time token that
lies beside the data folder's lock.
"""

import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from search.errors import NotAllowed

TOKEN_HEADER = "x-sightline-token"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Caller:
    """A request as far as access goes; header names in lower case."""

    method: str
    address: str | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    host: str  # that we listen on
    token: str = ""  # of the data folder's lock; empty: nobody has one
    sources: Sequence[Path | str] = ()  # folders and addresses in S3 that who calls from elsewhere may have indexed

    @property
    def is_local(self) -> bool:
        return is_loopback(self.host)

    def check_reach(self, caller: Caller) -> None:
        """Refuses what another site's page sends through the browser of the person at this machine.

        Raises: NotAllowed.
        """
        if not self.is_local:
            return
        if not is_loopback(_host_name(caller.headers.get("host", ""))):
            raise NotAllowed(
                "This server only answers to localhost or 127.0.0.1 in the address; another name points here. "
                "Set SIGHTLINE_HOST to serve other machines."
            )
        if caller.method not in _SAFE_METHODS and not _is_same_site(caller.headers):
            raise NotAllowed("A page of another site sent this request; only this server's own page may.")

    def may_change(self, caller: Caller) -> bool:
        if self._has_token(caller):
            return True
        return (
            self.is_local
            and is_loopback(caller.address or "")
            and is_loopback(_host_name(caller.headers.get("host", "")))
            and not any(name in caller.headers for name in _FORWARDED)
            and _is_same_site(caller.headers)
        )

    def check_change(self, caller: Caller) -> None:
        """Raises: NotAllowed."""
        if not self.may_change(caller):
            raise NotAllowed(
                "Everybody may search here and nobody may change anything, because this server is reached from "
                "elsewhere and has no sign-in. On its own machine, `python app.py index PATH` adds images."
            )

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

    def _has_token(self, caller: Caller) -> bool:
        given = caller.headers.get(TOKEN_HEADER, "")
        return bool(self.token) and hmac.compare_digest(given.encode(), self.token.encode())


def caller_of(scope: Scope) -> Caller:
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
