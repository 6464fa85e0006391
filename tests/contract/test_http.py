"""The HTTP contract of docs/architecture.md, over the real app, store and decoder: search, embeddings, addresses."""

import base64
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from search.workspace import Workspace
from tests.contract.in_process import FAKE, found, refused, serve
from tests.contract.served import COLOURS, open_workspace, picture


def test_an_answer_is_exactly_what_the_contract_says(client: TestClient) -> None:
    answer = client.post("/api/search", json={"query": "red", "top_k": 1}).json()
    took_ms = answer.pop("took_ms")
    (hit,) = answer.pop("hits")
    assert set(took_ms) == {"encode", "search", "rank"}
    assert answer == {"collection": "colours", **FAKE, "via": "exact", "size": 4, "weak": False}
    assert hit.pop("score") == pytest.approx(1.0, abs=1e-3)
    assert hit.pop("uri").startswith("uploads/")
    assert hit == {
        "id": "red",
        "rank": 1,
        "fit": 0.75,
        "thumb": "/thumb/red?collection=colours&v=000000000000",
        "caption": "=plain red",
        "width": 32,
        "height": 24,
        "taken_at": None,
        "metadata": {"year": 2020},
    }


def test_lines_are_answered_by_lines_and_a_bad_one_by_an_error_in_its_place(client: TestClient) -> None:
    sent = b'{"query": "red", "top_k": 1}\n{"embed": {"texts": ["red"]}}\n{"query": "blue", "top_k": 1}\n'
    answer = client.post("/api/search", content=sent, headers={"content-type": "application/jsonlines"})
    assert answer.headers["content-type"] == "application/jsonlines"
    first, bad, last = (json.loads(line) for line in answer.content.splitlines())
    assert [(hit["id"], hit["thumb"]) for hit in first["hits"]] == [
        ("red", "/thumb/red?collection=colours&v=000000000000")
    ]
    assert bad["error"]["code"] == "unknown_field"
    assert [hit["id"] for hit in last["hits"]] == ["blue"]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("blue", ["blue"]),
        ("yellow -green", ["yellow", "red"]),
        ([{"text": "red"}, {"text": "green"}], ["yellow"]),
        ([{"id": "red"}], ["yellow"]),
        ([{"image": base64.b64encode(picture("blue")).decode()}], ["blue"]),
        (
            [{"image": base64.b64encode(picture("red")).decode(), "weight": 0.25}, {"text": "green"}],
            ["green", "yellow"],
        ),
    ],
    ids=["words", "minus", "mix", "id", "image", "weights"],
)
def test_words_pictures_and_items_find(client: TestClient, query: object, first: list[str]) -> None:
    assert found(client.post("/api/search", json={"query": query}))[: len(first)] == first


def test_offset_goes_on_where_the_last_page_ended(client: TestClient) -> None:
    answer = client.post("/api/search", json={"query": "red", "top_k": 1, "offset": 1})
    assert [(hit["id"], hit["rank"]) for hit in answer.json()["hits"]] == [("yellow", 2)]


def test_a_filter_limits_the_hits(client: TestClient) -> None:
    where = {"year": {"gte": 2021, "lt": 2023}}
    assert sorted(found(client.post("/api/search", json={"query": "red", "where": where}))) == ["blue", "green"]


def test_a_text_can_be_the_whole_body(client: TestClient) -> None:
    answer = client.post(
        "/api/search?top_k=1&collection=colours", content="blue", headers={"content-type": "text/plain; charset=utf-8"}
    )
    assert found(answer) == ["blue"]


@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
def test_a_picture_can_be_the_whole_body(client: TestClient, kind: str, media_type: str) -> None:
    answer = client.post(
        "/api/search?top_k=1", content=picture("green", kind=kind), headers={"content-type": media_type}
    )
    assert found(answer) == ["green"]


def test_rows_are_given_where_rows_are_asked_for(client: TestClient) -> None:
    answer = client.post("/api/search", json={"query": "red", "top_k": 2}, headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["rank"], row["id"], row["caption"], row["year"]) for row in rows] == [
        ("1", "red", "'=plain red", "2020"),
        ("2", "yellow", "'=plain yellow", "2023"),
    ]


def image_part(data: bytes) -> dict[str, object]:
    return {"query": [{"image": base64.b64encode(data).decode()}]}


BAD_SEARCHES: dict[str, tuple[object, int, str, str]] = {
    "empty": ({"query": ""}, 422, "empty_query", "Nothing to search for"),
    "blank": ({"query": " \t\n"}, 422, "empty_query", "Nothing to search for"),
    "absent": ({}, 422, "empty_query", "Nothing to search for"),
    "no parts": ({"query": []}, 422, "empty_query", "Nothing to search for"),
    "number": ({"query": 7}, 422, "bad_query", '"query" must be a text or a list of'),
    "long": ({"query": "x" * 10_000}, 422, "query_too_long", "10,000 characters; at most 2,000"),
    "top_k 0": ({"query": "red", "top_k": 0}, 422, "bad_query", "from 1 to 1,000, not '0'"),
    "top_k -1": ({"query": "red", "top_k": -1}, 422, "bad_query", "from 1 to 1,000, not '-1'"),
    "top_k 1e9": ({"query": "red", "top_k": 10**9}, 422, "bad_query", "from 1 to 1,000, not '1000000000'"),
    "top_k NaN": ({"query": "red", "top_k": "NaN"}, 422, "bad_query", "from 1 to 1,000, not 'NaN'"),
    "top_k true": ({"query": "red", "top_k": True}, 422, "bad_query", "from 1 to 1,000, not 'True'"),
    "top_k 1.5": ({"query": "red", "top_k": 1.5}, 422, "bad_query", "from 1 to 1,000, not '1.5'"),
    "offset": ({"query": "red", "offset": 999, "top_k": 2}, 422, "bad_query", "at most 1,000 hits"),
    "field": ({"query": "red", "topk": 3}, 422, "unknown_field", 'a field "topk"'),
    "part": ({"query": [{"words": "red"}]}, 422, "unknown_field", 'a field "words"'),
    "two in one": ({"query": [{"text": "red", "id": "red"}]}, 422, "bad_query", "exactly one of"),
    "weight": ({"query": [{"text": "red", "weight": 1e9}]}, 422, "bad_query", "between -10 and 10"),
    "cancelled": ({"query": [{"text": "red"}, {"text": "red", "weight": -1}]}, 422, "bad_query", "cancel each other"),
    "forged id": ({"query": [{"id": "../../etc/passwd"}]}, 422, "bad_query", "An item's id is"),
    "unknown id": ({"query": [{"id": "nobody"}]}, 404, "item_not_found", '"nobody", which is not in this collection'),
    "forged hash": ({"query": [{"image_hash": "0" * 64}]}, 422, "bad_query", "no longer held"),
    "base64": ({"query": [{"image": "%%%"}]}, 422, "bad_query", "in base64"),
    "base64 letters": ({"query": [{"image": "é"}]}, 422, "bad_query", "in base64"),
    "no image": (image_part(b"not an image"), 422, "unsupported_format", ""),
    "cut image": (image_part(picture("red", (400, 400), "JPEG")[:400]), 422, "unreadable_image", ""),
    "svg": (image_part(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), 422, "unsupported_format", ""),
    "collection": ({"query": "red", "collection": "nowhere"}, 404, "collection_not_found", "no collection 'nowhere'"),
    "forged collection": ({"query": "red", "collection": "../.."}, 404, "collection_not_found", "no collection"),
    "no name": ({"query": "red", "collection": 5}, 422, "bad_query", '"collection" must be the name'),
    "where": ({"query": "red", "where": [1]}, 422, "bad_query", '"where" must be an object'),
    "operator": ({"query": "red", "where": {"year": {"like": 2}}}, 422, "bad_query", 'uses "like"'),
    "unknown where": ({"query": "red", "where": {"nope": 1}}, 422, "unknown_field", 'names the field "nope", which'),
    "deep where": ({"query": "red", "where": {"year": {"eq": {"eq": 1}}}}, 422, "bad_query", 'filter on "year"'),
}


@pytest.mark.parametrize(("body", "status", "code", "message"), BAD_SEARCHES.values(), ids=BAD_SEARCHES)
def test_a_bad_query_is_refused_in_one_sentence(
    client: TestClient, body: object, status: int, code: str, message: str
) -> None:
    answer = refused(client.post("/api/search", json=body))
    assert answer[:2] == (status, code)
    assert message in answer[2]


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "not_json"),
        (b"", "application/json", 400, "not_json"),
        (b"[1]", "application/json", 400, "not_json"),
        (b'{"query": "red", "top_k": NaN}', "application/json", 400, "not_json"),
        (b'{"query": ' + b"[" * 100_000, "application/json", 400, "not_json"),
        (b"query=red", "application/x-www-form-urlencoded", 415, "unsupported_type"),
        (b"<svg/>", "image/svg+xml", 415, "unsupported_type"),
        (b"red", "", 415, "unsupported_type"),
        (b"\xff\xfe", "text/plain", 422, "bad_query"),
        (b"", "text/plain", 422, "empty_query"),
        (b"", "image/png", 422, "empty_query"),
        (b"nothing", "image/png", 422, "unsupported_format"),
        (bytes(3 * 2**20), "image/png", 413, "body_too_large"),
    ],
)
def test_a_bad_body_is_refused_with_its_status(
    client: TestClient, content: bytes, media_type: str, status: int, code: str
) -> None:
    answer = client.post("/api/search", content=content, headers={"content-type": media_type})
    assert refused(answer)[:2] == (status, code)


@pytest.mark.parametrize("address", ["/api/search", "/api/query-images"])
def test_a_picture_in_a_form_is_refused_before_it_is_read(client: TestClient, address: str) -> None:
    answer = refused(client.post(address, files={"file": ("green.png", bytes(3 * 2**20), "image/png")}))
    assert answer[:2] == (415, "unsupported_type")
    assert answer[2].endswith('not "multipart/form-data". Set the header Content-Type to what the body is.')


@pytest.mark.parametrize("asked", [{}, {"where": {"width": 32}}, {"ids": ["red"], "where": {"width": 1}}])
def test_an_export_that_names_nothing_is_refused(client: TestClient, asked: dict[str, object]) -> None:
    answer = refused(client.post("/api/export.csv", json=asked))
    assert answer[:2] == (422, "bad_query")
    assert answer[2].startswith('Say what to export: "ids", a list of ids, or "query" as in a search')


def test_a_body_that_announces_no_length_is_cut_off_at_the_limit(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(2**16)

    answer = client.post("/api/search", content=endless(), headers={"content-type": "image/png"})
    assert refused(answer) == (
        413,
        "body_too_large",
        "The request's body is larger than 2 MB, the most that is read here.",
    )


def test_a_number_in_the_address_is_checked_as_one_in_the_body(client: TestClient) -> None:
    answer = client.post("/api/search?top_k=1e3", content="red", headers={"content-type": "text/plain"})
    assert refused(answer)[1:] == ("bad_query", "\"top_k\" must be a whole number from 1 to 1,000, not '1e3'.")


def test_a_search_after_all_these_still_answers(client: TestClient) -> None:
    assert found(client.post("/api/search", json={"query": "green"}))[0] == "green"


def test_embeddings_are_given_in_order(client: TestClient) -> None:
    image = base64.b64encode(picture("blue")).decode()
    answer = client.post("/api/embed", json={"texts": ["red", "green"], "images": [image]}).json()
    assert answer["embeddings"]["texts"] == [[1, 0, 0], [0, 1, 0]]
    assert answer["embeddings"]["images"] == [pytest.approx([0, 0, 1], abs=1e-4)]
    assert {name: answer[name] for name in FAKE} == FAKE


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "empty_query"),
        ({"texts": [""]}, "empty_query"),
        ({"texts": "red"}, "bad_query"),
        ({"texts": [1]}, "bad_query"),
        ({"texts": ["red"] * 257}, "bad_query"),
        ({"images": ["%"]}, "bad_query"),
        ({"words": ["red"]}, "bad_query"),
    ],
)
def test_what_can_not_be_embedded_is_refused(client: TestClient, body: object, code: str) -> None:
    assert refused(client.post("/api/embed", json=body))[:2] == (422, code)


def test_ping_is_ready_after_a_real_search(workspace: Workspace) -> None:
    with serve(workspace) as client:
        client.app.state.service.readiness.check_now()  # type: ignore[attr-defined]
        assert client.get("/ping").json() == {"ready": True}


def test_the_documentation_asks_nothing_of_anybody(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "/api/search" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


def test_the_description_names_every_route_of_the_contract(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == {
        ("/healthz", "get"),
        ("/ping", "get"),
        ("/metrics", "get"),
        ("/api/me", "get"),
        ("/api/search", "post"),
        ("/api/embed", "post"),
        ("/thumb/{id}", "get"),
        ("/image/{id}", "get"),
        ("/api/query-images", "post"),
        ("/api/marks", "post"),
        ("/api/export.csv", "post"),
        ("/api/export.zip", "post"),
        ("/api/images", "post"),
        ("/api/jobs", "get"),
        ("/api/jobs", "post"),
        ("/api/jobs/{id}", "get"),
        ("/api/jobs/{id}", "delete"),
        ("/api/jobs/{id}/resume", "post"),
        ("/api/collections", "get"),
        ("/api/collections", "post"),
        ("/api/collections/{name}", "get"),
        ("/api/collections/{name}", "delete"),
        ("/api/models", "get"),
        ("/api/models", "post"),
        ("/api/models", "delete"),
        ("/api/models/speed", "post"),
        ("/api/models/remove", "post"),
        ("/api/makings", "post"),
        ("/api/makings/{name}", "delete"),
        ("/api/evaluate", "get"),
        ("/api/evaluate", "post"),
        ("/api/evaluate/{id}", "get"),
        ("/api/evaluate/{id}", "delete"),
        ("/api/report.json", "get"),
        ("/api/report.csv", "get"),
        ("/api/report.html", "get"),
    }


@pytest.mark.parametrize(
    ("method", "address", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("POST", "/api/nothing", 404, "not_found"),
        ("GET", "/api/search", 405, "method_not_allowed"),
        ("OPTIONS", "/api/search", 405, "method_not_allowed"),
        ("TRACE", "/api/search", 405, "method_not_allowed"),
        ("DELETE", "/thumb/red", 405, "method_not_allowed"),
    ],
)
def test_an_address_that_is_none_has_a_typed_error(
    client: TestClient, method: str, address: str, status: int, code: str
) -> None:
    assert refused(client.request(method, address))[:2] == (status, code)


def test_a_wrong_method_is_told_the_right_ones(client: TestClient) -> None:
    assert client.get("/api/search").headers["allow"] == "POST"
    assert client.put("/api/jobs").headers["allow"] == "GET, POST"


def test_every_colour_finds_itself(client: TestClient) -> None:
    assert {colour: found(client.post("/api/search", json={"query": colour, "top_k": 1})) for colour in COLOURS} == {
        colour: [colour] for colour in COLOURS
    }


def test_the_workspace_fills_a_fresh_folder(tmp_path: Path) -> None:
    opened = open_workspace(tmp_path)
    assert opened.default == "colours"
    opened.close()
