"""Who reaches what, where there is a sign-in: every route of the app and every event of the page is on a list here."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message

from search.encoders.hub import Hub
from search.models import Models
from tests.contract.served import open_workspace
from ui.access import TOKEN_HEADER, Access
from ui.handlers import READING
from ui.readiness import Readiness
from ui.server import make_app
from ui.service import Limits, make_service
from ui.users import new_users, with_token

OPEN = {
    "GET /healthz",
    "GET /ping",
    "GET /sign-in",
    "POST /sign-in",
}
LOOK = {
    "GET /",
    "GET /docs",
    "GET /metrics",
    "GET /openapi.json",
    "GET /page",
    "POST /sign-out",
    "GET /api/me",
    "POST /api/search",
    "POST /api/embed",
    "POST /api/query-images",
    "POST /api/marks",
    "GET /thumb/{id}",
    "GET /image/{id}",
    "POST /api/export.csv",
    "POST /api/export.zip",
    "GET /api/collections",
    "GET /api/collections/{name}",
    "GET /api/models",
    "GET /api/jobs",
    "GET /api/jobs/{id}",
    "GET /api/evaluate",
    "GET /api/evaluate/{id}",
    "GET /api/report.json",
    "GET /api/report.csv",
    "GET /api/report.html",
}
CHANGE = {
    "POST /api/collections",
    "DELETE /api/collections/{name}",
    "POST /api/models",
    "DELETE /api/models",
    "POST /api/models/speed",
    "POST /api/models/remove",
    "POST /api/makings",
    "DELETE /api/makings/{name}",
    "POST /api/images",
    "POST /api/jobs",
    "DELETE /api/jobs/{id}",
    "POST /api/jobs/{id}/resume",
    "POST /api/evaluate",
    "DELETE /api/evaluate/{id}",
}
# Gradio's own: the page's files, its events (all of which read), the protocol of agents.
GRADIOS = {
    "GET /assets/{path:path}",
    "GET /config",
    "GET /favicon.ico",
    "GET /gradio_api/app_id",
    "GET /gradio_api/call/v2/{api_name}/{event_id}",
    "GET /gradio_api/call/{api_name}/{event_id}",
    "GET /gradio_api/deep_link",
    "GET /gradio_api/heartbeat/{session_hash}",
    "GET /gradio_api/info",
    "GET /gradio_api/login_check",
    "GET /gradio_api/mcp",
    "GET /gradio_api/mcp/messages",
    "GET /gradio_api/mcp/schema",
    "GET /gradio_api/mcp/sse",
    "GET /gradio_api/openapi.json",
    "GET /gradio_api/queue/data",
    "GET /gradio_api/queue/status",
    "GET /gradio_api/runs",
    "GET /gradio_api/startup-events",
    "GET /gradio_api/theme.css",
    "GET /gradio_api/token",
    "GET /gradio_api/user",
    "GET /manifest.json",
    "GET /pwa_icon",
    "GET /pwa_icon/{size}",
    "GET /robots.txt",
    "GET /static/{path:path}",
    "GET /svelte/{path:path}",
    "GET /theme.css",
    "POST /gradio_api/api/{api_name}",
    "POST /gradio_api/call/v2/{api_name}",
    "POST /gradio_api/call/{api_name}",
    "POST /gradio_api/cancel",
    "POST /gradio_api/component_server",
    "POST /gradio_api/queue/join",
    "POST /gradio_api/reset",
    "POST /gradio_api/run/{api_name}",
    "POST /login",
}
# What Gradio has and nobody may have.
SHUT = {
    "GET /gradio_api/custom_component/{id}/{environment}/{type}/{file_name}",
    "GET /gradio_api/dev/reload",
    "GET /gradio_api/file/{path:path}",
    "GET /gradio_api/file={path_or_url:path}",
    "GET /gradio_api/proxy={url_path:path}",
    "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
    "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
    "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
    "GET /gradio_api/upload_progress",
    "GET /gradio_api/vibe-code",
    "GET /logout",
    "GET /monitoring",
    "GET /monitoring/summary",
    "GET /monitoring/{key}",
    "POST /gradio_api/process_recording",
    "POST /gradio_api/stream/{event_id}",
    "POST /gradio_api/stream/{event_id}/close",
    "POST /gradio_api/undo-vibe-edit",
    "POST /gradio_api/upload",
    "POST /gradio_api/vibe-code",
    "POST /gradio_api/vibe-edit",
    "POST /gradio_api/vibe-starter-queries",
}
OPEN_FILES = {"GET /page/tokens.css", "GET /page/sign_in.css", "GET /page/icon.svg"}
OTHER_FILES = {"GET /page/page.css", "GET /page/session.js", "GET /page/../page.py"}

NO = (401, 403)
QUERY = b"collection=colours&model=nothing"
ADDRESSES = sorted(OPEN | LOOK | CHANGE | GRADIOS | SHUT | OPEN_FILES | OTHER_FILES)


def addresses(routes: Sequence[BaseRoute], at: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            inner: Any = route.app
            while not hasattr(inner, "routes") and hasattr(inner, "app"):
                inner = inner.app  # a middleware around an app
            yield from addresses(getattr(inner, "routes", []), at + route.path)
            if not getattr(inner, "routes", []):
                yield f"GET {at}{route.path}"
        elif hasattr(route, "original_router"):  # FastAPI's form of included routes
            assert route.include_context.prefix == ""
            yield from addresses(route.original_router.routes, at)
        else:
            assert isinstance(route, Route) or hasattr(route, "methods"), route
            if getattr(route, "endpoint", None).__name__ != "nowhere":  # type: ignore[union-attr]
                path = (at + route.path).rstrip("/") or "/"  # type: ignore[attr-defined]
                yield from (f"{method} {path}" for method in route.methods if method != "HEAD")  # type: ignore[union-attr]


class Asked:
    """An app, and what it answers to each of those who ask."""

    def __init__(self, app: ASGIApp, heads: dict[str, list[tuple[bytes, bytes]]]) -> None:
        self.app = app
        self._heads = heads

    def status(self, who: str, address: str, body: bytes = b"{}", query: bytes = QUERY) -> int:
        return asyncio.run(self._status(who, address, body, query))

    async def _status(self, who: str, address: str, body: bytes, query: bytes) -> int:
        """Of an answer that need not end."""
        method, _, path = address.partition(" ")
        path = re.sub(r"\{[^}]*\}", "nothing", path)
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def receive() -> Message:
            if not answered.done() and not sent:
                sent.append(True)
                return {"type": "http.request", "body": body, "more_body": False}
            await asyncio.wait({answered})
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start" and not answered.done():
                answered.set_result(message["status"])

        sent: list[bool] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "scheme": "http",
            "http_version": "1.1",
            "client": ("203.0.113.9", 5),
            "server": ("photos.example", 80),
            "root_path": "",
            "headers": [(b"host", b"photos.example"), (b"content-type", b"application/json"), *self._heads[who]],
        }
        asking = asyncio.ensure_future(self.app(scope, receive, send))
        await asyncio.wait({asking, answered}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            asking.result()  # raises what went wrong
        await asyncio.wait({asking}, timeout=5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return answered.result()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    data_dir = tmp_path_factory.mktemp("data")
    named = Models(data_dir / "models", bundled=data_dir, hub=Hub(offline=True))
    workspace = open_workspace(data_dir, named=named)
    made, look = with_token(new_users(), "looks", "viewer")
    made, change = with_token(made, "changes", "editor")
    service = make_service(
        workspace,
        access=Access(host="0.0.0.0", token="of-the-lock", users=lambda: made),
        limits=Limits(),
        readiness=Readiness(lambda: None),
    )
    bearer = {"viewer": look, "editor": change, "forger": look[:-1]}
    heads = {who: [(b"authorization", f"Bearer {token}".encode())] for who, token in bearer.items()}
    heads |= {"stranger": [], "command": [(TOKEN_HEADER.encode(), b"of-the-lock")]}
    yield Asked(make_app(service), heads)
    service.close()
    workspace.close()


def test_every_route_is_on_a_list(asked: Asked) -> None:
    found = set(addresses(asked.app.routes))  # type: ignore[attr-defined]
    assert found - set(ADDRESSES) == set()
    assert set(ADDRESSES) - OPEN_FILES - OTHER_FILES - found == set()


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("who", ["stranger", "forger"])
def test_who_has_not_signed_in_reaches_the_sign_in_and_nothing_else(asked: Asked, who: str, address: str) -> None:
    status = asked.status(who, address)
    assert (status in NO) == (address not in OPEN | OPEN_FILES), status


@pytest.mark.parametrize("address", sorted(CHANGE))
@pytest.mark.parametrize(("body", "query"), [(b"{", b""), (b"\xff", b"collection=%FF&model="), (b"", b"")])
def test_a_viewers_rights_come_before_what_was_sent(asked: Asked, body: bytes, query: bytes, address: str) -> None:
    assert asked.status("viewer", address, body, query) == 403


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_viewer_changes_nothing_and_reaches_the_rest(asked: Asked, address: str) -> None:
    status = asked.status("viewer", address)
    if address in CHANGE:
        assert status == 403
    elif address in SHUT:
        assert status == 404
    else:
        assert status not in NO


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("who", ["editor", "command"])
def test_an_editor_and_a_command_of_this_machine_reach_all_that_is_not_shut(
    asked: Asked, who: str, address: str
) -> None:
    status = asked.status(who, address)
    assert status == 404 if address in SHUT else status not in NO


def test_the_page_has_no_event_but_those_that_read(asked: Asked) -> None:
    page = asked.app.routes[-1].app.app.get_blocks()  # type: ignore[attr-defined]
    assert [function.api_name for function in page.fns.values()] == ["search"]
    served = {block: block.server_fns for block in page.blocks.values() if getattr(block, "server_fns", None)}
    assert [function.__name__ for functions in served.values() for function in functions] == [
        function.__name__ for function in READING
    ]
    (component,) = served
    for function in READING:
        body = {"session_hash": "one", "component_id": component._id, "fn_name": function.__name__, "data": {}}
        assert asked.status("stranger", "POST /gradio_api/component_server", json.dumps(body).encode()) == 401
        assert asked.status("viewer", "POST /gradio_api/component_server", json.dumps(body).encode()) == 200


def test_what_cant_be_asked_is_as_shut_as_what_can(asked: Asked) -> None:
    for address in ("PUT /api/search", "GET /nothing", "GET /api/nothing", "TRACE /", "GET //evil.example/"):
        assert asked.status("stranger", address) == 401
