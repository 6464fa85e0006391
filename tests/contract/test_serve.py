"""The contract of SageMaker's containers: what `serve` answers, over the real store and decoder."""

import base64
import json
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from search.workspace import Workspace
from tests.contract.served import open_workspace, picture
from ui.access import Access
from ui.listen import PortTaken, open_port
from ui.readiness import Readiness, search_check
from ui.serve import make_serve_app
from ui.service import Limits, make_service

ROOT = Path(__file__).parents[2]
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path_factory.mktemp("data"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> TestClient:
    readiness = Readiness(search_check(workspace, model="fake"))
    service = make_service(
        workspace, access=Access(host="0.0.0.0"), limits=Limits(image_bytes=2**20), readiness=readiness
    )
    # Not entered: the self-check's thread is not started, so that tests decide what it has found.
    return TestClient(make_serve_app(service), client=("203.0.113.7", 50_000))


def test_ping_is_503_until_a_real_search_was_made_and_200_then(client: TestClient) -> None:
    before = client.get("/ping")
    assert (before.status_code, before.json()["error"]["code"]) == (503, "not_ready")
    client.app.state.service.readiness.check_now()  # type: ignore[attr-defined]
    after = client.get("/ping")
    assert (after.status_code, after.json()) == (200, {"ready": True})


def test_an_invocation_is_a_search(client: TestClient) -> None:
    answer = client.post("/invocations", json={"query": "green", "top_k": 1}).json()
    assert [(hit["id"], hit["rank"], hit["thumb"]) for hit in answer["hits"]] == [("green", 1, None)]
    assert (answer["collection"], answer["model"], answer["fingerprint"]) == ("colours", "fake", "fake-1")


@pytest.mark.parametrize(
    ("content", "media_type"), [(b"blue", "text/plain"), (picture("blue", kind="JPEG"), "image/jpeg")]
)
def test_a_text_or_a_picture_is_an_invocation(client: TestClient, content: bytes, media_type: str) -> None:
    answer = client.post("/invocations?top_k=1", content=content, headers={"content-type": media_type})
    assert [hit["id"] for hit in answer.json()["hits"]] == ["blue"]


def test_an_invocation_can_embed(client: TestClient) -> None:
    image = base64.b64encode(picture("red")).decode()
    answer = client.post("/invocations", json={"embed": {"texts": ["green"], "images": [image]}}).json()
    assert answer["embeddings"] == {"texts": [[0, 1, 0]], "images": [pytest.approx([1, 0, 0], abs=1e-4)]}


def test_embed_stands_alone(client: TestClient) -> None:
    answer = client.post("/invocations", json={"embed": {"texts": ["green"]}, "query": "red"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_query")


def test_an_invocation_can_ask_which_encoder_embeds_here(client: TestClient) -> None:
    answer = client.post("/invocations", json={"describe": {}}).json()
    assert (answer["model"], answer["fingerprint"], answer["dim"]) == ("fake", "fake-1", 3)
    assert answer["preprocess"] == {
        "size": [8, 8],
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }
    for wrong in ({"describe": {}, "query": "red"}, {"describe": {"texts": []}}, {"describe": 1}):
        refused = client.post("/invocations", json=wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_query")


def test_rows_are_given_where_rows_are_asked_for(client: TestClient) -> None:
    answer = client.post("/invocations", json={"query": "red", "top_k": 1}, headers={"accept": "text/csv"})
    assert answer.text.splitlines()[0] == "rank,score,id,uri,caption,year"


@pytest.mark.parametrize("attributes", ["trace-1; customer=7", "x" * 1024])
def test_custom_attributes_come_back(client: TestClient, attributes: str) -> None:
    answer = client.post("/invocations", json={"query": "red"}, headers={ATTRIBUTES: attributes})
    assert answer.headers[ATTRIBUTES] == attributes


def test_attributes_that_no_platform_sends_do_not_come_back(client: TestClient) -> None:
    answer = client.post("/invocations", json={"query": "red"}, headers={ATTRIBUTES: "x" * 1025})
    assert ATTRIBUTES not in answer.headers


def test_an_error_has_a_code_in_its_body(client: TestClient) -> None:
    answer = client.post("/invocations", json={"query": ""}, headers={"x-request-id": "abc"})
    assert (answer.status_code, answer.json()) == (
        422,
        {
            "error": {
                "code": "empty_query",
                "message": "Nothing to search for: type words, or add a picture.",
                "request_id": "abc",
            }
        },
    )


def test_batch_transform_learns_how_to_send(client: TestClient) -> None:
    assert client.get("/execution-parameters").json() == {
        "MaxConcurrentTransforms": 4,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": 6,
    }


@pytest.mark.parametrize("address", ["/", "/docs", "/api/collections", "/thumb/red", "/image/red", "/metrics"])
def test_there_is_nothing_else(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_who_asks_for_something_else_is_told_what_there_is(client: TestClient) -> None:
    for answer in (client.get("/docs"), client.get("/invocations")):
        assert answer.json()["error"]["message"].endswith(
            "; there are GET /ping, POST /invocations and GET /execution-parameters."
        )


def test_serving_imports_neither_the_page_nor_torch() -> None:
    heavy = {"gradio", "fastapi", "torch", "open_clip", "pandas"}
    code = f"import ui.serve, ui.start, sys; print(sorted({heavy!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


SLOW_SERVER = """
import sys
from pathlib import Path
from settings import Settings
from tests.contract.served import open_workspace
from tests.fakes import FakeEncoder
from ui.start import run_serve

class SlowEncoder(FakeEncoder):
    def encode_texts(self, texts):
        if "slow" in texts[0]:
            print("encoding", flush=True)
            sys.stdin.readline()
        return super().encode_texts(texts)

def join(settings, *, write):
    return open_workspace(settings.data_dir, write=write, encoder=SlowEncoder())

run_serve(Settings(data_dir=Path(sys.argv[1]), port=int(sys.argv[2]), model="fake"), join)
"""


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_on_sigterm_a_request_is_still_answered_and_the_process_exits_0(tmp_path: Path, port: int) -> None:
    open_workspace(tmp_path).close()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SERVER, str(tmp_path), str(port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, ThreadPoolExecutor(1) as asking:
        assert process.stdin and process.stdout
        answer = asking.submit(ask_when_listening, port, b"slow red")
        assert process.stdout.readline() == "encoding\n"
        process.send_signal(signal.SIGTERM)
        process.stdin.write("\n")
        process.stdin.flush()
        assert answer.result(timeout=30) == (200, "red")
        assert process.wait(timeout=30) == 0


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(PortTaken) as raised:
            open_port("127.0.0.1", number)
    refused = f"Can't listen on 127.0.0.1, port {number} (Address already in use)"
    assert str(raised.value) == f"{refused}: stop what does, or set PORT to another one."


@pytest.mark.parametrize("host", ["nonsense.invalid", "203.0.113.7", "a..b"])
def test_a_host_that_is_not_this_machine_is_blamed_and_not_the_port(host: str) -> None:
    with pytest.raises(PortTaken) as raised:
        open_port(host, 0)
    assert str(raised.value).endswith(
        ": set SIGHTLINE_HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0."
    )


def ask_when_listening(port: int, text: bytes) -> tuple[int, str]:
    """Status and first hit. The port opens before the app is there, and a request waits for it."""
    for _ in range(1_000):
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            try:
                connection.request("POST", "/invocations", text, {"content-type": "text/plain"})
            except ConnectionRefusedError:
                select.select([], [], [], 0.02)
                continue
            answer = connection.getresponse()
            return answer.status, json.load(answer)["hits"][0]["id"]
    raise TimeoutError("the server never listened")
