"""Evaluation over HTTP and over the index: the file sent, the run followed, the report taken away."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from search.engine import SearchEngine
from search.evaluate import evaluate
from search.images.decoder import Decoder
from search.intervals import Estimate
from search.kept_images import KeptImages
from search.labels import MOST_BYTES, read_labels
from search.workspace import Workspace
from store.library import LocalLibrary
from tests.contract.served import open_workspace
from tests.fakes import FakeEncoder
from tests.stored import item, wait_until, wait_until_indexed
from ui.access import Access
from ui.readiness import Readiness, search_check
from ui.server import make_api
from ui.service import Limits, make_service

LABELS = "query,relevant,kind\nred,red,=1+1\nblue,red yellow,b\n<script>alert(1)</script>,green,b\nred,gone,b\n"
HERE = "http://127.0.0.1:7860"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path)
    yield opened
    opened.close()


def serve(workspace: Workspace, *, host: str = "127.0.0.1") -> TestClient:
    readiness = Readiness(search_check(workspace, model="fake"))
    service = make_service(workspace, access=Access(host=host, token="secret"), limits=Limits(), readiness=readiness)
    return TestClient(make_api(service), base_url=HERE, client=("127.0.0.1", 50_000))


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with serve(workspace) as client:
        yield client


def post(
    client: TestClient, labels: str | bytes = LABELS, *, collection: str = "colours", type: str = "text/csv"
) -> Any:
    params = {"collection": collection, "name": "own.csv"}
    return client.post("/api/evaluate", params=params, content=labels, headers={"content-type": type})


def evaluated(client: TestClient) -> dict[str, Any]:
    answer = post(client)
    assert answer.status_code == 202
    address = f"/api/evaluate/{answer.json()['job']}"
    wait_until(lambda: bool(client.get(address).json()["is_finished"]))
    told: dict[str, Any] = client.get(address).json()
    return told


def test_labels_are_evaluated_in_the_background(client: TestClient) -> None:
    told = evaluated(client)
    assert {name: told[name] for name in ("collection", "labels", "state", "done", "total", "error")} == {
        "collection": "colours",
        "labels": "own.csv",
        "state": "done",
        "done": 3,
        "total": 3,
        "error": None,
    }
    assert [one["id"] for one in client.get("/api/evaluate").json()["evaluations"]] == [told["id"]]


def test_the_report_is_taken_away_as_json(client: TestClient) -> None:
    id = evaluated(client)["report"]
    answer = client.get("/api/report.json", params={"collection": "colours", "id": id})
    assert answer.headers["content-disposition"] == 'attachment; filename="report.json"'
    report = answer.json()
    assert (report["id"], report["overall"]["queries"], report["asked"]["remarks_count"]) == (id, 3, 1)
    assert client.get("/api/report.json", params={"collection": "colours"}).json() == report


def test_each_querys_outcome_is_a_row_in_which_no_cell_is_a_formula(client: TestClient) -> None:
    evaluated(client)
    text = client.get("/api/report.csv", params={"collection": "colours"}).text
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [(row["line"], row["query"], row["kind"], row["first_rank"]) for row in rows] == [
        ("2", "red", "'=1+1", "1"),
        ("3", "blue", "b", rows[1]["first_rank"]),
        ("4", "<script>alert(1)</script>", "b", rows[2]["first_rank"]),
    ]
    assert (rows[0]["recall_at_10"], rows[0]["ndcg_at_10"], rows[0]["flagged"]) == ("1.0000", "1.0000", "0")


def test_the_page_asks_nobody_for_anything_and_escapes_what_was_asked(client: TestClient) -> None:
    evaluated(client)
    answer = client.get("/api/report.html", params={"collection": "colours"})
    assert answer.headers["content-disposition"] == 'attachment; filename="report.html"'
    assert "<script" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert 'src="data:image/webp;base64,' in answer.text
    assert 'src="/' not in answer.text


@pytest.mark.parametrize(
    ("labels", "collection", "type", "status", "said"),
    [
        ("query\nred\n", "colours", "text/csv", 422, "own.csv needs the columns"),
        (LABELS, "nowhere", "text/csv", 404, "nowhere"),
        (b"x" * (MOST_BYTES + 1), "colours", "text/csv", 413, "larger than 8 MB"),
        (LABELS, "colours", "text/plain", 415, "Content-Type: text/csv"),
        ('{"collection": "colours"}', "", "application/json", 422, "No labelled queries come with"),
        ('{"labels": "x"}', "", "application/json", 422, 'has a field "labels"'),
    ],
    ids=["no table", "no collection", "too large", "type", "no bundled", "field"],
)
def test_what_can_not_be_evaluated_is_refused(
    client: TestClient, labels: str | bytes, collection: str, type: str, status: int, said: str
) -> None:
    answer = post(client, labels, collection=collection, type=type)
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["json", "csv", "html"])
def test_a_report_that_is_not_there_is_404(client: TestClient, kind: str) -> None:
    answer = client.get(f"/api/report.{kind}", params={"collection": "colours", "id": "../../lock"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "item_not_found")
    answer = client.get(f"/api/report.{kind}", params={"collection": "colours"})
    assert answer.json()["error"]["message"] == 'There is no report of "colours": evaluate it first.'


def test_who_may_change_nothing_evaluates_nothing_and_may_look(workspace: Workspace) -> None:
    with serve(workspace) as here:
        id = evaluated(here)["id"]
    with serve(workspace, host="0.0.0.0") as stranger:
        assert post(stranger).status_code == 403
        assert stranger.delete(f"/api/evaluate/{id}").status_code == 403
        assert stranger.get("/api/report.json", params={"collection": "colours"}).status_code == 200


def test_the_index_is_judged_against_the_exact_scan(tmp_path: Path) -> None:
    library = LocalLibrary(tmp_path, exact_up_to=0)
    library.start_index()
    made = library.create("fan", model="fake", fingerprint="fake-1", dim=3)
    angles = np.radians(np.arange(1, 61)).tolist()
    made.put([item(n, (np.cos(angle), np.sin(angle), 0), id=f"fan-{n}") for n, angle in enumerate(angles, 1)])
    wait_until_indexed(made)
    decoder = Decoder(workers=1)
    engine = SearchEngine(made, FakeEncoder(), decoder=decoder, kept=KeptImages())
    report = evaluate(engine, read_labels(b"query,relevant\nred,fan-3\ngreen,fan-30\n", name="own.csv"))
    decoder.close()
    library.close()
    assert report is not None
    assert report.via == "chroma"
    assert report.ann_recall_at_10 == Estimate(1.0, 1.0, 1.0)
    assert [(one.first_rank, one.ann_recall) for one in report.outcomes] == [(3, 1.0), (31, 1.0)]
