"""Shows errors as pages to who opens an address in a browser; programs and the page's scripts get them as JSON."""

import json

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.behind import route_path
from ui.sign_in_page import POLICY, problem_page


class ProblemPages:
    """ASGI middleware: an error's JSON becomes a page where a GET prefers one; its status and other headers stay."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_navigation(scope):
            await self.app(scope, receive, send)
            return
        refused: Message | None = None
        body = bytearray()

        async def send_page(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and _is_error(message):
                refused = message
            elif refused is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _page(refused, bytes(body), to_root=_to_root(scope))(scope, receive, send)

        await self.app(scope, receive, send_page)


def _is_navigation(scope: Scope) -> bool:
    return scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")


def _is_error(start: Message) -> bool:
    is_json = Headers(raw=start["headers"]).get("content-type", "") == "application/json"
    return start["status"] >= 400 and is_json


def _page(start: Message, body: bytes, *, to_root: str) -> Response:
    status = start["status"]
    told = json.loads(body)
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict) or "message" not in error:  # a probe's own
        return Response(body, status, dict(Headers(raw=start["headers"])))
    page = HTMLResponse(
        problem_page(str(error["message"]), to_root=to_root, may_pass=status in (408, 429) or status >= 500),
        status,
        {"cache-control": "no-store", "content-security-policy": POLICY},
    )
    for name, value in Headers(raw=start["headers"]).items():
        page.headers.setdefault(name, value)
    return page


def _to_root(scope: Scope) -> str:
    """Relative, so that it holds whatever path we are served under."""
    return "../" * (route_path(scope).count("/") - 1)
