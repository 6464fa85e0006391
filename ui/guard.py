"""The middlewares that refuse strangers and callers in a hurry, and put the security headers on every answer.

The rules are in access.py and rate.py.
"""

import logging
import math
from collections.abc import Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.errors import NotSignedIn, SearchError
from ui.access import Access, Caller, caller_of
from ui.api_errors import BadRequest, SignInUnavailable, error_response
from ui.api_sign_in import sign_in_address
from ui.behind import route_path
from ui.rate import Rate, TooMany, network_of
from ui.users import BadUsers

log = logging.getLogger(__name__)

# Many of them make one view of the page, and each costs next to nothing.
UNCOUNTED = ("/thumb/", "/page/", "/assets/", "/static/", "/svelte/", "/theme.css", "/favicon.ico", "/ping", "/healthz")
_FILES = ("/page/", "/assets/", "/static/", "/svelte/")


class Guard:
    def __init__(self, app: ASGIApp, *, access: Access, rate: Rate | None = None, root_path: str = "") -> None:
        self.app = app
        self._access = access
        self._rate = rate
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # none is spoken here
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["caller"] = self._let_in(scope)
        except NotSignedIn as error:
            request = Request(scope)
            if "text/html" in request.headers.get("accept", ""):
                answer = RedirectResponse(sign_in_address(request, self._root_path), status_code=303)
                await answer(scope, receive, send)
            else:
                await error_response(error, scope)(scope, receive, send)
        except SearchError as error:
            await error_response(error, scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _let_in(self, scope: Scope) -> Caller:
        """Raises: BadRequest, NotAllowed, NotSignedIn, TooMany, SignInUnavailable."""
        hosts = sum(name == b"host" for name, _ in scope["headers"])
        if hosts > 1:  # a proxy may have checked another one than we would
            raise BadRequest(f"The request has {hosts} Host headers; send one.")
        path = route_path(scope)
        try:
            caller = self._access.identified(caller_of(scope))
        except BadUsers as error:
            if path in ("/ping", "/healthz"):
                return caller_of(scope)
            log.error("nobody can sign in: %s", error)
            raise SignInUnavailable("Nobody can sign in at the moment; this server's log says why.") from error
        self._access.check_reach(caller)
        if self._rate is not None and not path.startswith(UNCOUNTED) and not self._access.has_token(caller):
            _check(self._rate, caller)  # first: who has not signed in must not ask without end
        self._access.check_signed_in(caller, path)
        return caller


class SafeHeaders:
    """On every answer that has none of its own; over TLS, and only there, that TLS it stays."""

    def __init__(self, app: ASGIApp, *, headers: Mapping[str, str], is_private: bool = False) -> None:
        self.app = app
        self._headers = dict(headers)
        self._is_private = is_private

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope.get("scheme") == "https":
                    headers.setdefault("strict-transport-security", "max-age=31536000")
                if self._is_private and not route_path(scope).startswith(_FILES):
                    headers.setdefault("cache-control", "private, no-cache")
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _check(rate: Rate, caller: Caller) -> None:
    """Raises: TooMany."""
    who = caller.signed_in
    wait_s = rate.take(f"{who.by} {who.name}" if who else network_of(caller.address))
    if wait_s:
        raise TooMany(
            f"More than {rate.per_minute:,} requests in a minute came from you: try again in {math.ceil(wait_s)} s.",
            retry_after_s=math.ceil(wait_s),
        )


def security_headers(*, embedded_by: Sequence[str] = ()) -> dict[str, str]:
    """`embedded_by`: origins that may show the page in a frame, such as a Space's host.

    Gradio's page needs inline scripts and eval, so the policy limits where data can go; escaping is what keeps
    hostile names from running.
    """
    policy = (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        " ".join(("frame-ancestors 'self'", *embedded_by)),
    )
    return {
        "content-security-policy": "; ".join(policy),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }
