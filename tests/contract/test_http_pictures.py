"""The HTTP contract of docs/architecture.md: pictures that ask, pictures that are shown, and what is taken away."""

import base64
import csv
import io
import json
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.contract.in_process import HERE, found, refused, serve
from tests.contract.served import open_workspace, picture


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "AVIF", "WEBP"])
def test_every_kind_of_picture_that_can_be_read_may_be_the_body(client: TestClient, kind: str) -> None:
    sent: dict[str, Any] = {
        "content": picture("green", kind=kind),
        "headers": {"content-type": f"image/{kind.lower()}"},
    }
    assert found(client.post("/api/search", **sent))[0] == "green"
    assert client.post("/api/query-images", **sent).json()["width"] == 32


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
