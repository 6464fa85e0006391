"""The middleware that refuses strangers and puts the security headers on every answer; the rules are in access.py."""

from collections.abc import Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.errors import NotAllowed
from ui.access import Access, caller_of
from ui.api_errors import error_response


class Guard:
    def __init__(self, app: ASGIApp, *, access: Access, headers: Mapping[str, str]) -> None:
        self.app = app
        self._access = access
        self._headers = dict(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._access.check_reach(caller_of(scope))
        except NotAllowed as error:
            await error_response(error, scope)(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


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
