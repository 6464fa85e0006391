"""What stands before this server: whose word on the caller is believed, and the path that it is served under."""

import ipaddress
import logging
import re

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from settings import Proxies

log = logging.getLogger(__name__)

# What proxies say, and Gradio believes of anybody; "via" stays, as the mark that a request was passed on.
_SAID = ("forwarded", "x-forwarded-", "x-real-ip", "x-gradio-server", "x-original-host", "x-original-url")
_PASSED_ON = (b"via", b"1.1 proxy")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def route_path(scope: Scope) -> str:
    """The path below the one that the server is served under: what routes are named by."""
    root, path = scope.get("state", {}).get("served_under", ""), str(scope["path"])
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


class Behind:
    """ASGI middleware, to be the outermost: what comes after it sees the caller, the scheme and the host as they are.

    No proxy's word makes a caller one of this machine: what was passed on is marked so.
    """

    def __init__(self, app: ASGIApp, *, root_path: str = "", proxies: Proxies = 0) -> None:
        self.app = app
        self._root = root_path
        self._proxies = proxies
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = self._as_it_was(scope)
        if self._root:
            path = scope["path"]
            if path == self._root:
                query = scope["query_string"].decode("latin-1")
                to = f"{self._root}/{'?' if query else ''}{query}"
                await RedirectResponse(to, status_code=308)(scope, receive, send)
                return
            if not path.startswith(f"{self._root}/"):  # the proxy took it away, or only checks whether we are alive
                scope.update(path=self._root + path, raw_path=self._root.encode() + scope.get("raw_path", b""))
            scope.update({"root_path": self._root, "state": {**scope.get("state", {}), "served_under": self._root}})
        await self.app(scope, receive, send)

    def _as_it_was(self, scope: Scope) -> Scope:
        headers = scope["headers"]
        kept = [(name, value) for name, value in headers if not name.decode("latin-1").lower().startswith(_SAID)]
        if len(kept) == len(headers):
            return dict(scope)
        kept.append(_PASSED_ON)
        peer = _address(scope["client"][0]) if scope.get("client") else None
        if not self._is_believed(peer):
            if not self._has_warned:
                self._has_warned = True
                log.warning("a proxy at %s is not believed: SIGHTLINE_PROXIES names those that are", peer)
            return {**scope, "headers": kept}
        said = Headers(scope=scope)
        seen = {**scope, "headers": kept}
        if peer is not None and (client := self._client(peer, _entries(said, "x-forwarded-for"))) is not None:
            seen["client"] = (str(client), 0)
        if (scheme := (_entries(said, "x-forwarded-proto") or [""])[-1].lower()) in ("http", "https"):
            seen["scheme"] = scheme
        if _HOST.fullmatch(host := (_entries(said, "x-forwarded-host") or [""])[-1]):
            others = [(name, value) for name, value in kept if name != b"host"]
            if len(kept) - len(others) <= 1:  # two are left for the guard to refuse
                seen["headers"] = [*others, (b"host", host.encode())]
        return seen

    def _is_believed(self, peer: Address | None) -> bool:
        if isinstance(self._proxies, int):
            return self._proxies > 0
        return peer is not None and any(peer in network for network in self._proxies)

    def _client(self, peer: Address, said: list[str]) -> Address | None:
        """The last one that somebody believed has seen with their own eyes."""
        hops = [*(_address(hop) for hop in said), peer]
        if isinstance(self._proxies, int):
            return hops[max(0, len(hops) - 1 - self._proxies)]
        while len(hops) > 1 and self._is_believed(hops[-1]):
            hops.pop()
        return hops[-1]


def _entries(headers: Headers, name: str) -> list[str]:
    return [entry.strip() for value in headers.getlist(name) for entry in value.split(",") if entry.strip()]


def _address(text: str) -> Address | None:
    """Of `192.0.2.1`, `192.0.2.1:55555`, `[2001:db8::1]:55555`; an IPv4 address in IPv6's clothes is one of IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
