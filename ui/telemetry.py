"""A request's id and its one log line, and the answer to a request that hit a defect; no metrics yet."""

import json
import logging
import re
import time
import uuid
from collections.abc import Mapping
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_PATH = 200  # characters of a path in a log line
_QUIET = ("/thumb/", "/image/", "/query-image/", "/gradio_api/", "/assets/", "/static/", "/ping", "/healthz")


class Telemetry:
    """ASGI middleware, to be the outermost: what escapes everything else ends here, logged, as a typed 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status = 0
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:  # the last place that can answer; the traceback goes to the log, never to the client
            log.exception("defect request_id=%s path=%s", request_id, _safe(scope["path"]))
            if status:
                raise  # half an answer has been sent: only a broken connection can say so
            await _send_defect(send_with_id, request_id)
        finally:
            _log_line(scope, status, (time.perf_counter() - started) * 1e3, state.get("steps_ms", {}))


def request_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


def note_steps(scope: Scope, steps_ms: Mapping[str, float]) -> None:
    """Adds the times of a request's steps to its log line."""
    scope.setdefault("state", {})["steps_ms"] = steps_ms


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16]


async def _send_defect(send: Send, request_id: str) -> None:
    message = "Something went wrong here that is not your fault. Try again; if it stays, report the request_id."
    body = json.dumps({"error": {"code": "internal", "message": message, "request_id": request_id}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _log_line(scope: Scope, status: int, took_ms: float, steps_ms: Mapping[str, float]) -> None:
    path = scope["path"]
    level = logging.DEBUG if status < 400 and path.startswith(_QUIET) else logging.INFO
    if log.isEnabledFor(level):
        steps = "".join(f" {name}_ms={ms:.1f}" for name, ms in steps_ms.items())
        id = request_id(scope)
        log.log(
            level, "%s %s status=%d ms=%.1f%s request_id=%s", scope["method"], _safe(path), status, took_ms, steps, id
        )


def _safe(path: str) -> str:
    """A path as one word without control characters, so that no request can forge a log line."""
    return quote(path[:_LONGEST_PATH], safe="/:@-._~")
