import base64
import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from search.query import parse_request
from search.workspace import Workspace
from tests.contract.served import open_workspace, picture
from tests.stored import wait_until_indexed
from ui.access import Access
from ui.metrics import Metrics
from ui.readiness import Readiness
from ui.server import make_api
from ui.service import Limits, make_service

ROOT = Path(__file__).parents[3]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path_factory.mktemp("data"))
    yield opened
    opened.close()


@pytest.fixture
def client(workspace: Workspace) -> TestClient:
    service = make_service(
        workspace,
        access=Access(host="127.0.0.1"),
        limits=Limits(image_bytes=2**20),
        readiness=Readiness(lambda: None),
    )
    return TestClient(make_api(service), base_url="http://127.0.0.1:7860", client=("127.0.0.1", 50_000))


def samples(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name.removeprefix("sightline_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route_and_class_of_status(client: TestClient) -> None:
    client.get("/thumb/red")
    client.get("/thumb/nope")
    client.get("/thumb/nope2")
    found = samples(client)
    assert value(found, "requests_total", route="/thumb/{id}", status="2xx") == 1
    assert value(found, "requests_total", route="/thumb/{id}", status="4xx") == 2
    assert value(found, "request_seconds_count", route="/thumb/{id}") == 3


def test_addresses_that_strangers_make_up_add_nothing(client: TestClient) -> None:
    client.get("/x")
    before = set(samples(client))
    for path in ("/wp-admin", "/.env", "/api/x/y", "/thumb/a/b/c"):
        client.get(path)
    client.post("/api/search", json={"query": "red", "collection": "made up"})
    client.request("BREW", "/coffee")
    new = {name for name in set(samples(client)) - before if "search" not in dict(name[1]).get("route", "")}
    assert {dict(labels).get("route") for _, labels in new} <= {"/metrics", "/api/{rest:path}"}


def test_a_search_is_counted_with_its_steps_its_cache_and_its_weakness(
    client: TestClient, workspace: Workspace
) -> None:
    client.post("/api/search", json={"query": "red boat"})
    client.post("/api/search", json={"query": "red boat"})
    client.post("/api/search", content=picture("red"), headers={"content-type": "image/png"})
    found = samples(client)
    assert [value(found, "step_seconds_count", step=step) for step in ("encode", "search", "rank")] == [3, 3, 3]
    assert value(found, "searches_total", via="exact") == 3
    assert value(found, "embeddings_total", kind="text", cache="miss") == 1
    assert value(found, "embeddings_total", kind="text", cache="hit") == 1
    assert value(found, "embeddings_total", kind="image", cache="miss") == 1
    assert value(found, "encode_batch_size_sum", kind="text") == 1


def test_pictures_that_are_only_embedded_are_counted_too(client: TestClient) -> None:
    pictures = [base64.b64encode(picture(colour)).decode() for colour in ("green", "blue", "green")]
    client.post("/api/embed", json={"images": pictures[:1]})
    client.post("/api/embed", json={"images": pictures})
    found = samples(client)
    assert value(found, "embeddings_total", kind="image", cache="miss") == 2
    assert value(found, "embeddings_total", kind="image", cache="hit") == 1
    assert value(found, "encode_batch_size_sum", kind="image") == 2


def test_weak_answers_are_counted(workspace: Workspace) -> None:
    metrics = Metrics(workspace, pools={}, is_ready=lambda: True)
    answer = workspace.engine().search(parse_request({"query": "red"}))
    metrics.searched(replace(answer, weak=True), [])
    metrics.searched(replace(answer, weak=False), [])
    assert b"\nsightline_weak_answers_total 1.0\n" in metrics.text()
    assert b"\nsightline_ready 1.0\n" in metrics.text()


def test_what_a_picture_ended_and_what_the_index_lacks_are_told(workspace: Workspace, client: TestClient) -> None:
    found = samples(client)
    assert value(found, "decoder_restarts_total") == workspace.decoder.restarts
    assert value(found, "work_held", pool="searches") == 0
    assert not [labels for name, labels in found if name == "index_lag"]  # nothing is kept in Chroma here


def test_what_chroma_lacks_of_a_collection_is_told(tmp_path: Path) -> None:
    with closing(open_workspace(tmp_path)) as opened:
        metrics = Metrics(opened, pools={}, is_ready=lambda: True)
        opened.library.start_index()
        wait_until_indexed(opened.engine().collection)
        assert b'\nsightline_index_lag{collection="colours"} 0.0\n' in metrics.text()


def test_a_batch_is_counted_by_its_lines(client: TestClient) -> None:
    client.post("/api/search", content=b'{"query": "red"}\nbad\n', headers={"content-type": "application/jsonlines"})
    found = samples(client)
    assert (value(found, "batch_lines_count"), value(found, "batch_lines_sum")) == (1, 2)


def test_two_services_of_one_process_count_apart(workspace: Workspace) -> None:
    one, other = (Metrics(workspace, pools={}, is_ready=lambda: True) for _ in range(2))
    one.encoded("text", new=3, cached=0)
    assert b'sightline_embeddings_total{cache="miss",kind="text"} 3.0' in one.text()
    assert b"sightline_embeddings_total{" not in other.text()


def every_name(workspace: Workspace) -> set[str]:
    """Of the series, once everything was counted once."""
    metrics = Metrics(workspace, pools={}, is_ready=lambda: True)
    metrics.answered(route="/x", status=429, took_s=0.1, lines=1)
    metrics.encoded("text", new=1, cached=1)
    families = text_string_to_metric_families(metrics.text().decode())
    families = [family for family in families if family.name.startswith(("sightline_", "process_"))]
    bases = {family.name for family in families}
    counters = {f"{family.name}_total" for family in families if family.type == "counter"}
    histograms = {f"{f.name}_{end}" for f in families if f.type == "histogram" for end in ("bucket", "count", "sum")}
    return bases | counters | histograms


def test_the_dashboard_names_only_metrics_that_there_are(workspace: Workspace) -> None:
    dashboard = json.loads((ROOT / "deploy" / "dashboards" / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    named = {name for expr in asked for name in re.findall(r"\b(?:sightline|process)_\w+", expr)}
    assert len(asked) >= 12
    assert named - every_name(workspace) == set()


def test_every_metric_of_ours_is_explained_and_on_the_dashboard(workspace: Workspace) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    dashboard = (ROOT / "deploy" / "dashboards" / "grafana.json").read_text(encoding="utf-8")
    metrics = Metrics(workspace, pools={}, is_ready=lambda: True).text().decode()
    for family in text_string_to_metric_families(metrics):
        if family.name.startswith("sightline_") and not family.name.endswith("_created"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert f"`{name}" in page
            assert family.name in dashboard


def test_every_field_of_a_log_line_is_explained() -> None:
    from ui.telemetry import Work, _fields

    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    work = Work({"encode": 1, "search": 1, "rank": 1}, "photos", "pocket", ("red",), True, 1, 0)
    scope = {"method": "GET", "path": "/x", "state": {"request_id": "abc"}}
    for name in (*_fields(scope, 200, 1.0, work), "time", "level", "logger", "message", "exception", "event", "query"):
        assert f"`{name}`" in page
