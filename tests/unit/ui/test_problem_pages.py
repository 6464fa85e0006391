"""Errors as pages, of an application that answers what it is told to."""

import pytest
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from ui.problem_pages import ProblemPages

HTML = {"accept": "text/html,application/xhtml+xml"}
TOLD = {"error": {"code": "busy", "message": "Too <b>many</b>."}}


def client(body: object, status: int) -> TestClient:
    return TestClient(ProblemPages(JSONResponse(body, status, {"retry-after": "3"})))


def test_what_can_pass_is_tried_again_and_the_rest_leads_to_the_start() -> None:
    busy = client(TOLD, 503).get("/a/b", headers=HTML)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "3")
    assert "Too &lt;b&gt;many&lt;/b&gt;." in busy.text
    assert '<a class="button" href="">Try again</a>' in busy.text
    gone = client(TOLD, 404).get("/a/b", headers=HTML)
    assert '<a class="button" href="../">Go to the start page</a>' in gone.text


@pytest.mark.parametrize(
    "body",
    [{"error": "no message"}, {"error": None}, {"ready": False}, ["error"], "error"],
    ids=["a text", "nothing", "a probe", "a list", "a string"],
)
def test_json_that_is_none_of_our_errors_stays_as_it_is(body: object) -> None:
    answer = client(body, 503).get("/", headers=HTML)
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (503, body, "3")


def test_what_is_no_error_or_asked_by_a_program_stays_as_it_is() -> None:
    assert client(TOLD, 200).get("/", headers=HTML).json() == TOLD
    assert client(TOLD, 503).get("/", headers={"accept": "*/*"}).json() == TOLD
    assert client(TOLD, 503).post("/", headers=HTML).json() == TOLD
