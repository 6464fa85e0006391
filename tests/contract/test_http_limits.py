"""The HTTP contract of docs/architecture.md: who may do what; too much, too slow, broken."""

import base64
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from search.errors import DiskFull, EncoderMismatch, ModelDamaged
from search.types import Embeddings
from search.workspace import Workspace
from tests.contract.in_process import found, refused, serve
from tests.contract.served import open_workspace, picture
from tests.fakes import FakeEncoder
from ui.access import TOKEN_HEADER
from ui.workers import Workers

CHANGES = [
    ("POST", "/api/collections", {"name": "x", "model": "fake"}),
    ("DELETE", "/api/collections/colours", None),
    ("POST", "/api/jobs", {"paths": ["/etc"], "collection": "colours"}),
    ("DELETE", "/api/jobs/x", None),
    ("POST", "/api/jobs/x/resume", None),
    ("POST", "/api/images?collection=colours", None),
]


@pytest.mark.parametrize(("method", "address", "body"), CHANGES)
def test_from_elsewhere_nobody_changes_anything(workspace: Workspace, method: str, address: str, body: object) -> None:
    with serve(workspace, host="0.0.0.0", address="203.0.113.7") as stranger:
        assert refused(stranger.request(method, address, json=body))[:2] == (403, "not_allowed")
        assert found(stranger.post("/api/search", json={"query": "red", "top_k": 1})) == ["red"]
        assert stranger.get("/api/collections").json()["may_change"] is False


def test_the_holders_token_opens_changes_from_elsewhere(workspace: Workspace) -> None:
    with serve(workspace, host="0.0.0.0", address="203.0.113.7") as holder:
        made = holder.post(
            "/api/collections", json={"name": "by token", "model": "fake"}, headers={TOKEN_HEADER: "secret"}
        )
        assert made.status_code == 201
        assert holder.delete("/api/collections/by token", headers={TOKEN_HEADER: "secret"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
def test_another_sites_page_reaches_nothing_on_loopback(client: TestClient, headers: dict[str, str]) -> None:
    assert refused(client.post("/api/search", json={"query": "red"}, headers=headers))[:2] == (403, "not_allowed")


def test_no_answer_is_for_other_origins(client: TestClient) -> None:
    answer = client.get("/api/collections", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    preflight = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in client.options("/api/search", headers=preflight).headers


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for answer in (client.get("/healthz"), client.get("/thumb/nobody"), client.get("/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "connect-src 'self'" in policy
        assert "object-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy


class WaitingEncoder(FakeEncoder):
    """Encodes a text, or a picture instead, only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go = threading.Event()
        self.on_pictures = False

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        if self.on_pictures:
            self.entered.set()
            self.go.wait()
        return super().encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        if not self.on_pictures:
            self.entered.set()
            self.go.wait()
        return super().encode_texts(texts)


def test_words_do_not_wait_behind_pictures(tmp_path: Path) -> None:
    encoder = WaitingEncoder()
    workspace = open_workspace(tmp_path, encoder=encoder)
    encoder.on_pictures = True
    one = Workers("search", threads=1, waiting=0, deadline_s=30)
    client = serve(workspace, searches=one, examples=Workers("example", threads=1, waiting=0, deadline_s=30))
    encoded = base64.b64encode(picture("blue")).decode()
    escaped = json.dumps({"query": [{"image": encoded}]}).replace("image", "\\u0069mage").encode()
    as_json = {"content-type": "application/json"}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/api/search", {"content": picture("green"), "headers": {"content-type": "image/png"}}),
        ("/api/search", {"json": {"query": [{"image": encoded}]}}),
        ("/api/search", {"content": escaped, "headers": as_json}),
        ("/api/embed", {"json": {"images": [encoded]}}),
        ("/api/query-images", {"content": picture("blue"), "headers": {"content-type": "image/png"}}),
        ("/api/export.csv", {"json": {"query": [{"image": encoded}]}}),
    ]
    with ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, requests[0][0], **requests[0][1])
        encoder.entered.wait()
        answers = [client.post(address, **asked) for address, asked in requests]
        words = client.post("/api/search", json={"query": "blue"})
        encoder.go.set()
        assert found(first.result())[0] == "green"
    assert [refused(answer)[:2] for answer in answers] == [(429, "busy")] * len(requests)
    assert found(words)[0] == "blue"
    workspace.close()


def test_a_search_behind_too_many_is_told_to_come_back(tmp_path: Path) -> None:
    encoder = WaitingEncoder()
    workspace = open_workspace(tmp_path, encoder=encoder)
    client = serve(workspace, searches=Workers("search", threads=1, waiting=0, deadline_s=30))
    with ThreadPoolExecutor(1) as other:
        first = other.submit(client.post, "/api/search", json={"query": "red"})
        encoder.entered.wait()
        answer = client.post("/api/search", json={"query": "blue"})
        assert refused(answer)[:2] == (429, "busy")
        assert answer.headers["retry-after"] == "2"
        encoder.go.set()
        assert found(first.result())[0] == "red"
    assert found(client.post("/api/search", json={"query": "blue"}))[0] == "blue"
    workspace.close()


def test_a_search_that_takes_too_long_is_answered_for(tmp_path: Path) -> None:
    encoder = WaitingEncoder()
    workspace = open_workspace(tmp_path, encoder=encoder)
    client = serve(workspace, searches=Workers("search", threads=1, waiting=0, deadline_s=0.05))
    answer = refused(client.post("/api/search", json={"query": "red"}))
    assert answer == (504, "timed_out", "No answer within 0.05 s; try again, or ask for less.")
    encoder.go.set()
    workspace.close()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ModelDamaged("The model is damaged."), 503, "model_damaged"),
        (EncoderMismatch("Another model."), 409, "encoder_mismatch"),
        (DiskFull("The disk is full."), 507, "disk_full"),
        (ZeroDivisionError("/home/secret"), 500, "internal"),
    ],
    ids=["model", "encoder", "disk", "defect"],
)
def test_what_goes_wrong_inside_has_its_status_and_no_detail(
    tmp_path: Path, error: Exception, status: int, code: str
) -> None:
    class Broken(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Embeddings:
            raise error

    workspace = open_workspace(tmp_path, encoder=Broken())
    answer = serve(workspace).post("/api/search", json={"query": "red"})
    assert refused(answer)[:2] == (status, code)
    assert "secret" not in answer.text
    workspace.close()
