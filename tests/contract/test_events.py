"""Records of searches over HTTP, from the page and on `serve`, and marks: as `ui` and `serve` write them."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from search.errors import StorageUnreachable
from store.places import open_place
from tests.contract.served import open_workspace, picture
from tests.processes import served
from ui.access import Access
from ui.events import Events
from ui.readiness import Readiness
from ui.serve import make_serve_app
from ui.server import make_api, make_app
from ui.service import Limits, Service, make_service

HERE = "http://127.0.0.1:7860"
JSONLINES = {"content-type": "application/jsonlines"}


class Away:
    def put(self, name: str, data: bytes) -> None:
        raise StorageUnreachable("It can't be reached.")


def lines_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.rglob("*.jsonl")) for line in path.read_text().splitlines()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    workspace = open_workspace(tmp_path / "data")
    yield make_service(
        workspace,
        access=Access(host="127.0.0.1"),
        limits=Limits(image_bytes=2**20),
        readiness=Readiness(lambda: None),
        events=Events(open_place(str(tmp_path / "events"))),
    )
    workspace.close()


def test_searches_and_marks_over_http_are_written_when_the_process_ends(service: Service, tmp_path: Path) -> None:
    with TestClient(make_api(service), base_url=HERE, client=("127.0.0.1", 50_000)) as client:
        answer = client.post("/api/search", json={"query": "red", "top_k": 2}, headers={"x-request-id": "first"})
        client.post("/api/search", content=picture("blue"), headers={"content-type": "image/png", "x-request-id": "p"})
        client.post("/api/search", content='{"query": "red"}\n{"query": 7}\n{"query": "blue"}', headers=JSONLINES)
        mark = {"id": "red", "action": "open", "request_id": "first", "collection": "colours"}
        marked = client.post("/api/marks", json=mark)
        assert (marked.status_code, marked.json()) == (202, {"kept": True})
        assert not (tmp_path / "events").exists()
    first, second, third, fourth, last = lines_in(tmp_path / "events")
    assert {name: first[name] for name in ("type", "request_id", "collection", "fingerprint", "weak")} == {
        "type": "search",
        "request_id": "first",
        "collection": "colours",
        "fingerprint": "fake-1",
        "weak": answer.json()["weak"],
    }
    assert first["hits"] == [{"id": hit["id"], "score": hit["score"]} for hit in answer.json()["hits"]]
    assert "query" not in first
    assert second["request_id"] == "p"
    assert third["request_id"] == fourth["request_id"] != ""
    assert {name: last[name] for name in ("type", *mark)} == {"type": "mark", **mark}


def test_the_page_s_searches_are_recorded_too(service: Service, tmp_path: Path) -> None:
    with TestClient(make_app(service), base_url=HERE, client=("127.0.0.1", 50_000)) as client:
        config = client.get("/config").json()
        box = next(c for c in config["components"] if c["props"].get("elem_id") == "query_box")
        sent = {"data": {"text": "red", "parts": []}, "component_id": box["id"], "fn_name": "find", "session_hash": "s"}
        answer = client.post("/gradio_api/component_server", json=sent, headers={"x-request-id": "page"})
        assert answer.json()["hits"][0]["id"] == "red"
    (line,) = lines_in(tmp_path / "events")
    assert (line["request_id"], line["hits"][0]["id"]) == ("page", "red")


def test_serve_records_too(service: Service, tmp_path: Path) -> None:
    with TestClient(make_serve_app(service)) as client:
        client.post("/invocations", json={"query": "red"}, headers={"x-request-id": "serve"})
        client.post("/invocations", json={"embed": {"texts": ["red"]}})
    assert [line["request_id"] for line in lines_in(tmp_path / "events")] == ["serve"]


def test_the_process_writes_where_the_setting_says(tmp_path: Path) -> None:
    events, queries = str(tmp_path / "events"), {"SIGHTLINE_LOG_QUERIES": "1"}
    with served(tmp_path / "data", SIGHTLINE_EVENTS=events, **queries) as address:
        connection = HTTPConnection(address, timeout=60)
        connection.request("POST", "/invocations", '{"query": "a red boat"}', {"content-type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
    assert [line["query"] for line in lines_in(tmp_path / "events")] == [["a red boat"]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"action": "open"}, 'The request needs "id", a text.'),
        ({"id": "", "action": "open"}, 'The request needs "id", a text.'),
        ({"id": "red", "action": "look"}, '"action" is one of open, select, add, subtract, export.'),
        ({"id": "red", "action": "open", "user": "me"}, 'The request has a field "user"'),
        ({"id": "r" * 201, "action": "open"}, '"id" has at most 200 characters.'),
        ({"id": "red", "action": "open", "request_id": "r" * 201}, '"request_id" has at most 200 characters.'),
    ],
)
def test_a_mark_that_is_none_is_refused(service: Service, body: dict[str, str], message: str) -> None:
    with TestClient(make_api(service), base_url=HERE, client=("127.0.0.1", 50_000)) as client:
        answer = client.post("/api/marks", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].startswith(message)


def test_a_place_that_can_t_be_reached_fails_no_search(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "data")
    events = Events(Away())
    service = make_service(
        workspace, access=Access(host="127.0.0.1"), limits=Limits(), readiness=Readiness(lambda: None), events=events
    )
    with TestClient(make_api(service), base_url=HERE, client=("127.0.0.1", 50_000)) as client:
        assert client.post("/api/search", json={"query": "red"}).status_code == 200
        events.write()
        assert client.post("/api/search", json={"query": "red"}).status_code == 200
    workspace.close()


def test_without_a_place_marks_are_taken_and_not_kept(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "data")
    service = make_service(
        workspace, access=Access(host="127.0.0.1"), limits=Limits(), readiness=Readiness(lambda: None)
    )
    with TestClient(make_api(service), base_url=HERE, client=("127.0.0.1", 50_000)) as client:
        assert client.post("/api/marks", json={"id": "red", "action": "open"}).json() == {"kept": False}
    workspace.close()
