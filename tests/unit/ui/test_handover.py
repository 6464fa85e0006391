"""What a command says when the process that holds the data folder does not answer as it should."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from search.errors import BadQuery, SearchError, StoreBusy
from ui.handover import Refused, ask


@dataclass(frozen=True, slots=True)
class Holder:
    address: str | None
    pid: int = 42
    token: str = "secret"


@contextmanager
def answering(answer: bytes) -> Iterator[Holder]:
    """Something that takes one request and answers so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Holder(f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"", StoreBusy, "Process 42 holds this data folder and does not answer"),
        (b"SSH-2.0-OpenSSH\r\n", StoreBusy, "Process 42 holds this data folder and does not answer"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
            StoreBusy,
            "Process 42 holds this data folder and does not",
        ),
        (http("200 OK", "<html>"), BadQuery, "answered something that is not JSON"),
        (http("404 Not Found", '{"error": "nothing"}'), Refused, "It answered 404."),
        (http("409 Conflict", '{"error": {"code": "x", "message": "No."}}'), Refused, "No."),
    ],
    ids=["nothing", "ssh", "cut off", "a page", "another program", "no"],
)
def test_whatever_is_at_the_address_is_told_in_one_sentence(answer: bytes, kind: type[SearchError], said: str) -> None:
    with answering(answer) as holder, pytest.raises(kind) as told:
        ask(holder, "GET", "/api/collections")
    assert said in str(told.value)
