"""What a command says when the process that holds the data folder does not answer as it should."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


def test_a_holder_that_is_busy_is_waited_for_and_what_it_does_is_told() -> None:
    busy = b'{"models": [{"name": "ViT-B-32", "loading": {"stage": "checking", "since_s": 40}}]}'
    told: list[str] = []
    go_on = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler({"/healthz": b"{}", "/api/models": busy}, go_on)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        holder = Holder(f"http://127.0.0.1:{server.server_port}")

        def tell(sentence: str) -> None:
            told.append(sentence)
            go_on.set()

        assert ask(holder, "POST", "/api/collections", {"name": "a"}, tell=tell, look_every_s=0.01) == {"done": True}
        server.shutdown()
    assert set(told) == {'Process 42 prepares the model "ViT-B-32" (checking); still waiting.'}


def test_a_holder_that_died_over_its_work_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        holder = Holder(f"http://127.0.0.1:{listener.getsockname()[1]}")
        asked = threading.Event()

        def die() -> None:
            connection, _ = listener.accept()
            connection.recv(65_536)
            listener.close()
            asked.set()
            held.append(connection)

        held: list[socket.socket] = []
        thread = threading.Thread(target=die)
        thread.start()
        with pytest.raises(StoreBusy, match="Process 42 holds this data folder and does not answer"):
            ask(holder, "POST", "/api/collections", {"name": "a"}, look_every_s=0.01)
        thread.join()
        held[0].close()


def handler(answers: dict[str, bytes], go_on: threading.Event) -> type[BaseHTTPRequestHandler]:
    """Answers GET so, and POST when it may go on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(answers[self.path])

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            go_on.wait(60)
            self._answer(b'{"done": true}')

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    return Handler
