"""The app of `ui` in this process, and its answers, looked at over HTTP."""

from dataclasses import replace
from typing import Any

from starlette.testclient import TestClient

from search.workspace import Workspace
from ui.access import Access
from ui.readiness import Readiness, search_check
from ui.server import make_api
from ui.service import Limits, make_service
from ui.workers import Workers

HERE = "http://127.0.0.1:7860"
FAKE = {"model": "fake", "fingerprint": "fake-1"}


def serve(
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    address: str = "127.0.0.1",
    searches: Workers | None = None,
    examples: Workers | None = None,
) -> TestClient:
    service = make_service(
        workspace,
        access=Access(host=host, token="secret"),
        limits=Limits(image_bytes=2**20, upload_bytes=4 * 2**20),
        readiness=Readiness(search_check(workspace, model="fake")),
    )
    if searches:
        service = replace(service, searches=searches)
    if examples:
        service = replace(service, examples=examples)
    return TestClient(make_api(service), base_url=HERE, client=(address, 50_000))


def found(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


def refused(answer: Any) -> tuple[int, str, str]:
    """Status, code and message of an error that has exactly the contract's body."""
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "request_id"}
    assert body["error"]["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text
    return answer.status_code, body["error"]["code"], body["error"]["message"]
