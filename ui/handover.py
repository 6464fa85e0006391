"""Talking to the process that holds the data folder's lock, which then makes a command's change; makes none itself."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from search.errors import BadQuery, SearchError, StoreBusy
from search.types import Holder
from ui.access import TOKEN_HEADER

ANSWER_WITHIN_S = 30.0


class Refused(SearchError):
    """What the holder answered, in its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ask(holder: Holder, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Raises: StoreBusy where it can't be asked, Refused where it says no."""
    if not holder.address:
        raise StoreBusy(
            f"Process {holder.pid} has this data folder open for writing, and only one can: wait until it is done, "
            "or stop it."
        )
    request = urllib.request.Request(
        holder.address + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json", TOKEN_HEADER: holder.token},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
    try:
        with opener.open(request, timeout=ANSWER_WITHIN_S) as answer:
            return _object(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            told = _object(error.read()).get("error")
        said = told if isinstance(told, dict) else {}
        raise Refused(str(said.get("code", "error")), str(said.get("message", f"It answered {error.code}."))) from error
    except (OSError, HTTPException) as error:  # urllib's URLError is an OSError
        raise StoreBusy(
            f"Process {holder.pid} holds this data folder and does not answer at {holder.address}: stop it, or try "
            "again."
        ) from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise BadQuery(
            "What holds this data folder answered something that is not JSON; is it another version?"
        ) from error
    return value if isinstance(value, dict) else {}
