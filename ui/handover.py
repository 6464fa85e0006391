"""Talking to the process that holds the data folder's lock, which then makes a command's change; makes none itself."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from select import select
from typing import Any
from urllib.parse import urlsplit

from search.errors import BadQuery, SearchError, StoreBusy
from search.types import Holder
from ui.access import TOKEN_HEADER
from ui.terminal import plain

ANSWER_WITHIN_S = 30.0  # to a question that needs no work
LOOK_EVERY_S = 5.0  # what it does, while it works on ours


class Refused(SearchError):
    """What the holder answered, in its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ask(
    holder: Holder,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    tell: Callable[[str], None] = lambda sentence: None,
    look_every_s: float = LOOK_EVERY_S,
) -> dict[str, Any]:
    """Waits for as long as the holder is alive; where that takes its time, `tell` hears what is going on.

    Raises: StoreBusy where it can't be asked, Refused where it says no.
    """
    if not holder.address:
        raise StoreBusy(
            f"Process {holder.pid} has this data folder open for writing, and only one can: wait until it is done, "
            "or stop it."
        )
    try:
        with closing(_sent(holder, method, path, body)) as connection:
            while not select([connection.sock], [], [], look_every_s)[0]:
                tell(_doing(holder))
            answer = connection.getresponse()
            status, data = answer.status, answer.read()
    except (OSError, HTTPException) as error:
        raise StoreBusy(
            f"Process {holder.pid} holds this data folder and does not answer at {holder.address}: stop it, or try "
            "again."
        ) from error
    told = _object(data)
    if status < 400:
        return told
    said = told.get("error")
    said = said if isinstance(said, dict) else {}
    raise Refused(str(said.get("code", "error")), str(said.get("message", f"It answered {status}.")))


def _sent(holder: Holder, method: str, path: str, body: Mapping[str, object] | None = None) -> HTTPConnection:
    """The request is on its way. Raises: OSError, HTTPException."""
    address = urlsplit(holder.address or "")
    connection = HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_WITHIN_S)
    try:
        headers = {"content-type": "application/json", TOKEN_HEADER: holder.token}
        connection.request(method, path, body=None if body is None else json.dumps(body).encode(), headers=headers)
    except (OSError, HTTPException):
        connection.close()
        raise
    return connection


def _doing(holder: Holder) -> str:
    """In one sentence. Raises: OSError, HTTPException where it is not alive."""
    with closing(_sent(holder, "GET", "/healthz")) as connection:
        connection.getresponse().read()
    waiting = f"Process {holder.pid}, which has this data folder open, is busy; still waiting."
    try:
        with closing(_sent(holder, "GET", "/api/models")) as connection:
            models = _object(connection.getresponse().read()).get("models")
    except (OSError, HTTPException, BadQuery):
        return waiting
    for model in models if isinstance(models, list) else []:
        if isinstance(model, dict) and isinstance(loading := model.get("loading"), dict):
            stage = f" ({plain(str(loading.get('stage')))})" if loading.get("stage") else ""
            return f'Process {holder.pid} prepares the model "{plain(str(model.get("name")))}"{stage}; still waiting.'
    return waiting


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise BadQuery(
            "What holds this data folder answered something that is not JSON; is it another version?"
        ) from error
    return value if isinstance(value, dict) else {}
