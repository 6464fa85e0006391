"""The HTTP contract of docs/architecture.md, over the real app, store and decoder."""

import base64
import csv
import io
import json
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from search.errors import DiskFull, EncoderMismatch, ModelDamaged
from search.types import Embeddings
from search.workspace import Workspace
from tests.contract.served import COLOURS, open_workspace, picture
from tests.fakes import FakeEncoder
from tests.stored import wait_until
from ui.access import TOKEN_HEADER, Access
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


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path_factory.mktemp("data"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[TestClient]:
    assert workspace.jobs is not None
    workspace.jobs.start()
    with serve(workspace) as client:
        yield client


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


# Search


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


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF", "WEBP"])
def test_every_kind_of_picture_that_can_be_read_may_be_the_body(client: TestClient, kind: str) -> None:
    sent: dict[str, Any] = {
        "content": picture("green", kind=kind),
        "headers": {"content-type": f"image/{kind.lower()}"},
    }
    assert found(client.post("/api/search", **sent))[0] == "green"
    assert client.post("/api/query-images", **sent).json()["width"] == 32


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


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A small picture whose header claims another size."""
    data = bytearray(picture("red"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


RED = Image.new("RGB", (40, 30), (255, 0, 0))
USABLE = {
    "1x1": encoded(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG"),
    "CMYK": encoded(RED.convert("CMYK"), "JPEG"),
    "palette": encoded(RED.convert("P"), "PNG"),
    "alpha": encoded(RED.convert("RGBA"), "PNG"),
    "animated": encoded(RED, "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), (0, 0, 255))]),
}
UNUSABLE = {
    "width 0": (png_of_size(0, 24), "unreadable_image"),
    "2 gigapixels": (png_of_size(50_000, 40_000), "image_too_large"),
    "60,000 x 1": (encoded(Image.new("RGB", (60_000, 1)), "PNG"), "image_too_large"),
    "truncated": (encoded(RED.resize((400, 300)), "PNG")[:300], "unreadable_image"),
    "text": (b"hello", "unsupported_format"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
}


@pytest.mark.parametrize("image", USABLE.values(), ids=USABLE)
@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
def test_an_unusual_picture_finds_whatever_it_is_called(client: TestClient, image: bytes, media_type: str) -> None:
    assert found(client.post("/api/search?top_k=1", content=image, headers={"content-type": media_type})) == ["red"]


@pytest.mark.parametrize(("image", "code"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_picture_is_refused_in_time_and_harms_no_neighbour(
    client: TestClient, image: bytes, code: str
) -> None:
    started = time.monotonic()
    answer = client.post("/api/search", content=image, headers={"content-type": "image/png"})
    assert time.monotonic() - started < 2
    assert refused(answer)[:2] == (422, code)
    assert found(client.post("/api/search", json={"query": "red", "top_k": 1})) == ["red"]


# Embeddings


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


# Pictures


def test_a_thumbnail_is_webp_kept_for_good_under_its_version(client: TestClient) -> None:
    hit = client.post("/api/search", json={"query": "red", "top_k": 1}).json()["hits"][0]
    answer = client.get(hit["thumb"])
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(answer.content)).format == "WEBP"
    again = client.get(hit["thumb"], headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_without_its_version_a_thumbnail_is_kept_for_a_minute(client: TestClient) -> None:
    assert client.get("/thumb/red").headers["cache-control"] == "private, max-age=60"


def test_a_thumbnail_that_was_lost_is_made_of_the_original(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    with serve(workspace) as client:
        for kept in tmp_path.glob("**/thumbs/*/*.webp"):
            kept.unlink()
        answer = client.get("/thumb/red")
        assert Image.open(io.BytesIO(answer.content)).size == (32, 24)
        for original in tmp_path.glob("uploads/*/*.png"):
            original.unlink()
        assert refused(client.get("/thumb/red"))[:2] == (404, "item_not_found")
    workspace.close()


def test_an_image_is_encoded_anew_within_the_size_asked_for(client: TestClient) -> None:
    answer = client.get("/image/red?px=16&collection=colours")
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (16, 12)


@pytest.mark.parametrize("address", ["/thumb/nobody", "/image/nobody", "/thumb/red%00", "/thumb/%F0%9F%90%9F"])
def test_a_forged_id_finds_nothing(client: TestClient, address: str) -> None:
    assert refused(client.get(address))[:2] == (404, "item_not_found")


@pytest.mark.parametrize("collection", ["nowhere", "..", "%2e%2e%2fuploads", "colours%00"])
def test_a_forged_collection_finds_nothing(client: TestClient, collection: str) -> None:
    assert refused(client.get(f"/thumb/red?collection={collection}"))[:2] == (404, "collection_not_found")


@pytest.mark.parametrize("px", ["0", "-1", "15", "4097", "NaN", "1000000000"])
def test_a_size_out_of_bounds_is_refused(client: TestClient, px: str) -> None:
    assert refused(client.get(f"/image/red?px={px}"))[:2] == (422, "bad_query")


def test_a_kept_picture_is_a_query_by_its_hash(client: TestClient) -> None:
    kept = client.post("/api/query-images", content=picture("blue"), headers={"content-type": "image/png"}).json()
    assert (kept["width"], kept["height"]) == (32, 24)
    thumb = base64.b64decode(kept["thumb"].removeprefix("data:image/webp;base64,"), validate=True)
    assert Image.open(io.BytesIO(thumb)).format == "WEBP"
    assert found(client.post("/api/search", json={"query": [{"image_hash": kept["hash"]}], "top_k": 1})) == ["blue"]


# Downloads


def test_a_table_has_rank_and_score_of_the_query(client: TestClient) -> None:
    answer = client.post("/api/export.csv", json={"ids": ["yellow", "red"], "query": "red", "collection": "colours"})
    assert answer.headers["content-disposition"] == 'attachment; filename="sightline.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row["rank"], row["score"][:4], row["id"]) for row in rows] == [
        ("2", "0.70", "yellow"),
        ("1", "1.00", "red"),
    ]


def test_a_table_of_items_alone_has_no_rank(client: TestClient) -> None:
    answer = client.post("/api/export.csv", json={"ids": ["blue", "nobody", "blue"]})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row["rank"], row["score"], row["id"]) for row in rows] == [("", "", "blue")]


def test_a_form_takes_the_originals_away_in_one_archive(client: TestClient) -> None:
    wanted = {"request": json.dumps({"ids": ["red", "blue"]})}
    answer = client.post("/api/export.zip", data=wanted, headers={"origin": HERE})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["x-limit-files"] == "500"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.read(name) for name in archive.namelist()) == sorted([picture("red"), picture("blue")])


@pytest.mark.parametrize(
    "body", [{"ids": []}, {"ids": ["nobody"]}, {"ids": "red"}, {"ids": [1]}, {"ids": ["a"] * 1001}, {"paths": ["/etc"]}]
)
def test_an_unusable_selection_is_refused(client: TestClient, body: object) -> None:
    assert refused(client.post("/api/export.zip", json=body))[:2] == (422, "bad_query")


# Collections


def test_collections_are_listed_with_their_counts(client: TestClient) -> None:
    answer = client.get("/api/collections").json()
    assert [(entry["name"], entry["model"], entry["count"]) for entry in answer["collections"]] == [
        ("colours", "fake", 4)
    ]
    assert answer["default"] == "colours"
    assert answer["models"] == [{"name": "fake", "title": "Fake", "note": "Knows colours."}]
    assert answer["may_change"] is True


def test_a_collection_is_made_shown_and_deleted(client: TestClient) -> None:
    made = client.post("/api/collections", json={"name": "holidays", "model": "fake"})
    assert (made.status_code, made.json()) == (201, {"name": "holidays", **FAKE})
    shown = client.get("/api/collections/holidays").json()
    assert (shown["count"], shown["fields"], shown["failures"]) == (0, {}, [])
    assert client.delete("/api/collections/holidays").json() == {"deleted": "holidays"}
    assert refused(client.get("/api/collections/holidays"))[:2] == (404, "collection_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "colours", "model": "fake"}, 409, "collection_exists"),
        ({"name": "../up", "model": "fake"}, 422, "collection_error"),
        ({"name": "x"}, 422, "bad_query"),
        ({"name": None, "model": "fake"}, 422, "bad_query"),
        ({"name": ["x"], "model": "fake"}, 422, "bad_query"),
        ({"name": "x", "model": "fake", "dim": 3}, 422, "bad_query"),
    ],
)
def test_an_unusable_collection_is_refused(client: TestClient, body: object, status: int, code: str) -> None:
    assert refused(client.post("/api/collections", json=body))[:2] == (status, code)


@pytest.mark.parametrize("name", ["", "  ", "a/b", "-a"])
@pytest.mark.parametrize("path", ["/api/collections", "/api/makings"])
def test_a_name_that_is_none_is_answered_by_what_a_name_must_be(client: TestClient, path: str, name: str) -> None:
    """Whatever else is wrong: no model is looked for first."""
    answer = client.post(path, json={"name": name, "model": "no/such"})
    assert refused(answer)[:2] == (422, "collection_error")
    assert answer.json()["error"]["message"] == (
        f"{name!r} can't be a collection's name: use 1 to 64 letters, digits, spaces, and _ . - inside; "
        "begin with a letter or digit, end with no space or dot."
    )


# Bringing images in


@pytest.fixture
def holidays(workspace: Workspace) -> Iterator[str]:
    workspace.create("holidays", model="fake")
    yield "holidays"
    workspace.delete("holidays")


def finished(workspace: Workspace, answer: Any) -> dict[str, Any]:
    """The answer to the upload, and under "job" the job when it is finished."""
    assert answer.status_code == 202, answer.text
    assert workspace.jobs is not None
    jobs, id = workspace.jobs, answer.json()["job"]
    wait_until(lambda: jobs.get(id).is_finished)
    return {**answer.json(), "job": jobs.get(id)}


def test_uploaded_images_are_kept_indexed_and_found(client: TestClient, workspace: Workspace, holidays: str) -> None:
    files = [
        ("file", ("beach/sea.png", picture("blue"), "image/png")),
        ("file", ("torn.jpg", b"no image", "image/jpeg")),
        ("file", ("huge.png", bytes(2**20 + 1), "image/png")),
    ]
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    (refused_file,) = done["refused"]
    assert (refused_file["name"], refused_file["code"]) == ("huge.png", "image_too_large")
    job = client.get(f"/api/jobs/{done['job'].id}").json()
    assert (job["state"], job["is_finished"], job["collection"], job["error"]) == ("done", True, holidays, None)
    assert [job["progress"][field] for field in ("total", "done", "indexed", "failed")] == [2, 2, 1, 1]
    (hit,) = client.post("/api/search", json={"query": "blue", "collection": holidays}).json()["hits"]
    assert (hit["metadata"]["folder"], hit["metadata"]["name"]) == ("beach", "sea.png")
    (failure,) = client.get(f"/api/collections/{holidays}").json()["failures"]
    assert failure["code"] == "unsupported_format"
    with zipfile.ZipFile(
        io.BytesIO(client.post("/api/export.zip", json={"ids": [hit["id"]], "collection": holidays}).content)
    ) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"sea.png": picture("blue")}


def test_an_uploaded_archive_is_unpacked_and_indexed(client: TestClient, workspace: Workspace, holidays: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("trip/red.png", picture("red"))
        archive.writestr("../../evil.png", picture("green"))
    files = {"file": ("holidays.zip", packed.getvalue(), "application/zip")}
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    assert done["job"].state == "done"
    assert done["refused"] == []
    hits = client.post("/api/search", json={"query": "red", "collection": holidays}).json()["hits"]
    assert hits[0]["metadata"]["name"] == "red.png"
    assert all(hit["uri"].startswith("uploads/") for hit in hits)


def test_an_uploaded_archive_keeps_its_name_in_what_is_said_of_it(
    client: TestClient, workspace: Workspace, holidays: str
) -> None:
    files = {"file": ("trip/holidays.zip", b"PK\x03\x04 torn", "application/zip")}
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    said = client.get(f"/api/jobs/{done['job'].id}").json()["error"]
    assert said == {
        "code": "source_error",
        "message": "holidays.zip is not a zip archive that can be read: pack it again.",
    }


def test_an_upload_that_only_begins_like_an_archive_is_taken_as_an_image(
    client: TestClient, workspace: Workspace, holidays: str
) -> None:
    files = {"file": ("../notes.png", b"PK, he said", "image/png")}
    done = finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    assert done["job"].state == "done"
    (failure,) = client.get(f"/api/jobs/{done['job'].id}").json()["failures"]
    assert (failure["uri"].split("/")[0], failure["code"]) == ("uploads", "unsupported_format")
    assert failure["message"].startswith("notes.png ")


def test_the_folder_of_an_upload_leads_nowhere(client: TestClient, workspace: Workspace, holidays: str) -> None:
    files = {"file": ("../../../tmp/fresh/sea.png", picture("blue"), "image/png")}
    finished(workspace, client.post(f"/api/images?collection={holidays}", files=files))
    (hit,) = client.post("/api/search", json={"query": "blue", "collection": holidays}).json()["hits"]
    assert (hit["metadata"]["folder"], hit["metadata"]["name"]) == ("tmp/fresh", "sea.png")


def test_a_job_is_taken_and_shown_before_the_background_work_begins(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    workspace = open_workspace(tmp_path / "data")
    with serve(workspace) as client:
        taken = client.post("/api/jobs", json={"paths": [str(tmp_path / "pictures")], "collection": "colours"})
        assert taken.status_code == 202, taken.text
        assert client.get(f"/api/jobs/{taken.json()['job']}").json()["state"] == "waiting"
    workspace.close()


def test_a_cancelled_job_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    workspace = open_workspace(tmp_path / "data")
    with serve(workspace) as client:
        job = client.post("/api/jobs", json={"paths": [str(tmp_path / "pictures")], "collection": "colours"}).json()
        assert client.delete(f"/api/jobs/{job['job']}").json()["state"] == "cancelled"
        resumed = client.post(f"/api/jobs/{job['job']}/resume")
        assert (resumed.status_code, resumed.json()["state"]) == (202, "waiting")
        assert refused(client.post("/api/jobs/nobody/resume"))[:2] == (404, "job_not_found")
    workspace.close()


def test_a_job_says_whether_a_newer_one_indexes_the_same(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path / "data")
    with serve(workspace) as client:
        for name in ("one", "two", "one"):
            (tmp_path / name).mkdir(exist_ok=True)
            client.post("/api/jobs", json={"paths": [str(tmp_path / name)], "collection": "colours"})
        jobs = client.get("/api/jobs").json()["jobs"]
    assert [job["is_superseded"] for job in jobs] == [False, False, True]
    workspace.close()


def test_uploaded_originals_go_with_their_collection(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    assert workspace.jobs is not None
    workspace.jobs.start()
    kept = {path.name for path in (tmp_path / "uploads").glob("??/*")}
    workspace.create("trip", model="fake")
    with serve(workspace) as client:
        files = {"file": ("sea.png", picture("blue", (9, 9)), "image/png")}
        finished(workspace, client.post("/api/images?collection=trip", files=files))
        assert len(list((tmp_path / "uploads").glob("??/*"))) == len(kept) + 1
        assert client.delete("/api/collections/trip").status_code == 200
    wait_until(lambda: not (tmp_path / "uploads" / ".untidy").exists())
    assert {path.name for path in (tmp_path / "uploads").glob("??/*")} == kept
    workspace.close()


def test_a_folder_is_indexed_in_place(client: TestClient, workspace: Workspace, holidays: str, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "sun.png").write_bytes(picture("yellow"))
    answer = client.post("/api/jobs", json={"paths": [str(folder)], "collection": holidays})
    job = finished(workspace, answer)["job"]
    assert job.state == "done"
    (hit,) = client.post("/api/search", json={"query": "yellow", "collection": holidays}).json()["hits"]
    assert hit["uri"] == "pictures/sun.png"
    assert str(tmp_path) not in client.get("/api/jobs").text
    assert client.get(f"/image/{hit['id']}?collection={holidays}").status_code == 200
    (folder / "sun.png").unlink()
    gone = refused(client.get(f"/image/{hit['id']}?collection={holidays}"))
    assert gone[:2] == (404, "item_not_found")
    assert str(tmp_path) not in gone[2]
    assert client.delete(f"/api/jobs/{job.id}").json()["state"] == "done"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"paths": ["/nowhere/at all"], "collection": "colours"}, 422, "source_error"),
        ({"paths": ["relative"], "collection": "colours"}, 422, "bad_query"),
        ({"paths": ["s3://No Bucket/a"], "collection": "colours"}, 422, "source_error"),
        ({"paths": ["/a\0b"], "collection": "colours"}, 422, "bad_query"),
        ({"paths": [], "collection": "colours"}, 422, "bad_query"),
        ({"paths": "/etc", "collection": "colours"}, 422, "bad_query"),
        ({"paths": ["/etc"]}, 422, "bad_query"),
        ({"paths": ["/etc"], "collection": "nowhere"}, 404, "collection_not_found"),
        ({"paths": ["/etc"], "collection": "colours", "prune": "yes"}, 422, "bad_query"),
        ({"paths": ["/etc"], "collection": "colours", "follow": True}, 422, "bad_query"),
    ],
)
def test_an_unusable_job_is_refused(client: TestClient, body: object, status: int, code: str) -> None:
    assert refused(client.post("/api/jobs", json=body))[:2] == (status, code)


def test_an_unusable_upload_is_refused(client: TestClient) -> None:
    files = {"file": ("a.png", picture("red"), "image/png")}
    huge = {"file": ("huge.png", bytes(2**20 + 1), "image/png")}
    endless = {"file": ("endless.png", bytes(5 * 2**20), "image/png")}
    addresses = ["/api/images?collection=nowhere", "/api/images", "/api/images?collection=colours"]
    assert refused(client.post(addresses[0], files=files))[:2] == (404, "collection_not_found")
    assert refused(client.post(addresses[1], files=files))[:2] == (422, "bad_query")
    assert refused(client.post(addresses[2], files=huge))[:2] == (422, "image_too_large")
    assert refused(client.post(addresses[2], files=endless))[:2] == (413, "body_too_large")
    assert refused(client.post(addresses[2], json={}))[:2] == (415, "unsupported_type")
    no_boundary = {"content-type": "multipart/form-data"}
    assert refused(client.post(addresses[2], content=b"x", headers=no_boundary))[:2] == (400, "bad_request")
    assert refused(client.post(addresses[2], data={"file": "text"}, files={}))[:2] == (415, "unsupported_type")


def test_a_forged_job_is_none(client: TestClient) -> None:
    assert refused(client.get("/api/jobs/nobody"))[:2] == (404, "job_not_found")
    assert refused(client.delete("/api/jobs/..%2f..%2fx"))[:2] == (404, "not_found")


# Who may do what


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


# Too much, too slow, broken


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


# Health, documentation, addresses that are none


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
