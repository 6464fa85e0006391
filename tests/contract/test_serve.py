"""The contract of SageMaker's containers: what `serve` answers, over the real store and decoder."""

import base64
import json
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from search.errors import ModelDamaged
from search.types import Embeddings
from search.workspace import Workspace
from tests.contract.served import open_workspace, picture
from tests.fakes import FakeEncoder
from tests.processes import free_port, served
from tests.stored import wait_until
from ui.access import Access
from ui.batches import ERROR_BYTES, BatchLimits
from ui.listen import PortTaken, open_port
from ui.readiness import Readiness, search_check
from ui.serve import make_serve_app
from ui.service import SEARCHES, Limits, make_service, serve_limits

ROOT = Path(__file__).parents[2]
JSON = {"content-type": "application/json"}
LINES = {"content-type": "application/jsonlines"}
WORDS_OF = ("red", "green", "blue")
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path_factory.mktemp("data"))
    yield opened
    opened.close()


class CountingEncoder(FakeEncoder):
    """Keeps how many texts each run had; fails on "broken", and holds "held" until `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[int] = []
        self.go = threading.Event()

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self.runs.append(len(texts))
        if "broken" in texts:
            raise ModelDamaged("It broke.")
        if texts[0].startswith("held"):
            self.go.wait(60)
        return super().encode_texts(texts)


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> TestClient:
    return client_of(workspace)


def client_of(workspace: Workspace, *, limits: Limits | None = None) -> TestClient:
    readiness = Readiness(search_check(workspace, model="fake"))
    service = make_service(
        workspace,
        access=Access(host="0.0.0.0"),
        limits=limits or serve_limits(image_bytes=2**20),
        readiness=readiness,
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


def test_pictures_are_embedded_together_and_equal_ones_once(client: TestClient, workspace: Workspace) -> None:
    runs: list[int] = []
    encoder = workspace.engine().embedder.encoder

    class Watching(FakeEncoder):
        def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
            runs.append(len(pixels))
            return super().encode_images(pixels)

    workspace.engine().embedder.encoder = Watching()
    try:
        names = ["red", "green", "red", "blue"]
        images = [base64.b64encode(picture(name, size=(20, 20), kind="BMP")).decode() for name in names]
        answer = client.post("/invocations", json={"embed": {"images": images}}).json()
    finally:
        workspace.engine().embedder.encoder = encoder
    assert runs == [3]
    rows = np.array(answer["embeddings"]["images"])
    assert [WORDS_OF[int(row.argmax())] for row in rows] == names


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


def lines(client: TestClient, *sent: bytes, to: str = "/invocations") -> list[dict[str, Any]]:
    answer = client.post(to, content=b"\n".join(sent), headers=LINES | {"x-request-id": "abc"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonlines")
    assert answer.content.endswith(b"\n")
    return [json.loads(line) for line in answer.content.splitlines()]


def test_each_line_of_a_batch_is_answered_in_its_place(client: TestClient) -> None:
    answers = lines(
        client, b'{"query": "green", "top_k": 1}', b'{"embed": {"texts": ["blue"]}}', b'{"query": "red", "top_k": 2}'
    )
    assert [hit["id"] for hit in answers[0]["hits"]] == ["green"]
    assert answers[1]["embeddings"]["texts"] == [[0, 0, 1]]
    assert [hit["id"] for hit in answers[2]["hits"]] == ["red", "yellow"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"nonsense", "not_json"),
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b'["red"]', "not_json"),
        (b'{"query": ""}', "empty_query"),
        (b'{"query": "red", "colour": 1}', "unknown_field"),
        (b'{"query": "red", "collection": "nope"}', "collection_not_found"),
        (b'{"query": [{"id": "nope"}]}', "item_not_found"),
        (b'{"query": [{"image": "bm9uZQ=="}]}', "unsupported_format"),
        (b'{"embed": {}}', "empty_query"),
    ],
)
def test_a_bad_line_is_an_error_in_its_place_and_harms_no_other(client: TestClient, bad: bytes, code: str) -> None:
    before, error, after = lines(client, b'{"query": "green"}', bad, b'{"query": "red"}\n')
    assert (before["hits"][0]["id"], after["hits"][0]["id"]) == ("green", "red")
    assert (error["error"]["code"], error["error"]["request_id"]) == (code, "abc")


def test_no_lines_are_answered_by_none(client: TestClient) -> None:
    assert client.post("/invocations", content=b"", headers=LINES).content == b""


def test_more_lines_than_are_read_are_refused_as_a_whole(client: TestClient) -> None:
    answer = client.post("/invocations", content=b'{"query": "red"}\n' * 1_001, headers=LINES)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_query")
    assert answer.json()["error"]["message"].startswith("The request has 1,001 lines; at most 1,000 are read")


def test_lines_that_ask_for_more_hits_than_one_request_may_hold_are_refused_one_by_one(client: TestClient) -> None:
    answers = lines(client, *[b'{"query": "red", "top_k": 1000}'] * 21, b'{"query": "green", "top_k": 1}')
    assert ["hits" in answer for answer in answers] == [True] * 20 + [False] * 2
    assert "more than 20,000 hits together" in answers[20]["error"]["message"]


ONE_HIT = b'{"query": "red", "top_k": 1}'


def test_an_answer_that_the_platform_would_not_pass_on_is_refused_with_the_remedy(workspace: Workspace) -> None:
    size = len(client_of(workspace).post("/invocations", content=ONE_HIT, headers=JSON).content)
    client = client_of(workspace, limits=Limits(image_bytes=2**20, answer_bytes=size + 20))  # its times vary
    assert client.post("/invocations", content=ONE_HIT, headers=JSON).status_code == 200
    refused = client.post("/invocations", json={"query": "red", "top_k": 4})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_query")
    assert "ask for a smaller top_k" in refused.json()["error"]["message"]


def test_lines_whose_answers_would_be_too_large_together_are_refused_one_by_one(workspace: Workspace) -> None:
    most_bytes = 50 * ERROR_BYTES
    limits = Limits(image_bytes=2**20, batch=BatchLimits(answer_bytes=most_bytes))
    client = client_of(workspace, limits=limits)
    sent = [ONE_HIT, b'{"query": "red", "top_k": 4}'] * 20
    answer = client.post("/invocations", content=b"\n".join(sent), headers=LINES)
    assert len(answer.content) <= most_bytes
    told = [json.loads(line) for line in answer.content.splitlines()]
    assert len(told) == 40
    assert [len(told[0]["hits"]), len(told[1]["hits"])] == [1, 4]
    refused = [one["error"] for one in told if "error" in one]
    assert refused
    assert {one["code"] for one in refused} == {"bad_query"}
    assert f"more than {most_bytes:,} bytes" in refused[0]["message"]
    alone = client.post("/invocations", content=sent[-1], headers=LINES)
    assert len(json.loads(alone.content)["hits"]) == 4


def test_a_real_time_endpoint_passes_6_mb_on_and_a_job_any_number() -> None:
    limits = serve_limits(image_bytes=2**20)
    assert (limits.answer_bytes, limits.batch.answer_bytes) == (6_291_456, 6_291_456)
    job = serve_limits(image_bytes=2**20, is_batch_transform=True)
    assert (job.answer_bytes, job.batch.answer_bytes) == (None, None)


def test_a_serverless_endpoint_passes_less_on_and_a_job_asks_nothing_of_it() -> None:
    limits = serve_limits(image_bytes=2**20, answer_bytes=4_000_000)
    assert (limits.answer_bytes, limits.batch.answer_bytes, limits.body_bytes) == (4_000_000, 4_000_000, 6_291_456)
    job = serve_limits(image_bytes=2**20, answer_bytes=4_000_000, is_batch_transform=True)
    assert (job.answer_bytes, job.batch.answer_bytes) == (None, None)


def test_answers_keep_within_what_is_set(tmp_path: Path) -> None:
    three = b"\n".join([b'{"query": "a pig", "top_k": 1000}'] * 3)  # of .43 MB each
    with served(tmp_path, SIGHTLINE_ANSWER_BYTES="1000000") as address:
        connection = HTTPConnection(address, timeout=60)
        connection.request("POST", "/invocations", three, LINES)
        came = connection.getresponse().read()
        connection.close()
    told = [json.loads(line) for line in came.splitlines()]
    assert ["hits" in one for one in told] == [True, True, False]
    assert told[2]["error"]["code"] == "bad_query"
    assert "more than 1,000,000 bytes" in told[2]["error"]["message"]


def test_the_texts_of_a_batch_are_encoded_together(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    with closing(open_workspace(tmp_path, encoder=encoder)) as opened:
        client = client_of(opened)
        client.post("/invocations", json={"query": "warm"})
        encoder.runs.clear()
        lines(client, *[b'{"query": "red %d -blue"}' % n for n in range(40)])
    assert encoder.runs == [33, 8]  # 32 lines with "blue" once, and the 8 that are left


def test_what_can_not_be_encoded_is_told_in_its_line_and_the_others_are_answered(tmp_path: Path) -> None:
    with closing(open_workspace(tmp_path, encoder=CountingEncoder())) as opened:
        first, broken, last = lines(
            client_of(opened), b'{"query": "green"}', b'{"query": "broken"}', b'{"query": "red"}'
        )
    assert (first["hits"][0]["id"], last["hits"][0]["id"]) == ("green", "red")
    assert broken["error"] == {"code": "model_damaged", "message": "It broke.", "request_id": "abc"}


def test_a_job_of_batch_transform_may_send_more_lines_and_wait_longer() -> None:
    limits = serve_limits(image_bytes=2**20, is_batch_transform=True)
    assert (limits.batch.lines, limits.deadline_s, limits.query_bytes) == (50_000, 3_600, 6_291_456)


def test_a_request_has_50_s_and_6_mb() -> None:
    limits = serve_limits(image_bytes=50 * 2**20)
    assert (limits.deadline_s, limits.query_bytes) == (50, 6_291_456)


def test_a_body_of_exactly_6_291_456_bytes_is_read_and_one_more_is_not(client: TestClient) -> None:
    largest = b'{"query": "red"}'.ljust(6_291_456)
    headers = {"content-type": "application/json"}
    assert client.post("/invocations", content=largest, headers=headers).status_code == 200
    for content, kind in ((largest + b" ", "application/json"), (b"\n" * 6_291_457, "application/jsonlines")):
        answer = client.post("/invocations", content=content, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_overload_is_refused_at_once_and_a_late_answer_is_told(tmp_path: Path) -> None:
    encoder = CountingEncoder()
    limits = Limits(image_bytes=2**20, deadline_s=0.2, waiting=0)
    with closing(open_workspace(tmp_path, encoder=encoder)) as opened, ThreadPoolExecutor(SEARCHES) as asking:
        client = client_of(opened, limits=limits)
        held = [asking.submit(client.post, "/invocations", json={"query": f"held {n}"}) for n in range(SEARCHES)]
        late = [answer.result(60) for answer in held]
        busy = client.post("/invocations", json={"query": "red"})  # the threads are still held
        encoder.go.set()
        metrics = client.get("/metrics").text
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in late] == [(504, "timed_out")] * SEARCHES
    assert (busy.status_code, busy.json()["error"]["code"], busy.headers["retry-after"]) == (429, "busy", "2")
    assert "\nsightline_busy_total 1.0\n" in metrics


@pytest.mark.parametrize("address", ["/", "/docs", "/api/collections", "/thumb/red", "/image/red", "/ping/", "//ping"])
def test_there_is_nothing_else(client: TestClient, address: str) -> None:
    assert client.get(address, follow_redirects=False).status_code == 404


def test_who_asks_for_something_else_is_told_what_there_is(client: TestClient) -> None:
    for answer in (client.get("/docs"), client.get("/invocations")):
        assert answer.json()["error"]["message"].endswith(
            "; there are GET /ping, POST /invocations, GET /execution-parameters and GET /metrics."
        )


def test_serving_imports_neither_the_page_nor_torch() -> None:
    heavy = {"gradio", "fastapi", "torch", "open_clip", "pandas"}
    code = f"import ui.serve, ui.start, sys; print(sorted({heavy!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


SLOW_SERVER = """
import os
import sys
from pathlib import Path
from settings import Settings
from tests.contract.served import open_workspace
from tests.fakes import FakeEncoder
from ui.start import run_serve

class SlowEncoder(FakeEncoder):
    def encode_texts(self, texts):
        if "slow" in texts[0]:
            os.write(1, b"encoding\\n")  # whole, whatever the other threads write
            os.read(0, 1)
        return super().encode_texts(texts)

def join(settings, *, write):
    return open_workspace(settings.data_dir, write=write, encoder=SlowEncoder())

run_serve(Settings(data_dir=Path(sys.argv[1]), port=int(sys.argv[2]), model="fake"), join)
"""


@pytest.fixture
def port() -> int:
    return int(free_port())


def test_on_sigterm_under_load_every_accepted_request_is_answered_and_the_process_exits_0(
    tmp_path: Path, port: int
) -> None:
    open_workspace(tmp_path).close()
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SERVER, str(tmp_path), str(port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, ThreadPoolExecutor(SEARCHES + 8) as asking:
        assert process.stdin and process.stdout
        held = [asking.submit(ask_when_listening, port, b"slow red %d" % n) for n in range(SEARCHES)]
        assert [process.stdout.readline() for _ in held] == ["encoding\n"] * SEARCHES  # every thread is held
        queued = [asking.submit(ask_when_listening, port, b"green %d" % n) for n in range(8)]
        wait_until(lambda: held_by_searches(port) == SEARCHES + 8)
        process.send_signal(signal.SIGTERM)
        stopping = time.monotonic()
        process.stdin.write("\n" * SEARCHES)
        process.stdin.flush()
        assert [answer.result(timeout=60) for answer in held] == [(200, "red")] * SEARCHES
        assert [answer.result(timeout=60) for answer in queued] == [(200, "green")] * 8
        assert process.wait(timeout=60) == 0
        assert time.monotonic() - stopping < 20  # what we promise; it takes one


def held_by_searches(port: int) -> int:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    found = re.search(r'^sightline_work_held\{pool="searches"\} (\d+)', text, re.MULTILINE)
    assert found
    return int(found.group(1))


def test_a_taken_port_is_named() -> None:
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
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            try:
                connection.request("POST", "/invocations", text, {"content-type": "text/plain"})
            except ConnectionRefusedError:
                select.select([], [], [], 0.02)
                continue
            answer = connection.getresponse()
            return answer.status, json.load(answer)["hits"][0]["id"]
    raise TimeoutError("the server never listened")
