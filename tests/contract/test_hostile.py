"""What no honest caller sends, sent over raw sockets to `python app.py serve` and `ui`.

Each is refused by a status and a code, leaves no traceback in the log, and a good request is answered after it.
"""

import json
import re
import select
import socket
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.served import picture
from tests.processes import is_ready, served, served_ui

GOOD = b'{"query": "a pig", "top_k": 1}'
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """A running server, where it searches, and an address that is only read."""

    port: int
    search: bytes
    read: bytes
    log: Path

    def refuses(self, sent: bytes, status: int, code: str) -> None:
        """With exactly one answer, whatever else was in it."""
        came = exchange(self.port, sent)
        assert re.findall(rb"HTTP/1\.1 (\d+)", came) == [str(status).encode()], (sent[:200], came[:300])
        assert json.loads(came.partition(b"\r\n\r\n")[2])["error"]["code"] == code
        self.is_well()

    def is_well(self) -> None:
        assert exchange(self.port, post(self.search, GOOD)).startswith(b"HTTP/1.1 200 ")
        told = self.log.read_text(encoding="utf-8")
        assert "Traceback" not in told
        assert "defect" not in told


def exchange(port: int, sent: bytes) -> bytes:
    """All that comes back until the server closes."""
    came = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with suppress(ConnectionError):  # it may have answered and left before all was sent
            connection.sendall(sent)
        with suppress(ConnectionError):
            while data := connection.recv(2**16):
                came += data
    return bytes(came)


def head(line: bytes, *, more: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return line + b" " + version + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + more + b"\r\n"


def get(address: bytes, *, more: bytes = b"") -> bytes:
    return head(b"GET " + address, more=more)


def post(address: bytes, body: bytes, *, kind: bytes = b"application/json", more: bytes = b"") -> bytes:
    length = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (kind, len(body))
    return head(b"POST " + address, more=length + more) + body


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("serve")
    with served(folder / "data", log=folder / "log") as address:
        yield Target(port_of(address), b"/invocations", b"/execution-parameters", folder / "log")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("ui")
    with served_ui(folder / "data", log=folder / "log") as address:
        while not is_ready(port_of(address)):
            select.select([], [], [], 0.05)
        target = Target(port_of(address), b"/api/search", b"/api/me", folder / "log")
        made = exchange(target.port, post(b"/api/collections", b'{"name": "mine", "model": "pocket"}'))
        assert made.startswith(b"HTTP/1.1 201 ")
        yield target


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.fixture(params=["serve", "ui"])
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.getfixturevalue(request.param)
    return found


SMUGGLED = b"0\r\n\r\nGET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
FRAMINGS = {
    "a length and chunks": (JSON + b"Content-Length: 5\r\n" + CHUNKED, SMUGGLED),
    "chunks and a length": (JSON + CHUNKED + b"Content-Length: 5\r\n", SMUGGLED),
    "two lengths": (JSON + b"Content-Length: 5\r\nContent-Length: 30\r\n", GOOD),
    "two equal lengths": (JSON + b"Content-Length: 30\r\nContent-Length: 30\r\n", GOOD),
    "a list of lengths": (JSON + b"Content-Length: 30, 30\r\n", GOOD),
    "a length with a sign": (JSON + b"Content-Length: +30\r\n", GOOD),
    "a negative length": (JSON + b"Content-Length: -1\r\n", GOOD),
    "a length in hexadecimal": (JSON + b"Content-Length: 0x1e\r\n", GOOD),
    "a length beyond 64 bits": (JSON + b"Content-Length: 1" + b"0" * 30 + b"\r\n", GOOD),
    "two encodings": (JSON + CHUNKED + b"Transfer-Encoding: identity\r\n", SMUGGLED),
    "chunks that are not last": (JSON + b"Transfer-Encoding: chunked, identity\r\n", SMUGGLED),
    "an encoding like chunked": (JSON + b"Transfer-Encoding: xchunked\r\n", SMUGGLED),
    "a space before the colon": (JSON + b"Transfer-Encoding : chunked\r\n", SMUGGLED),
    "a vertical tab": (JSON + b"Transfer-Encoding:\x0bchunked\r\n", SMUGGLED),
    "a size that is none": (JSON + CHUNKED, b"zz\r\n" + SMUGGLED),
    "a negative size": (JSON + CHUNKED, b"-1\r\n" + SMUGGLED),
    "a size with 0x": (JSON + CHUNKED, b"0x1e\r\n" + GOOD + b"\r\n" + SMUGGLED),
    "a size beyond 64 bits": (JSON + CHUNKED, b"f" * 17 + b"\r\n" + SMUGGLED),
    "a size with a space": (JSON + CHUNKED, b"1e \r\n" + GOOD + b"\r\n" + SMUGGLED),
    "a size that is too small": (JSON + CHUNKED, b"5\r\n" + GOOD + b"\r\n" + SMUGGLED),
    "a size that ends with LF alone": (JSON + CHUNKED, b"1e\n" + GOOD + b"\n0\n\n"),
    "LF in an extension": (JSON + CHUNKED, b"1e;a=\nb\r\n" + GOOD + b"\r\n" + SMUGGLED),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_whose_end_could_be_seen_elsewhere_is_refused_as_a_whole(target: Target, framing: str) -> None:
    headers, body = FRAMINGS[framing]
    target.refuses(head(b"POST " + target.search, more=headers) + body, 400, "bad_request")


def test_chunks_in_http_1_0_are_refused(target: Target) -> None:
    sent = head(b"POST " + target.search, more=JSON + CHUNKED, version=b"HTTP/1.0")
    target.refuses(sent + SMUGGLED, 400, "bad_request")


HEADS = {
    "a folded header": b"X-A: b\r\n c\r\n",
    "LF alone": b"X-A: b\nX-B: c\r\n",
    "CR alone": b"X-A: b\rX-B: c\r\n",
    "NUL in a value": b"X-A: b\x00c\r\n",
    "NUL in a name": b"X-\x00A: b\r\n",
    "no colon": b"garbage\r\n",
    "no name": b": b\r\n",
    "a space in a name": b"X A: b\r\n",
}


@pytest.mark.parametrize("shape", HEADS)
def test_a_header_that_is_none_is_refused(target: Target, shape: str) -> None:
    target.refuses(get(target.read, more=HEADS[shape]), 400, "bad_request")


@pytest.mark.parametrize(
    "line",
    [
        b"GET READ HTTP/0.9",
        b"GET READ HTTP/1.2",
        b"GET READ HTTP/2.0",
        b"GET READ HTTP/9999.9",
        b"get READ HTTP/1.1",
        b"FOO READ HTTP/1.1",
        b"G\x00T READ HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET READ\xff HTTP/1.1",
        b"GET ?x HTTP/1.1",
        b"GET x HTTP/1.1",
        b"GET http://127.0.0.1:port/ HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1",
        b"CONNECT evil.example:443 HTTP/1.1",
        b"CONNECT evil HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_a_first_line_that_is_none_is_refused(target: Target, line: bytes) -> None:
    sent = line.replace(b"READ", target.read) + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    target.refuses(sent, 400, "bad_request")


def test_lines_that_end_with_lf_alone_are_refused(target: Target) -> None:
    target.refuses(get(target.read).replace(b"\r\n", b"\n"), 400, "bad_request")


@pytest.mark.parametrize("method", [b"TRACE", b"PUT", b"PATCH", b"PROPFIND", b"MKCOL"])
def test_a_method_that_is_not_for_an_address_is_refused(target: Target, method: bytes) -> None:
    for address in (target.search, target.read):
        came = exchange(target.port, head(method + b" " + address))
        assert came.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 404 "))
    target.is_well()


def test_no_connection_to_elsewhere_is_made(target: Target) -> None:
    for address in (target.read, b"127.0.0.1:80"):
        target.refuses(head(b"CONNECT " + address), 400, "bad_request")


def test_a_head_of_many_or_long_headers_is_refused(target: Target) -> None:
    for more in (b"X: %b\r\n" % (b"a" * 100_000), b"".join(b"X-%d: b\r\n" % n for n in range(10_000))):
        target.refuses(get(target.read, more=more), 431, "head_too_large")
    target.refuses(get(b"/" + b"a" * 100_000), 431, "head_too_large")


@pytest.mark.parametrize("address", [b"http://127.0.0.1READ", b"HTTP://127.0.0.1READ?x=http://evil.example/"])
def test_an_absolute_address_of_the_host_that_is_named_is_read_as_its_path(target: Target, address: bytes) -> None:
    assert exchange(target.port, get(address.replace(b"READ", target.read))).startswith(b"HTTP/1.1 200 ")
    target.is_well()


@pytest.mark.parametrize(
    "authority",
    [
        *(b"evil.example", b"evil.example:80", b"127.0.0.1:80", b"127.0.0.1.evil.example", b"127.0.0.1@evil.example"),
        *(b"evil.example@127.0.0.1", b"localhost", b"[::1]"),
    ],
)
def test_an_absolute_address_of_another_host_is_refused(target: Target, authority: bytes) -> None:
    """It would count in place of Host, which is what the rules here are about."""
    target.refuses(get(b"http://" + authority + target.read), 400, "bad_request")
    target.refuses(post(b"http://" + authority + target.search, GOOD), 400, "bad_request")


def test_an_absolute_address_is_refused_where_no_host_or_another_one_too_is_named(target: Target) -> None:
    sent = get(b"http://127.0.0.1" + target.read)
    target.refuses(sent.replace(b"Host: 127.0.0.1\r\n", b""), 400, "bad_request")
    target.refuses(sent.replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\n\r\n"), 400, "bad_request")


def test_a_websocket_is_answered_as_any_request(target: Target) -> None:
    more = b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    for address in (b"/ws", b"/stream/x", b"/queue/join"):
        sent = get(address, more=more).replace(b"Connection: close", b"Connection: close, Upgrade")
        target.refuses(sent, 404, "not_found")


BODIES = {
    "deep lists": (b"[" * 100_000, 400, "not_json"),
    "deep in a query": (b'{"query": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "not_json"),
    "deep objects": (b'{"a": ' * 100_000, 400, "not_json"),
    "a name twice": (b'{"query": "a", "query": "b"}', 400, "not_json"),
    "NaN": (b'{"query": "a", "top_k": NaN}', 400, "not_json"),
    "Infinity": (b'{"query": "a", "top_k": -Infinity}', 400, "not_json"),
    "half a character": (b'{"query": "\\ud800"}', 400, "not_json"),
    "half a character, not escaped": (b'{"query": "\xed\xa0\x80"}', 422, "bad_query"),
    "another encoding": (b"\xff\xfe{\x00", 400, "not_json"),
    "no object": (b"null", 400, "not_json"),
    "nothing": (b"", 400, "not_json"),
    "a number beyond floats": (b'{"query": "a", "top_k": 1e400}', 422, "bad_query"),
    "a weight beyond floats": (b'{"query": [{"text": "a", "weight": 1%b}]}' % (b"0" * 350), 422, "bad_query"),
    "a filter beyond floats": (b'{"query": "a", "where": {"year": {"gte": 1e400}}}', 422, "bad_query"),
    "a number of 5,000 digits": (b'{"query": "a", "top_k": %b}' % (b"9" * 5_000), 400, "not_json"),
    "NUL as a collection": (b'{"query": "a", "collection": "\\u0000"}', 404, "collection_not_found"),
    "a path as a collection": (b'{"query": "a", "collection": "../../etc"}', 404, "collection_not_found"),
    "a path as an image": (b'{"query": [{"id": "../../etc/passwd"}]}', 422, "bad_query"),
    "SQL as a field": (b'{"query": "a", "where": {"x\' OR 1=1 --": 1}}', 422, "unknown_field"),
}


@pytest.mark.parametrize("shape", BODIES)
def test_json_that_is_no_query_is_refused(target: Target, shape: str) -> None:
    body, status, code = BODIES[shape]
    target.refuses(post(target.search, body), status, code)


def png_of(width: int, height: int, data: bytes) -> bytes:
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


SVG = b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>'
PICTURES = {
    "a bomb": (png_of(60_000, 60_000, zlib.compress(b"\0" * 10_000_000)), 422, "image_too_large"),
    "a drawing with an entity": (SVG, 422, "unsupported_format"),
    "a web page": (b"<html><script>alert(1)</script>", 422, "unsupported_format"),
    "a broken GIF": (b"GIF89a" + b"\xff" * 20, 422, "unreadable_image"),
    "half a JPEG": (picture("red", kind="JPEG")[:200], 422, "unreadable_image"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", 422, "unsupported_format"),
}


@pytest.mark.parametrize("shape", PICTURES)
def test_a_picture_that_is_none_is_refused_whether_it_comes_bare_or_in_json(target: Target, shape: str) -> None:
    data, status, code = PICTURES[shape]
    target.refuses(post(target.search, data, kind=b"image/png"), status, code)
    target.refuses(post(target.search, b'{"query": [{"image": "%b"}]}' % b64encode(data)), status, code)


def test_a_drawing_that_calls_itself_one_is_refused(target: Target) -> None:
    target.refuses(post(target.search, SVG, kind=b"image/svg+xml"), 415, "unsupported_type")


@pytest.mark.parametrize("end", [b"", b"GARBAGE\r\n\r\n"])
def test_who_sends_several_requests_at_once_and_leaves_is_no_defect(target: Target, end: bytes) -> None:
    several = 5 * post(target.search, GOOD).replace(b"Connection: close\r\n", b"")
    with socket.create_connection(("127.0.0.1", target.port), timeout=60) as connection:
        connection.sendall(several + end)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while connection.recv(2**16):
                pass
    target.is_well()


WAYS_OUT = (
    b"../../../../etc/passwd",
    b"..%2f..%2f..%2f..%2fetc%2fpasswd",
    b"%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    b"..%252f..%252f..%252fetc/passwd",
    b"..%c0%af..%c0%af..%c0%afetc/passwd",
    b"%e0%80%ae%e0%80%ae/%e0%80%ae%e0%80%ae/etc/passwd",
    b"..%5c..%5cetc%5cpasswd",
    b"%2fetc%2fpasswd",
    b"....//....//etc/passwd",
    b"..;/..;/etc/passwd",
    b"x%00.css",
    b"%00",
    b"%ff%fe",
    b"x%0d%0aX-Evil:%20here",
    b"a" * 5_000,
    b"%f0%9f%92%a9" * 100,
)


@pytest.mark.parametrize(
    "folder",
    [
        *(
            "/page/",
            "/thumb/",
            "/image/",
            "/query-image/",
            "/api/jobs/",
            "/api/evaluate/",
            "/static/",
            "/static/fonts/",
        ),
        *("/assets/", "/svelte/", "/custom_component/", "/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy="),
        *("/gradio_api/stream/", "/gradio_api/custom_component/", "/gradio_api/upload_progress?upload_id="),
    ],
)
def test_no_address_leads_out_of_its_folder(ui: Target, folder: str) -> None:
    for way in WAYS_OUT:
        came = exchange(ui.port, get(folder.encode() + way))
        assert re.match(rb"HTTP/1\.1 (400|403|404|422) ", came), (way, came[:300])
        assert b"root:" not in came
        assert b"x-evil" not in came.partition(b"\r\n\r\n")[0].lower()
    ui.is_well()


FORGED = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}, "url": "http://192.0.2.1/", "is_stream": True}


@pytest.mark.parametrize(
    ("address", "body", "status", "code"),
    [
        ("/gradio_api/upload", {}, 404, "not_found"),
        ("/gradio_api/vibe-edit/", {}, 404, "not_found"),
        ("/gradio_api/run/search", {"data": [FORGED, None, 1]}, 422, "bad_query"),
        ("/gradio_api/run/search", {"data": ["a", FORGED, FORGED]}, 422, "bad_query"),
        ("/gradio_api/run/search", {"data": ["a", None, float("nan")]}, 422, "bad_query"),
        ("/gradio_api/run/search", {"data": ["\ud800", "\ud800", 1]}, 422, "bad_query"),
        ("/gradio_api/run/search", [], 422, "bad_query"),
        ("/gradio_api/run/predict", {"data": [FORGED], "fn_index": 10**30}, 422, "bad_query"),
        (
            "/gradio_api/component_server",
            {"data": FORGED, "component_id": 0, "fn_name": "__init__"},
            400,
            "bad_request",
        ),
        ("/gradio_api/queue/join", {"data": [], "fn_index": 0}, 400, "bad_request"),
        ("/gradio_api/cancel", {"session_hash": {}, "fn_index": "x", "event_id": []}, 422, "bad_query"),
        ("/gradio_api/mcp/messages/?session_id=x", {}, 400, "bad_request"),
    ],
)
def test_what_is_forged_for_gradio_is_refused(ui: Target, address: str, body: object, status: int, code: str) -> None:
    ui.refuses(post(address.encode(), json.dumps(body).encode()), status, code)


def test_a_body_for_gradio_that_is_deep_is_refused(ui: Target) -> None:
    ui.refuses(
        post(b"/gradio_api/run/search", b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400, "bad_request"
    )


@pytest.mark.parametrize("address", ["/gradio_api/heartbeat/%00", "/gradio_api/heartbeat/" + "a" * 300])
def test_a_stream_for_a_name_that_is_none_is_refused(ui: Target, address: str) -> None:
    ui.refuses(get(address.encode()), 404, "not_found")


def form(*parts: tuple[bytes, bytes], end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(b"--B\r\n%b\r\n\r\n%b\r\n" % part for part in parts) + end


def file(name: bytes) -> tuple[bytes, bytes]:
    return b'Content-Disposition: form-data; name="files"; filename="%b"\r\nContent-Type: image/png' % name, picture(
        "red"
    )


FORMS = {
    "3,000 files": (form(*[file(b"%d.png" % n) for n in range(3_000)]), 400, "bad_request"),
    "5,000 fields": (form(*[(b'Content-Disposition: form-data; name="x"', b"y")] * 5_000), 400, "bad_request"),
    "5,000 headers of a part": (form((b"X: y\r\n" * 5_000 + file(b"a.png")[0], b"")), 400, "bad_request"),
    "a part without a name": (form((b"X: y", b"z")), 400, "bad_request"),
    "a line's end in a name": (form(file(b"a\r\n .png")), 400, "bad_request"),
    "no end": (form(file(b"a.png"), end=b""), 422, "bad_query"),
    "only an end": (b"--B--\r\n", 422, "bad_query"),
    "no form": (b"\x00\xff" * 1_000, 400, "bad_request"),
    "a field of 2 MB": (form((b'Content-Disposition: form-data; name="files"', b"a" * 2_000_000)), 400, "bad_request"),
}


@pytest.mark.parametrize("shape", FORMS)
def test_a_form_that_is_none_is_refused(ui: Target, shape: str) -> None:
    body, status, code = FORMS[shape]
    ui.refuses(post(b"/api/images?collection=mine", body, kind=b"multipart/form-data; boundary=B"), status, code)


def test_a_form_without_a_boundary_is_refused(ui: Target) -> None:
    for kind in (
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"a" * 5_000,
    ):
        ui.refuses(post(b"/api/images?collection=mine", b"--B--\r\n", kind=kind), 400, "bad_request")


def test_a_stranger_is_not_believed_what_it_says_of_itself(ui: Target) -> None:
    said = b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"
    made = b'{"name": "theirs", "model": "pocket"}'
    for more in (said, b"Forwarded: for=127.0.0.1;host=127.0.0.1\r\n", b"X-Real-IP: 127.0.0.1\r\n"):
        ui.refuses(post(b"/api/collections", made, more=more), 403, "not_allowed")
    ui.refuses(
        post(b"/api/images?collection=mine", form(file(b"a.png")), kind=b"multipart/form-data; boundary=B", more=said),
        403,
        "not_allowed",
    )


def test_what_follows_a_chunked_body_makes_nobody_local(ui: Target) -> None:
    """The parser hands it on as headers, which come too late for who looked at the others."""
    chunks = b"%x\r\n%b\r\n0\r\nHost: evil.example\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n" % (len(GOOD), GOOD)
    came = exchange(ui.port, head(b"POST " + ui.search, more=JSON + CHUNKED) + chunks)
    assert came.startswith(b"HTTP/1.1 200 ")
    ui.is_well()


@pytest.mark.parametrize(
    "host", [b"evil.example", b"[::1", b"127.0.0.1@evil.example", b"\xff", b"127.0.0.1.evil.example"]
)
def test_another_name_for_this_machine_is_refused(ui: Target, host: bytes) -> None:
    sent = get(ui.read).replace(b"Host: 127.0.0.1", b"Host: " + host)
    ui.refuses(sent, 403, "not_allowed")
