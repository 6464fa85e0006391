"""What one connection may hold and how many there are at once; refuses what no app should see, knows no route."""

import json
import re
import resource
import uuid
from collections import deque
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ui.api_errors import RETRY_AFTER_S

MOST_HEAD_BYTES = 64 * 2**10  # of request line and headers; browsers send 2 kB
MOST_STALL_S = 300.0  # of an answer that nobody takes
_MOST_CONNECTIONS = 2_000
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_ABSOLUTE = re.compile(rb"[a-z]+://([^/?#]*)", re.IGNORECASE)  # an address in its absolute form, and its authority
_OPEN_FILES = 8_192  # a connection is one; macOS allows 256 where nobody asks for more


class _Refused(Exception):
    """Of a head; for the parser, which hands no more of it on."""


class Connection(HttpToolsProtocol):
    most: ClassVar[int] = _MOST_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.quiet_since = self.loop.time()
        self.stalled_since: float | None = None
        self._is_between = True  # two requests
        self._unused_bytes = 0  # since something of a request was complete: they are all held
        self._head_bytes = 0
        self._has_head = False
        self._begun = b""  # a line of a head, and the end of the one before
        self._unanswered: deque[Any] = deque()  # requests: uvicorn's cycles, in their order

    @property
    def is_quiet(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        staying = [one for one in self.connections if isinstance(one, Connection) and not one.transport.is_closing()]
        if len(staying) <= self.most:
            return
        quiet = [one for one in staying if one is not self and one.is_quiet]
        if quiet:
            min(quiet, key=lambda one: one.quiet_since).transport.close()
        else:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, "busy", "Too many are connected at once: try again in a moment.")

    def data_received(self, data: bytes) -> None:
        self._unused_bytes += len(data)
        if self._is_between or not self._has_head:
            data = self._not_upgraded(data)
        super().data_received(data)
        if self._unused_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def _not_upgraded(self, data: bytes) -> bytes:
        """What of a head may be read by now, under another name where it asks for another protocol: none is spoken
        here, and the parser would take the body for it. Headers are read when their lines are whole.
        """
        head, end, rest = (self._begun + data).partition(b"\r\n\r\n")
        if not end:
            line = head.rfind(b"\r\n")
            begun_at = line if line >= 0 else len(head) - head.endswith(b"\r")
            head, self._begun = head[:begun_at], head[begun_at:]
        else:
            self._begun = b""
        return _UPGRADE.sub(b"\r\nnot-upgraded:", head) + end + rest

    def on_message_begin(self) -> None:
        self._is_between = self._has_head = False
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            return  # what follows a chunked body would become a header of the request that is being answered
        self._head_bytes += len(name) + len(value) + len(": \r\n")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Raises: _Refused, which ends the parsing and comes back as `send_400_response`."""
        self._has_head = True
        version = self.parser.get_http_version()
        is_chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse_head()
            raise _Refused
        if self.parser.should_upgrade():  # in one that followed another at once: its body would be the next request
            raise _Refused
        if self._names_another_host():
            raise _Refused
        if version not in ("1.0", "1.1") or (version == "1.0" and is_chunked):  # RFC 9112, 6.1: its end is not sure
            raise _Refused
        super().on_headers_complete()
        self._unanswered.append(self.cycle)

    def _names_another_host(self) -> bool:
        """Whether the address says another host than the headers, in whose place it would count (RFC 9112, 3.2.2)."""
        absolute = _ABSOLUTE.match(self.url)
        hosts = [value.lower() for name, value in self.headers if name == b"host"]
        return absolute is not None and hosts != [absolute[1].lower()]

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in self._unanswered:  # uvicorn tells the last one alone, and the others write to what is closed
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unused_bytes = 0
        self._is_between = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered.popleft()
        self.quiet_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self.stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.stalled_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", "What was sent is not HTTP/1.1 that can be read.")

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            f"The request's address and headers are larger than {MOST_HEAD_BYTES // 2**10} kB, the most that is "
            "read here.",
        )

    def _take_back(self) -> bool:
        """Whether what is wrong is in the body of the one request under way, which the app then no longer answers."""
        if self.cycle is None or self.pipeline or not self.cycle.more_body or self.cycle.response_started:
            return False
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return True

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        if self.is_quiet or self._take_back():  # else there is an answer on its way
            body = json.dumps({"error": {"code": code, "message": message, "request_id": uuid.uuid4().hex[:16]}})
            head = [
                f"HTTP/1.1 {status.value} {status.phrase}",
                "content-type: application/json",
                f"content-length: {len(body)}",
                "connection: close",
                *([f"retry-after: {RETRY_AFTER_S}"] if status == HTTPStatus.TOO_MANY_REQUESTS else []),
            ]
            self.transport.write("\r\n".join([*head, "", body]).encode())
        self.transport.close()


def limited_to(count: int) -> type[Connection]:
    class Limited(Connection):
        most = count

    return Limited


def room_for_connections() -> int:
    """How many this process can hold, and still open files for each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _OPEN_FILES:
        soft = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(_MOST_CONNECTIONS, soft // 2)


def abort_stalled(connections: Iterable[object], now: float) -> None:
    for one in list(connections):
        if isinstance(one, Connection) and one.stalled_since is not None and now - one.stalled_since >= MOST_STALL_S:
            one.transport.abort()
