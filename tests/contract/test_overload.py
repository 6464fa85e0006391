"""More than `python app.py serve` can take, and its end meanwhile: it encodes by an endpoint that answers when told.

Of the process itself nothing is changed: a release, and SIGHTLINE_MODEL=sagemaker:…, as a container is set up.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.processes import ROOT, served, serving_process
from tests.runtime_server import aws_environment, sagemaker_runtime
from tests.stored import wait_until
from ui.service import SEARCHES, serve_limits

MOST = SEARCHES + serve_limits(image_bytes=1).waiting  # requests that are worked on or waiting


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    told: dict[str, object]

    @property
    def ids(self) -> list[str]:
        hits = self.told["hits"]
        assert isinstance(hits, list)
        return [hit["id"] for hit in hits]


@dataclass(frozen=True, slots=True)
class Held:
    """A server that holds every search for words with "held" in them until `go`."""

    process: "subprocess.Popen[bytes]"
    port: int
    go: threading.Event

    def ask(self, words: str) -> Reply:
        return ask(self.port, "POST", "/invocations", {"query": words, "top_k": 1})

    def fill(self, asking: ThreadPoolExecutor) -> list[Future[Reply]]:
        """As many searches as there is room for; returns when all of them are held."""
        asked = [asking.submit(self.ask, wish) for wish in WISHES]
        wait_until(lambda: self.searches() == MOST)
        return asked

    def searches(self) -> int:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        found = re.search(r'^sightline_work_held\{pool="searches"\} (\d+)', text, re.MULTILINE)
        assert found
        return int(found[1])


THINGS = ("boats", "pigs", "castles", "guitars", "dogs on a beach", "trees in the snow", "red cars", "houses")
WISHES = [f"held {number} {THINGS[number % len(THINGS)]}" for number in range(MOST)]


def ask(port: int, method: str, path: str, body: object = None) -> Reply:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"content-type": "application/json"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, json.loads(answer.read()))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The container behind the endpoint."""
    with served(tmp_path_factory.mktemp("encoder")) as address:
        yield address


@pytest.fixture(scope="module")
def right(encoder: str) -> list[list[str]]:
    """What each wish finds where nothing is in its way."""
    port = int(encoder.rpartition(":")[2])
    return [ask(port, "POST", "/invocations", {"query": wish, "top_k": 1}).ids for wish in WISHES]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    command = [sys.executable, "app.py", "release", "build", "gallery", str(folder / "release")]
    environment = {**os.environ, "SIGHTLINE_DATA_DIR": str(folder / "data")}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=500)
    return folder / "release"


@pytest.fixture
def held(encoder: str, release: Path, tmp_path: Path) -> Iterator[Held]:
    go = threading.Event()

    def wait(body: bytes) -> None:
        if b"held" in body:
            go.wait(60)

    with sagemaker_runtime({"encoder": encoder}, before=wait) as runtime:
        behind = {"SIGHTLINE_RELEASE": str(release), "SIGHTLINE_MODEL": "sagemaker:encoder"}
        try:
            with serving_process(tmp_path, **behind, **aws_environment(runtime)) as (process, port):
                yield Held(process, port, go)
        finally:
            go.set()


def test_one_request_too_many_is_refused_at_once_and_the_others_are_answered(
    held: Held, right: list[list[str]]
) -> None:
    with ThreadPoolExecutor(MOST) as asking:
        asked = held.fill(asking)
        refused = [held.ask(f"{number} trees") for number in range(3)]  # answered while all the others are held
        assert not any(each.done() for each in asked)
        pinged = ask(held.port, "GET", "/ping")
        held.go.set()
        answers = [each.result(60) for each in asked]
    assert [(each.status, each.headers["retry-after"]) for each in refused] == [(429, "2")] * 3
    assert refused[0].told["error"]["code"] == "busy"  # type: ignore[index]
    assert (pinged.status, pinged.told) == (200, {"ready": True})
    assert [each.status for each in answers] == [200] * MOST
    assert [each.ids for each in answers] == right
    assert held.ask("a tree").status == 200


def test_on_sigterm_all_that_were_accepted_are_answered_and_it_exits_with_0(held: Held, right: list[list[str]]) -> None:
    with ThreadPoolExecutor(MOST) as asking:
        asked = held.fill(asking)
        held.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(held.port, "GET", "/ping").status == 503)  # the signal has come
        assert not any(each.done() for each in asked)
        held.go.set()
        answers = [each.result(60) for each in asked]
        assert held.process.wait(60) == 0
    assert [each.status for each in answers] == [200] * MOST
    assert [each.ids for each in answers] == right
