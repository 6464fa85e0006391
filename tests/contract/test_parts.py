"""Images embedded by several processes and joined are what one process would have made of them."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from app import join
from search.shipped_item import TYPE, read_item
from search.types import Collection, Failure
from settings import Settings
from tests.contract.served import open_workspace, picture
from tests.processes import run
from ui.access import Access
from ui.readiness import Readiness, search_check
from ui.serve import make_serve_app
from ui.service import Limits, make_service

COUNT = 24


def drawn(folder: Path, count: int) -> Path:
    for number in range(count):
        path = folder / f"{number % 3}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = drawn(tmp_path_factory.mktemp("photos"), COUNT)
    (folder / "0" / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def parts(images: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Made by four processes at once."""
    out = tmp_path_factory.mktemp("parts")
    with ThreadPoolExecutor(4) as processes:
        list(
            processes.map(
                lambda i: run("index", str(images), "--part", f"{i}/4", "--out", str(out), data_dir=out / f".{i}"),
                range(1, 5),
            )
        )
    return sorted(path for path in out.iterdir() if path.name.startswith("part-"))


def kept(data_dir: Path, name: str) -> tuple[dict[str, object], dict[str, bytes]]:
    """By uri: each record without what is given anew each time, and its embedding's bytes."""
    workspace = join(Settings(data_dir=data_dir), write=False)
    collection: Collection = workspace.open(name)
    records = collection.page(offset=0, count=1_000)
    embeddings = collection.embeddings([record.id for record in records])
    found = {record.uri: replace(record, id="", added_at="") for record in records}
    rows = {record.uri: embeddings[record.id].tobytes() for record in records}
    workspace.close()
    return dict(found), rows


def failures(data_dir: Path, name: str) -> list[Failure]:
    with closing(join(Settings(data_dir=data_dir), write=False)) as workspace:
        return workspace.open(name).failures()


def test_four_parts_joined_are_one_index(images: Path, parts: list[Path], tmp_path: Path) -> None:
    run("index", str(images), "--collection", "photos", data_dir=tmp_path / "whole")
    said = run("import", *map(str, parts), "-c", "photos", "--source", str(images), data_dir=tmp_path / "joined")
    assert f'"photos" has {COUNT} images.' in said
    assert kept(tmp_path / "joined", "photos") == kept(tmp_path / "whole", "photos")
    assert "1 file was unusable:\n" in said
    assert failures(tmp_path / "joined", "photos") == failures(tmp_path / "whole", "photos")
    assert [failure.uri for failure in failures(tmp_path / "joined", "photos")] == [f"{images.name}/0/broken.jpg"]


def test_joining_again_changes_nothing(parts: list[Path], tmp_path: Path) -> None:
    for _ in range(2):
        run("import", *map(str, parts), "-c", "photos", data_dir=tmp_path)
    assert len(kept(tmp_path, "photos")[0]) == COUNT


def test_a_damaged_and_a_missing_part_are_named_and_the_others_come_in(
    images: Path, parts: list[Path], tmp_path: Path
) -> None:
    damaged = tmp_path / parts[1].name
    subprocess.run(["cp", "-R", str(parts[1]), str(damaged)], check=True)
    (damaged / "collection" / "catalog.sqlite").write_bytes(b"")
    said = run("import", str(parts[0]), str(damaged), str(parts[2]), "-c", "photos", data_dir=tmp_path / "d", code=1)
    assert f"{damaged} was left out" in said
    assert f"Of 4 parts of {images.name}/ these are missing: 2, 4." in said
    told = [json.loads((part / "manifest.json").read_text())["collection"] for part in (parts[0], parts[2])]
    assert len(kept(tmp_path / "d", "photos")[0]) == sum(part["images"] for part in told) > 0


@pytest.mark.parametrize(
    "told", [3, [], {}, {"number": "1", "of": 4}, {"number": 1, "of": [4]}, {"number": 5, "of": 4}]
)
def test_a_manifest_that_names_no_part_is_left_out_by_name(parts: list[Path], tmp_path: Path, told: object) -> None:
    odd = tmp_path / "odd"
    subprocess.run(["cp", "-R", str(parts[1]), str(odd)], check=True)
    manifest = json.loads((odd / "manifest.json").read_text())
    (odd / "manifest.json").write_text(json.dumps(manifest | {"part": told}))
    said = run("import", str(odd), *map(str, parts), "-c", "photos", data_dir=tmp_path / "d", code=1)
    assert f"{odd} was left out: It is no part that `index --part` made.\n" in said
    assert len(kept(tmp_path / "d", "photos")[0]) == COUNT


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    workspace = open_workspace(tmp_path / "served")
    readiness = Readiness(search_check(workspace, model="fake"))
    service = make_service(workspace, access=Access(host="0.0.0.0"), limits=Limits(), readiness=readiness)
    yield TestClient(make_serve_app(service))
    service.close()
    workspace.close()


def test_a_picture_is_answered_by_what_a_collection_keeps_of_it(client: TestClient) -> None:
    data = picture("red")
    answer = client.post("/invocations", content=data, headers={"content-type": "image/png", "accept": TYPE})
    assert answer.headers["content-type"] == TYPE
    item = read_item(answer.content, uri="s3://b/red.png")
    assert (item.record.width, item.record.height, item.record.size_bytes) == (32, 24, len(data))
    np.testing.assert_allclose(item.embedding, [1, 0, 0], atol=1e-3)


def test_a_jobs_output_is_joined_and_what_is_no_item_is_named(tmp_path: Path) -> None:
    images, outputs = drawn(tmp_path / "in", 6), tmp_path / "out"
    workspace = join(Settings(data_dir=tmp_path / "serve"), write=False)
    readiness = Readiness(search_check(workspace, model="pocket"))
    service = make_service(workspace, access=Access(host="0.0.0.0"), limits=Limits(), readiness=readiness)
    serve = TestClient(make_serve_app(service))
    for path in sorted(images.rglob("*.png")):
        out = outputs / f"{path.relative_to(images)}.out"
        out.parent.mkdir(parents=True, exist_ok=True)
        headers = {"content-type": "image/jpeg", "accept": TYPE}  # a job has one type for all; the bytes say what it is
        out.write_bytes(serve.post("/invocations", content=path.read_bytes(), headers=headers).content)
    service.close()
    workspace.close()
    (outputs / "bad.png.out").write_bytes(b'{"error": {}}')
    arguments = ("import", str(outputs), "-c", "photos", "--source", "s3://bucket/in")
    said = run(*arguments, data_dir=tmp_path / "joined", code=1)
    assert "bad.png was left out: It is no item" in said
    run("index", str(images), "-c", "photos", data_dir=tmp_path / "whole")
    joined, whole = kept(tmp_path / "joined", "photos")[1], kept(tmp_path / "whole", "photos")[1]
    assert sorted(joined) == [f"s3://bucket/in/{number % 3}/{number:03}.png" for number in (0, 3, 1, 4, 2, 5)]
    for uri, row in joined.items():
        other = whole["in/" + uri.removeprefix("s3://bucket/in/")]
        assert float(np.frombuffer(row, np.float32) @ np.frombuffer(other, np.float32)) >= 0.9999
