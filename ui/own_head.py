"""Gives the page our own head in place of Gradio's; what is in it, theme.py says."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.behind import route_path


class OwnHead:
    """ASGI middleware: rewrites the HTML at `/`, and touches nothing else."""

    def __init__(self, app: ASGIApp, *, rewrite: Callable[[str], str]) -> None:
        self.app = app
        self._rewrite = rewrite

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or route_path(scope) != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        start: Message = {}
        body = bytearray()

        async def send_rewritten(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            headers = MutableHeaders(scope=start)
            sent = bytes(body)
            if headers.get("content-type", "").startswith("text/html"):
                sent = self._rewrite(sent.decode()).encode()
                headers["content-length"] = str(len(sent))
            await send(start)
            await send({"type": "http.response.body", "body": sent})

        await self.app({**scope, "headers": plain}, receive, send_rewritten)
