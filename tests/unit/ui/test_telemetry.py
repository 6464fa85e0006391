import logging

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ui.telemetry import Telemetry, Work, note_work


async def fine(request: Request) -> Response:
    work = Work(steps_ms={"encode": 1.25, "search": 3.0}, collection="my boats", model="pocket", texts=("a\nboat",))
    note_work(request.scope, work)
    return PlainTextResponse("fine")


async def broken(request: Request) -> Response:
    raise ZeroDivisionError("/home/secret/path")


def client_of(**settings: bool) -> TestClient:
    routes = [Route("/fine", fine), Route("/broken", broken), Route("/thumb/x", fine)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Telemetry, **settings)]))


@pytest.fixture
def client() -> TestClient:
    return client_of()


def test_a_request_keeps_the_id_that_it_came_with(client: TestClient) -> None:
    assert client.get("/fine", headers={"x-request-id": "trace-1.a_B"}).headers["x-request-id"] == "trace-1.a_B"


@pytest.mark.parametrize("id", ["", "a b", "x" * 65, 'a"b', "a%0ab"])
def test_an_id_that_could_forge_a_log_line_is_replaced(client: TestClient, id: str) -> None:
    made = client.get("/fine", headers={"x-request-id": id}).headers["x-request-id"]
    assert made != id
    assert len(made) == 16


def test_a_request_has_one_log_line_with_the_times_of_its_steps(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ui.telemetry"):
        client.get("/fine", headers={"x-request-id": "abc"})
    (line,) = caplog.messages
    assert line.startswith("GET /fine status=200 ms=")
    assert line.endswith(' collection="my boats" model="pocket" encode_ms=1.2 search_ms=3.0 request_id=abc')


def test_the_line_has_fields_for_machines(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ui.telemetry"):
        client.get("/fine", headers={"x-request-id": "abc"})
    fields = caplog.records[0].fields  # type: ignore[attr-defined]
    assert fields.pop("took_ms") >= 0
    assert fields == {
        "event": "request",
        "method": "GET",
        "path": "/fine",
        "status": 200,
        "collection": "my boats",
        "model": "pocket",
        "encode_ms": 1.2,
        "search_ms": 3.0,
        "request_id": "abc",
    }


def test_what_was_asked_is_in_the_log_only_where_the_operator_wants_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ui.telemetry"):
        client_of(log_queries=True).get("/fine")
        client_of().get("/fine")
    asked, silent = caplog.records
    assert asked.fields["query"] == ["a\nboat"]  # type: ignore[attr-defined]
    assert ' query=["a\\nboat"] ' in asked.getMessage()
    assert 'boat"' not in silent.getMessage().replace('"my boats"', "")
    assert "query" not in silent.fields  # type: ignore[attr-defined]


def test_a_path_can_not_forge_a_log_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ui.telemetry"):
        client.get("/x%0aGET%20/forged")
    assert caplog.messages[0].startswith("GET /x%0AGET%20/forged status=404 ")


def test_pictures_do_not_fill_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ui.telemetry"):
        client.get("/thumb/x")
    assert caplog.messages == []


def test_a_defect_is_logged_here_and_told_there_without_its_reason(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/broken", headers={"x-request-id": "abc"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "abc"
    assert answer.json() == {
        "error": {
            "code": "internal",
            "message": "Something went wrong here that is not your fault. Try again; if it stays, report the "
            "request_id.",
            "request_id": "abc",
        }
    }
    assert "ZeroDivisionError: /home/secret/path" in caplog.text
    assert "request_id=abc" in caplog.text
