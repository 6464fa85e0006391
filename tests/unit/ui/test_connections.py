import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from ui.connections import MOST_HEAD_BYTES, MOST_STALL_S, Connection, abort_stalled, limited_to


@dataclass(eq=False)
class Transport:
    sent: bytes = b""
    closed: bool = False
    aborted: bool = False
    info: dict[str, object] = field(default_factory=dict)

    def get_extra_info(self, name: str) -> object:
        return self.info.get(name)

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Clock:
    """A loop whose time stands, and that runs nothing: a request that came in stays unanswered."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def create_task(self, task: Any, **_: object) -> "asyncio.Future[None]":
        task.close()
        return asyncio.Future(loop=self.real)

    def __init__(self) -> None:
        self.real = asyncio.new_event_loop()


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.real.close()


async def app(scope: object, receive: object, send: object) -> None: ...


class Door:
    """Opens connections of one server."""

    def __init__(self, clock: Clock, *, most: int = 100) -> None:
        self._config = uvicorn.Config(app, log_config=None)
        self._config.load()
        self.state = ServerState()
        self._kind = limited_to(most)
        self._clock = clock

    def open(self) -> tuple[Connection, Transport]:
        transport = Transport()
        connection = self._kind(self._config, self.state, {}, self._clock)
        connection.connection_made(transport)
        return connection, transport


def said(transport: Transport) -> tuple[int, str]:
    head, _, body = transport.sent.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_a_head_that_does_not_end_is_refused(clock: Clock) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(b"GET / HTTP/1.1\r\nX: " + b"a" * (MOST_HEAD_BYTES - 100))
    assert transport.sent == b""
    connection.data_received(b"a" * 100)
    assert said(transport) == (431, "head_too_large")
    assert transport.closed


@pytest.mark.parametrize(
    "head",
    [b"X: " + b"a" * MOST_HEAD_BYTES, b"\r\n".join(b"X-%d: b" % n for n in range(10_000)), b"X:\r\n" * 15_000 + b"X:"],
)
def test_a_head_that_comes_at_once_has_the_same_limit(clock: Clock, head: bytes) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(b"GET / HTTP/1.1\r\n" + head + b"\r\n\r\n")
    assert said(transport) == (431, "head_too_large")
    assert (transport.closed, connection.cycle) == (True, None)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",  # what stands before us may not know it
    ],
)
def test_another_version_of_http_is_refused(clock: Clock, head: bytes) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(head)
    assert said(transport) == (400, "bad_request")
    assert (transport.closed, connection.cycle) == (True, None)


BEGUN = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"0x5\r\nabcde\r\n", b"f" * 17 + b"\r\n", b"5\r\nabcdef\r\n"])
def test_a_body_whose_chunks_cant_be_read_is_refused_and_the_app_hears_no_more(clock: Clock, chunk: bytes) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(BEGUN)
    connection.data_received(chunk)
    assert said(transport) == (400, "bad_request")
    assert (transport.closed, connection.cycle.disconnected) == (True, True)


def test_an_answer_that_has_begun_is_not_mixed_with_a_refusal(clock: Clock) -> None:
    for pipelined in (False, True):
        connection, transport = Door(clock).open()
        connection.data_received(b"GET / HTTP/1.1\r\n\r\n" + BEGUN if pipelined else BEGUN)
        connection.cycle.response_started = not pipelined
        connection.data_received(b"zz\r\n")
        assert (transport.sent, transport.closed) == (b"", True)


def test_whoever_leaves_is_gone_for_each_of_the_requests_that_were_sent_together(clock: Clock) -> None:
    """Else the first one's answer is written to what is closed, which is a defect in the log."""
    connection, _ = Door(clock).open()
    cycles = []
    for _ in range(3):
        connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
        cycles.append(connection.cycle)
    connection.connection_lost(None)
    assert [cycle.disconnected for cycle in cycles] == [True, True, True]
    assert all(cycle.message_event.is_set() for cycle in cycles)


def test_what_follows_a_body_is_no_header(clock: Clock) -> None:
    connection, _ = Door(clock).open()
    connection.data_received(BEGUN + b"1\r\na\r\n0\r\nHost: evil.example\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n")
    assert connection.cycle.scope["headers"] == [(b"transfer-encoding", b"chunked")]
    assert not connection.cycle.more_body


def test_a_body_may_be_larger_than_a_head(clock: Clock) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(10):
        connection.data_received(b"a" * (MOST_HEAD_BYTES // 2))
    assert (transport.sent, transport.closed) == (b"", False)


def test_the_lines_after_a_chunked_body_have_the_same_limit(clock: Clock) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ")
    connection.data_received(b"a" * (MOST_HEAD_BYTES + 1))
    assert transport.closed


def test_what_is_no_http_is_refused_like_everything_else(clock: Clock) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(b"\x16\x03\x01\x00\xa5")
    assert said(transport) == (400, "bad_request")
    assert transport.closed


def test_the_body_of_a_request_that_asks_for_another_protocol_is_read(clock: Clock) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(
        b"POST / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        b"Content-Length: 14\r\n\r\n\r\nUpgrade: h2c"
    )
    assert (bytes(connection.cycle.body), connection.cycle.more_body) == (b"\r\nUpgrade: h2c", False)
    assert not transport.closed


ASKS = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 27\r\n\r\n"
    b"GET /other HTTP/1.1\r\nA: b\r\n"
)


@pytest.mark.parametrize("at", range(1, len(ASKS)))
def test_so_it_is_wherever_it_is_cut(clock: Clock, at: int) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(ASKS[:at])
    connection.data_received(ASKS[at:])
    assert (connection.cycle.scope["path"], connection.cycle.more_body) == ("/", False)
    assert bytes(connection.cycle.body) == b"GET /other HTTP/1.1\r\nA: b\r\n"
    assert (transport.sent, transport.closed) == (b"", False)


def test_so_it_is_when_it_comes_byte_by_byte(clock: Clock) -> None:
    connection, _ = Door(clock).open()
    for byte in ASKS:
        connection.data_received(bytes([byte]))
    assert (connection.cycle.scope["path"], connection.cycle.more_body) == ("/", False)
    assert bytes(connection.cycle.body) == b"GET /other HTTP/1.1\r\nA: b\r\n"


def test_a_body_is_no_request_where_its_head_came_with_the_one_before(clock: Clock) -> None:
    connection, transport = Door(clock).open()
    connection.data_received(b"GET /first HTTP/1.1\r\n\r\n" + ASKS[:-20])
    connection.data_received(ASKS[-20:])
    assert (connection.cycle.scope["path"], transport.closed) == ("/first", True)


def test_one_connection_too_many_takes_the_place_of_the_one_that_was_quiet_longest(clock: Clock) -> None:
    door = Door(clock, most=2)
    _, first = door.open()
    clock.now = 1
    _, second = door.open()
    clock.now = 2
    _, third = door.open()
    assert [one.closed for one in (first, second, third)] == [True, False, False]
    _, fourth = door.open()  # the first is still on its way out
    assert [one.closed for one in (first, second, third, fourth)] == [True, True, False, False]


def test_where_all_connections_are_at_work_one_more_is_refused(clock: Clock) -> None:
    door = Door(clock, most=2)
    for _ in range(2):
        connection, _ = door.open()
        connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    _, transport = door.open()
    assert said(transport) == (429, "busy")
    assert b"retry-after: 2\r\n" in transport.sent
    assert transport.closed


def test_a_caller_who_does_not_read_the_answer_is_cut_off(clock: Clock) -> None:
    door = Door(clock)
    connection, transport = door.open()
    connection.pause_writing()
    clock.now = MOST_STALL_S - 1
    abort_stalled(door.state.connections, clock.now)
    assert not transport.aborted
    connection.resume_writing()
    connection.pause_writing()
    clock.now = MOST_STALL_S
    abort_stalled(door.state.connections, clock.now)
    assert not transport.aborted
    clock.now = 2 * MOST_STALL_S
    abort_stalled(door.state.connections, clock.now)
    assert transport.aborted
