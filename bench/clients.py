"""Many clients at once, each on one kept connection, every query another one; and a prober of /ping beside them."""

import http.client
import itertools
import json
import multiprocessing
import multiprocessing.connection
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.latency import NOUNS, PLACES
from bench.pictures import SIZES, jpeg

PING_EVERY_S = 0.02
_JPEGS = 32

Body = tuple[bytes, str]  # and its type


@dataclass(slots=True)
class Outcome:
    times_ms: list[float] = field(default_factory=list)  # of what was answered
    busy: int = 0
    errors: int = 0  # busy ones included
    seconds: float = 0.0
    via: str = ""

    @property
    def per_s(self) -> float:
        return len(self.times_ms) / self.seconds if self.seconds else 0.0


def text_bodies(collection: str) -> Iterator[Body]:
    for n in itertools.count():
        text = f"{n} {NOUNS[n % len(NOUNS)]}s {PLACES[n // len(NOUNS) % len(PLACES)]} round {n}"
        yield json.dumps({"query": text, "top_k": 20, "collection": collection}).encode(), "application/json"


def image_bodies() -> Iterator[Body]:
    """0.2-megapixel JPEGs; what follows a picture's end makes each another one for every cache."""
    pictures = [jpeg(3000 + n, SIZES["0.2 MP"]) for n in range(_JPEGS)]
    return ((pictures[n % _JPEGS] + n.to_bytes(8, "big"), "image/jpeg") for n in itertools.count())


def ask(
    url: str, path: str, bodies: Iterator[Body], *, clients: int, seconds: float, most: int, per_s: float | None = None
) -> Outcome:
    """Each client asks anew as soon as it is answered; with `per_s` they keep to that pace together."""
    outcome, lock, count = Outcome(), threading.Lock(), itertools.count()
    began = time.perf_counter()
    until = began + seconds

    def client() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        while True:
            with lock:
                n = next(count)
                body, kind = next(bodies)
            due = began + n / per_s if per_s else 0.0
            now = time.perf_counter()
            if n >= most or max(due, now) >= until:
                break
            time.sleep(max(0.0, due - now))
            started = time.perf_counter()
            try:
                connection.request("POST", path, body, {"content-type": kind})
                answer = connection.getresponse()
                status, data = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                status, data = 0, b""
            took_ms = (time.perf_counter() - started) * 1e3
            with lock:
                _note(outcome, status, data, took_ms)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = time.perf_counter() - began
    return outcome


def _note(outcome: Outcome, status: int, data: bytes, took_ms: float) -> None:
    if status == 200:
        outcome.times_ms.append(took_ms)
        outcome.via = outcome.via or json.loads(data)["via"]
        return
    outcome.errors += 1
    outcome.busy += status == 429


@dataclass(slots=True)
class Pings:
    times_ms: list[float] = field(default_factory=list)
    failed: int = 0


@contextmanager
def ping_while(url: str) -> Iterator[Pings]:
    """Asks /ping all the while, from a process of its own, so that the clients' threads don't delay it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    prober = context.Process(target=_probe, args=(url, theirs))
    prober.start()
    ours.recv()  # it has begun
    pings = Pings()
    try:
        yield pings
    finally:
        ours.send("stop")
        pings.times_ms, pings.failed = ours.recv()
        prober.join(10)


def _probe(url: str, pipe: "multiprocessing.connection.Connection") -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    times_ms, failed = [], 0
    pipe.send("begun")
    while not pipe.poll(PING_EVERY_S):
        started = time.perf_counter()
        try:
            connection.request("GET", "/ping")
            answer = connection.getresponse()
            answer.read()
            failed += answer.status != 200
        except (OSError, http.client.HTTPException):
            connection.close()
            failed += 1
        times_ms.append((time.perf_counter() - started) * 1e3)
    pipe.send((times_ms, failed))
