"""Gives the failures of Gradio's own addresses the body and status of every other error; no other answer changes."""

import json
import logging
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import gradio as gr
from gradio.route_utils import FnIndexInferError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.errors import BadQuery
from ui.api import methods_at
from ui.api_errors import BodyTooLarge
from ui.behind import route_path
from ui.service import JSON_BYTES

log = logging.getLogger(__name__)

# What Gradio raises where a request names or holds what it does not expect.
_UNEXPECTED = (LookupError, ValueError, TypeError, AttributeError, AssertionError)
_OURS = ("search.", "store.", "ui.")
LONGEST_PATH = 255  # bytes, of a file's name in the usual file systems; none of Gradio's addresses is as long
_HINT = "What was sent does not fit this address; GET /gradio_api/info describes what does."


class Page(gr.Blocks):
    """Refuses arguments that are none of its functions' in one sentence, where Gradio prints a traceback."""

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().preprocess_data(*args, **kwargs)
        except _UNEXPECTED as error:
            raise gr.Error(_HINT, print_exception=False) from error


class GradioErrors:
    """ASGI middleware around Gradio's app; what it raises becomes a typed answer in ours.

    `routes`: of our app, to tell a wrong method at one of its addresses from an address that is none.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = route_path(scope)
        if len(path.encode()) > LONGEST_PATH or not path.isprintable():
            raise HTTPException(404)  # Gradio would ask the disk for it, or make an address of it, and fail
        if allowed := methods_at(self._routes, scope):
            raise HTTPException(405, headers={"allow": ", ".join(allowed)})
        start: Message = {"status": 0}
        ended = False
        error_body = bytearray()

        async def send_unless_error(message: Message) -> None:
            nonlocal start, ended
            if message["type"] == "http.response.start":
                if start["status"]:
                    return  # an agent's stream is answered once more when it is cut; that body ends it
                start = message
            if start["status"] < 400:
                ended = message["type"] == "http.response.body" and not message.get("more_body", False)
                await send(message)
            else:
                error_body.extend(message.get("body", b""))

        try:
            await self.app(scope, receive, send_unless_error)
        except (FnIndexInferError, HTTPException, RuntimeError, *_UNEXPECTED) as error:
            if _is_ours(error) or (isinstance(error, RuntimeError) and not isinstance(error.__cause__, HTTPException)):
                raise
            log.warning("Gradio refused path=%s: %s", json.dumps(scope["path"][:200]), _in_one_line(error))
            if 0 < start["status"] < 400 and not _is_stream(start):
                raise
            if not _is_stream(start):
                raise (HTTPException(404) if isinstance(error, FnIndexInferError) else BadQuery(_HINT)) from error
        if start["status"] >= 400:
            if not _is_json_rpc(error_body):
                raise _typed(start["status"], error_body)
            await send(start)
            await send({"type": "http.response.body", "body": bytes(error_body)})
        elif _is_stream(start) and not ended:
            await send({"type": "http.response.body", "body": b""})  # its last event has said what there is to say


def _typed(status: int, body: bytearray) -> Exception:
    sent = _parsed(body)
    detail = sent.get("detail")
    if status == 500 and "error" in sent:  # the public search's refusal, or arguments that it does not have
        return BadQuery(str(sent["error"] or _HINT))
    if status == 422 and isinstance(detail, list) and detail:
        return BadQuery(f'"{detail[0]["loc"][-1]}" can\'t be used: {detail[0]["msg"]}.')
    if status == 413:
        return BodyTooLarge(f"The request's body is larger than {JSON_BYTES // 2**20} MB, the most that is read here.")
    return HTTPException(status, detail if isinstance(detail, str) else None)


def _is_stream(start: Message) -> bool:
    return Headers(raw=start.get("headers", [])).get("content-type", "").startswith("text/event-stream")


def _is_json_rpc(body: bytearray) -> bool:
    return "jsonrpc" in _parsed(body)


def _parsed(body: bytearray) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _is_ours(error: BaseException) -> bool:
    """Whether a function of ours was called by Gradio and failed: a defect, whose traceback the log must have."""
    tracebacks = (one.__traceback__ for one in (error, error.__cause__) if one is not None)
    modules = [name for traceback in tracebacks for name in _modules(traceback)]
    return any(name.startswith(_OURS) and name != __name__ for name in modules)


def _modules(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        yield str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next


def _in_one_line(error: BaseException) -> str:
    return json.dumps(f"{type(error).__name__}: {error.__cause__ or error}"[:300])
