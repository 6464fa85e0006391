"""A writer's copies, as a task on ECS makes them: at SIGTERM, and restored by the next one."""

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.processes import served_ui


def ask(address: str, method: str, body: object = None) -> Any:
    connection = HTTPConnection(address, timeout=60)
    try:
        connection.request(method, "/api/collections", json.dumps(body), {"content-type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_a_task_that_ends_leaves_its_collections_to_the_next_one(tmp_path: Path) -> None:
    copies = str(tmp_path / "copies")
    with served_ui(tmp_path / "first", SIGHTLINE_COPY=copies) as address:
        assert ask(address, "POST", {"name": "mine", "model": "pocket"})["name"] == "mine"
    with served_ui(tmp_path / "second", SIGHTLINE_COPY=copies) as address:
        told = ask(address, "GET")
    assert [collection["name"] for collection in told["collections"]] == ["gallery", "mine"]
    assert told["copy"]["to"] == "the folder copies"
    assert told["copy"]["problem"] == ""


def test_without_a_place_nothing_is_copied(tmp_path: Path) -> None:
    with served_ui(tmp_path) as address:
        assert ask(address, "GET")["copy"] is None
