import pytest
from starlette.requests import Request

from ui.api_errors import NotJson, UnsupportedType
from ui.bodies import limited, parse_json


def test_an_object_is_read() -> None:
    assert parse_json(b'{"query": "caf\\u00e9 \\ud83d\\udc1f", "top_k": 3}') == {"query": "café 🐟", "top_k": 3}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON: Expecting value at line 1, column 1"),
        (b"{", "not JSON: Expecting property name"),
        (b'{"top_k": NaN}', "NaN is not JSON"),
        (b'{"top_k": -Infinity}', "-Infinity is not JSON"),
        (b'{"query": [{"text": "a", "text": "b"}]}', "a name twice"),
        (b"[1]", "must be one JSON object"),
        (b'"boat"', "must be one JSON object"),
        (b'{"query": "\xff"}', "not well-formed UTF-8"),
        (b'{"query": "\\ud800"}', "not well-formed UTF-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"where": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"top_k": ' + b"9" * 5_000 + b"}", "A number of 5000 digits"),
        (b'{"query": [0' + b",0" * 100_001 + b"]}", "100,001 commas"),
    ],
    ids=[
        *(
            "empty",
            "cut",
            "nan",
            "infinity",
            "twice",
            "list",
            "string",
            "bytes",
            "surrogate",
            "objects",
            "lists",
            "digits",
        ),
        "entries",
    ],
)
def test_what_is_no_request_is_refused_in_one_sentence(data: bytes, message: str) -> None:
    with pytest.raises(NotJson, match=message):
        parse_json(data)


@pytest.mark.parametrize(("coding", "is_read"), [(b"identity", True), (b"gzip", False), (b"br, gzip", False)])
def test_a_packed_body_is_refused_as_that(coding: bytes, is_read: bool) -> None:
    request = Request({"type": "http", "headers": [(b"content-encoding", coding)]})
    if is_read:
        limited(request, 10)
        return
    with pytest.raises(UnsupportedType) as raised:
        limited(request, 10)
    assert str(raised.value) == (
        f'The request\'s body is packed ("Content-Encoding: {coding.decode()}"), which is not read here: send it as it '
        "is."
    )
