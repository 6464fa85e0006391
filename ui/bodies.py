"""Reading a request's body within limits of size and form; what the body means is decided elsewhere."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.types import Message

from ui.api_errors import BodyTooLarge, NotJson, UnsupportedType

_MOST_COMMAS = 100_000  # each makes a value; while millions are made of one request, nobody else is answered
_LONGEST_NUMBER = 400  # digits; far more than any value that is of use here


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def limited(request: Request, most_bytes: int) -> Request:
    """The same request, refused by BodyTooLarge once more than `most_bytes` of its body are announced or sent.

    Raises: UnsupportedType for a packed body, too.
    """
    if (packed := request.headers.get("content-encoding", "identity").strip().lower()) != "identity":
        raise UnsupportedType(
            f'The request\'s body is packed ("Content-Encoding: {packed[:40]}"), which is not read here: send it as it '
            "is."
        )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most_bytes:
        raise _too_large(most_bytes)
    received_bytes = 0

    async def receive() -> Message:
        nonlocal received_bytes
        message = await request.receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > most_bytes:
            raise _too_large(most_bytes)
        return message

    return Request(request.scope, receive=receive)


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Raises: BodyTooLarge, UnsupportedType."""
    return await limited(request, most_bytes).body()


async def read_json(request: Request, most_bytes: int) -> Mapping[str, object]:
    """A JSON object. Raises: UnsupportedType, NotJson, BodyTooLarge."""
    if content_type(request) != "application/json":
        raise UnsupportedType('Send the request as JSON, with the header "Content-Type: application/json".')
    return parse_json(await read_body(request, most_bytes))


def parse_json(data: bytes) -> Mapping[str, object]:
    """Raises: NotJson for anything but one JSON object of well-formed Unicode without NaN or Infinity."""
    if (commas := data.count(b",")) > _MOST_COMMAS:
        raise NotJson(f"The request's JSON has {commas:,} commas; at most {_MOST_COMMAS:,} are read.")
    try:
        body = json.loads(data, parse_constant=_refuse_constant, parse_int=_whole, object_pairs_hook=_named_once)
        if b"\\u" in data:
            json.dumps(body, ensure_ascii=False).encode()  # half a character can only come in as an escape
    except RecursionError as error:
        raise NotJson("The request's JSON is nested too deeply to be a request.") from error
    except UnicodeError as error:
        raise NotJson("The request's JSON is not well-formed UTF-8.") from error
    except json.JSONDecodeError as error:
        raise NotJson(f"The request is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    if not isinstance(body, dict):
        raise NotJson('The request must be one JSON object, such as {"query": "a red boat"}.')
    return body


def openapi_body(examples: Mapping[str, Any]) -> dict[str, Any]:
    """What a route reads, for the OpenAPI description: media types and an example of each."""
    content = {kind: {"schema": {}, "example": example} for kind, example in examples.items()}
    return {"requestBody": {"required": True, "content": content}}


def _refuse_constant(name: str) -> None:
    raise NotJson(f"{name} is not JSON; send a finite number.")


def _named_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """What stands before us may have read the other one."""
    named = dict(pairs)
    if len(named) < len(pairs):
        raise NotJson("An object in the request's JSON has a name twice; send each once.")
    return named


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise NotJson(f"A number of {len(digits)} digits is more than can be read here.")
    return int(digits)


def _too_large(most_bytes: int) -> BodyTooLarge:
    most = f"{most_bytes / 2**20:.0f} MB" if most_bytes >= 2**20 else f"{most_bytes / 2**10:.0f} kB"
    return BodyTooLarge(f"The request's body is larger than {most}, the most that is read here.")
