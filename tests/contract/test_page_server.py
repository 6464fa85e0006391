"""The page beside the API in one app: whose head it has, and what Gradio's own addresses give away."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from store.lock import read_holder
from tests.contract.served import open_workspace, picture
from tests.processes import free_port
from ui.access import Access
from ui.readiness import Readiness
from ui.server import make_app
from ui.service import Limits, make_service

HERE = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    workspace = open_workspace(tmp_path_factory.mktemp("data"))
    service = make_service(
        workspace, access=Access(host="127.0.0.1"), limits=Limits(image_bytes=2**20), readiness=Readiness(lambda: None)
    )
    with TestClient(make_app(service), base_url=HERE, client=("127.0.0.1", 50_000)) as client:
        yield client
    workspace.close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.png"
    path.write_bytes(picture("red"))
    return path


def test_the_page_has_our_title_and_nothing_of_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.text.count("<title>Sightline</title>") == 1
    assert int(page.headers["content-length"]) == len(page.content)
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_the_apis_routes_come_before_the_page(client: TestClient) -> None:
    assert client.post("/api/search", json={"query": "red", "top_k": 1}).json()["hits"][0]["id"] == "red"
    assert client.get("/api/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/openapi.json").json()["info"]["title"] == "Sightline"


def test_search_is_the_only_endpoint_that_gradio_names(client: TestClient) -> None:
    info = client.get("/gradio_api/info").json()
    assert set(info["named_endpoints"]) == {"/search"}
    assert info["unnamed_endpoints"] == {}


def call(client: TestClient, data: list[object]) -> str:
    """What the events of one call of `search` say."""
    event = client.post("/gradio_api/call/search", json={"data": data})
    assert event.status_code == 200, event.text
    return client.get(f"/gradio_api/call/search/{event.json()['event_id']}").text


def test_gradios_search_finds(client: TestClient) -> None:
    assert '"id": "blue"' in call(client, ["blue", None, 1]).replace('"id":"', '"id": "')


def test_a_path_in_a_call_is_no_way_to_a_file(client: TestClient, secret: Path) -> None:
    forged = {"path": str(secret), "meta": {"_type": "gradio.FileData"}, "orig_name": "x.png"}
    event = client.post("/gradio_api/call/search", json={"data": [forged, None, 1]})
    answer = event.text
    if event.status_code == 200:
        answer = client.get(f"/gradio_api/call/search/{event.json()['event_id']}").text
    assert "event: complete" not in answer
    assert "/file=" not in answer


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("GET", "/gradio_api/file={secret}"),
        ("GET", "/gradio_api/file/{secret}"),
        ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/proxy=http://169.254.169.254/latest/meta-data"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/dev/reload"),
    ],
)
def test_gradios_other_doors_are_shut(client: TestClient, secret: Path, method: str, address: str) -> None:
    answer = client.request(method, address.format(secret=secret))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("address", ["/static/", "/assets/", "/svelte/", "/static/fonts/"])
def test_a_name_that_no_file_can_have_is_not_there(client: TestClient, address: str) -> None:
    for name in ("a" * 256, "%E2%82%AC" * 100, "a%00.css"):
        answer = client.get(address + name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


RUN = "/gradio_api/run"


@pytest.mark.parametrize(
    ("method", "address", "body", "status", "code"),
    [
        ("POST", f"{RUN}/nope", {"data": []}, 404, "not_found"),
        ("POST", f"{RUN}/predict", {"data": [], "fn_index": 99}, 422, "bad_query"),
        ("POST", f"{RUN}/predict", {"data": [], "fn_index": -1}, 422, "bad_query"),
        ("POST", f"{RUN}/search", {"data": ["red", None, -1]}, 422, "bad_query"),
        ("POST", f"{RUN}/search", {"data": []}, 422, "bad_query"),
        ("POST", f"{RUN}/search", {"data": "red"}, 422, "bad_query"),
        ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": 77, "session_hash": "a"}, 422, "bad_query"),
        ("POST", "/gradio_api/component_server", {"data": {}}, 400, "bad_request"),
        (
            "POST",
            "/gradio_api/component_server",
            {"data": {}, "component_id": 999, "fn_name": "find", "session_hash": "a"},
            422,
            "bad_query",
        ),
        ("GET", "/nope", None, 404, "not_found"),
        ("GET", "/thumb/..%2fx", None, 404, "not_found"),
        ("GET", "/static/..%2fx", None, 403, "not_allowed"),
        ("OPTIONS", "/api/search", None, 405, "method_not_allowed"),
        ("TRACE", "/api/search", None, 405, "method_not_allowed"),
        ("GET", "/api/search", None, 405, "method_not_allowed"),
        ("DELETE", "/thumb/red", None, 405, "method_not_allowed"),
    ],
)
def test_what_gradio_refuses_has_the_body_of_every_other_error(
    client: TestClient,
    caplog: pytest.LogCaptureFixture,
    method: str,
    address: str,
    body: object,
    status: int,
    code: str,
) -> None:
    answer = client.request(method, address, json=body)
    assert set(answer.json()["error"]) == {"code", "message", "request_id"}
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_refusal_of_gradios_search_says_why(client: TestClient) -> None:
    answer = client.post(f"{RUN}/search", json={"data": ["red", None, -1]})
    assert answer.json()["error"]["message"] == "\"top_k\" must be a whole number from 1 to 1,000, not '-1'."


@pytest.mark.filterwarnings("ignore")  # of Gradio's own figures about a queued call that failed
@pytest.mark.parametrize(
    "data",
    [
        [],
        ["red"],
        ["red", ["colours"], 1],
        ["red", {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 1],
        ["red", "x" * 101, 1],
    ],
)
def test_arguments_that_the_search_does_not_take_leave_no_traceback(
    client: TestClient, capfd: pytest.CaptureFixture[str], data: list[object]
) -> None:
    direct = client.post(f"{RUN}/search", json={"data": data})
    queued = call(client, data)
    assert (direct.status_code, direct.json()["error"]["code"]) == (422, "bad_query")
    assert "event: error" in queued
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_form_for_the_pages_questions_is_refused(client: TestClient) -> None:
    answer = client.post("/gradio_api/component_server", files={"a": b"b"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_query")


def test_a_stream_of_nobody_ends_with_one_line_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get("/gradio_api/queue/data?session_hash=nobody")
    assert '"session_not_found":true' in answer.text
    (line,) = [record for record in caplog.records if record.name == "ui.gradio_errors"]
    assert (line.levelname, line.exc_info) == ("WARNING", None)


def test_an_agents_protocol_keeps_its_own_errors(client: TestClient) -> None:
    answer = client.post("/gradio_api/mcp/", json={})
    assert (answer.status_code, answer.json()["jsonrpc"]) == (406, "2.0")


def test_a_body_for_gradio_has_a_limit_too(client: TestClient) -> None:
    answer = client.post("/gradio_api/call/search", json={"data": ["x" * 2**20, None, 1]})
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == "The request's body is larger than 1 MB, the most that is read here."


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}])
def test_another_sites_page_reaches_no_gradio_address(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/gradio_api/call/search", json={"data": ["red", None, 1]}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    assert "access-control-allow-origin" not in answer.headers


UI = """
import sys
import time
import time
from pathlib import Path
from settings import Settings
from store.lock import read_holder
from tests.contract.served import open_workspace
from ui.start import run_ui

run_ui(
    Settings(data_dir=Path(sys.argv[1]), port=int(sys.argv[2]), model="fake"),
    lambda settings, *, write: open_workspace(settings.data_dir, write=write),
    when_serving=lambda address: print(address, flush=True),
)
"""


@contextmanager
def served(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that answers, and its port."""
    port = int(free_port())
    process = subprocess.Popen(
        [sys.executable, "-c", UI, str(data_dir), str(port)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == f"http://127.0.0.1:{port}\n"
        yield process, port


def test_an_open_page_does_not_hold_up_stopping(tmp_path: Path) -> None:
    with served(tmp_path) as (process, port), closing(HTTPConnection("127.0.0.1", port, timeout=60)) as page:
        assert process.stderr
        holder = read_holder(tmp_path)
        assert holder
        assert (holder.pid, holder.address) == (process.pid, f"http://127.0.0.1:{port}")
        page.request("GET", "/gradio_api/heartbeat/one")
        assert page.getresponse().readline() == b"data: ALIVE\n"
        process.send_signal(signal.SIGTERM)
        assert "timeout graceful shutdown exceeded" not in process.stderr.read()
        assert process.wait() == 0
    assert read_holder(tmp_path) is None


def test_what_callers_leave_unfinished_does_not_hold_up_stopping(tmp_path: Path) -> None:
    with served(tmp_path) as (process, port), ExitStack() as open_ones:
        assert process.stderr
        half = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
        head = "POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n"
        half.sendall(head.encode() + b"half")
        agent = open_ones.enter_context(closing(HTTPConnection("127.0.0.1", port, timeout=60)))
        agent.request("GET", "/gradio_api/mcp/sse")
        assert agent.getresponse().readline() == b"event: endpoint\r\n"
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert half.recv(2**16).startswith(b"HTTP/1.1 503 ")
        assert "Traceback" not in process.stderr.read()
        assert process.wait() == 0
        assert time.monotonic() - began < 20


def test_a_load_balancer_hears_that_it_is_stopping_while_what_was_accepted_is_answered(tmp_path: Path) -> None:
    with served(tmp_path) as (process, port), socket.create_connection(("127.0.0.1", port), timeout=60) as accepted:
        head = "POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\n"
        accepted.sendall(head.encode() + b"re")
        while ping(port)[0] != 200:  # it is ready only after its first search
            pass
        process.send_signal(signal.SIGTERM)
        while (said := ping(port))[0] == 200:  # the signal has not come yet
            pass
        assert said == (503, "Not ready: it is stopping.")
        accepted.sendall(b"d")
        assert accepted.recv(2**16).startswith(b"HTTP/1.1 200 ")
        process.communicate(timeout=60)
        assert process.returncode == 0


def ping(port: int) -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as balancer:
        balancer.request("GET", "/ping")
        answer = balancer.getresponse()
        told = json.loads(answer.read())
    return answer.status, told["error"]["message"] if "error" in told else ""
