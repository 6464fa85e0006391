"""A request's id, its one log line and its place in the metrics, and the answer to a request that hit a defect."""

import json
import logging
import re
import time
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.behind import route_path

log = logging.getLogger(__name__)

_current: ContextVar[str] = ContextVar("request_id", default="")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LONGEST_PATH = 200  # characters of a path in a log line
_MOST_TEXTS = 20  # in a log line
_QUIET = (
    "/thumb/",
    "/image/",
    "/query-image/",
    "/gradio_api/",
    "/assets/",
    "/static/",
    "/ping",
    "/healthz",
    "/metrics",
)


@dataclass(frozen=True, slots=True)
class Work:
    """What a request came to, for its log line."""

    steps_ms: Mapping[str, float] = field(default_factory=dict)
    collection: str = ""
    model: str = ""
    texts: tuple[str, ...] = ()  # what was asked; logged only where the operator wants it
    weak: bool | None = None
    lines: int | None = None  # of a batch
    bad_lines: int | None = None


class Counts(Protocol):
    def answered(self, *, route: str, status: int, took_s: float, lines: int | None) -> None: ...


class Telemetry:
    """ASGI middleware, to be the outermost: what escapes everything else ends here, logged, as a typed 500."""

    def __init__(self, app: ASGIApp, *, counts: Counts | None = None, log_queries: bool = False) -> None:
        self.app = app
        self._counts = counts
        self._log_queries = log_queries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        known = _current.set(request_id)
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
            log.exception(
                "defect request_id=%s path=%s",
                request_id,
                _safe(scope["path"]),
                extra={"fields": {"event": "defect", "request_id": request_id, "path": _safe(scope["path"])}},
            )
            if status:
                raise  # half an answer has been sent: only a broken connection can say so
            await _send_defect(send_with_id, request_id)
        finally:
            _current.reset(known)
            took_s = time.perf_counter() - started
            work: Work = state.get("work", Work())
            if self._counts is not None:
                self._counts.answered(route=_route(scope), status=status, took_s=took_s, lines=work.lines)
            self._log_line(scope, status, took_s * 1e3, work)

    def _log_line(self, scope: Scope, status: int, took_ms: float, work: Work) -> None:
        level = logging.DEBUG if status < 400 and route_path(scope).startswith(_QUIET) else logging.INFO
        if not log.isEnabledFor(level):
            return
        fields = _fields(scope, status, took_ms, work)
        if self._log_queries and work.texts:
            fields["query"] = list(work.texts[:_MOST_TEXTS])
        said = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items() if name in _QUOTED]
        said += [f"{name}={value}" for name, value in fields.items() if name not in (*_QUOTED, *_FIRST)]
        text = f"{fields['method']} {fields['path']} status={status} ms={took_ms:.1f}"
        log.log(level, "%s", " ".join([text, *said]), extra={"fields": {"event": "request", **fields}})


_FIRST = ("method", "path", "status", "took_ms")
_QUOTED = ("collection", "model", "query")  # what may hold a space or a newline


def current_request_id() -> str:
    """Of the request that this code runs for, in whichever thread; empty outside of one."""
    return _current.get()


def request_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


def note_work(scope: Scope, work: Work) -> None:
    """Adds what a request came to to its log line."""
    scope.setdefault("state", {})["work"] = work


def _fields(scope: Scope, status: int, took_ms: float, work: Work) -> dict[str, object]:
    """docs/operations.md names them all."""
    fields = {
        "method": scope["method"] if scope["method"].isalnum() else "",
        "path": _safe(scope["path"]),
        "status": status,
        "took_ms": round(took_ms, 1),
        "collection": work.collection or None,
        "model": work.model or None,
        **{f"{step}_ms": round(ms, 1) for step, ms in work.steps_ms.items()},
        "weak": work.weak,
        "lines": work.lines,
        "bad_lines": work.bad_lines,
        "request_id": request_id(scope),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _route(scope: Scope) -> str:
    """The template of the address, never the address itself: strangers must not be able to make up new ones."""
    return str(getattr(scope.get("route"), "path", "") or "none")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16]


async def _send_defect(send: Send, request_id: str) -> None:
    message = "Something went wrong here that is not your fault. Try again; if it stays, report the request_id."
    body = json.dumps({"error": {"code": "internal", "message": message, "request_id": request_id}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _safe(path: str) -> str:
    """A path as one word without control characters, so that no request can forge a log line."""
    return quote(path[:_LONGEST_PATH], safe="/:@-._~")
