"""A part goes to a bucket whole or not at all, whoever else makes it at that moment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from app import join
from search.errors import ReleaseDamaged, SourceError, StorageNotFound, StorageUnreachable
from search.share import Share
from settings import Settings
from store.part_place import part_place
from store.s3 import S3
from tests.buckets import BUCKET, Counted, bucket_server, made_bucket
from tests.contract.test_making_parts import Overtaken, works
from tests.contract.test_parts import drawn, kept
from tests.processes import run
from tests.stored import STORES
from ui.parts_command import make_part

COUNT = 24
OUT = f"s3://{BUCKET}/made"
NAME = "part-0001-of-0001"
KEY = f"made/{NAME}.tar.gz"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Any, dict[str, str]]]:
    with bucket_server() as served:
        yield served


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = drawn(tmp_path_factory.mktemp("a") / "photos", COUNT)
    (folder / "0" / "broken.jpg").write_bytes(b"no image")
    return folder


def keys(client: Any, prefix: str) -> list[str]:
    return [told["Key"] for told in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())]


def test_four_processes_make_four_parts_in_one_bucket_which_joined_are_one_index(
    server: tuple[Any, dict[str, str]], images: Path, tmp_path: Path
) -> None:
    client, environment = server

    def made(i: int) -> str:
        arguments = ("index", str(images), "--part", f"{i}/4", "--out", f"s3://{BUCKET}/four")
        return run(*arguments, data_dir=tmp_path / f"{i}", **environment)

    with ThreadPoolExecutor(4) as processes:
        list(processes.map(made, range(1, 5)))
    parts = [f"four/part-{i:04}-of-0004.tar.gz" for i in range(1, 5)]
    assert keys(client, "four/") == parts
    assert works(tmp_path / "1") == []
    places = [f"s3://{BUCKET}/{part}" for part in parts]
    run("index", str(images), "-c", "photos", data_dir=tmp_path / "whole")
    joined = run("import", *places, "-c", "photos", data_dir=tmp_path / "joined", **environment)
    assert f'"photos" has {COUNT} images.' in joined
    assert kept(tmp_path / "joined", "photos") == kept(tmp_path / "whole", "photos")


def test_two_processes_that_make_one_part_at_once_leave_one_and_the_other_is_told(
    server: tuple[Any, dict[str, str]], images: Path, tmp_path: Path
) -> None:
    client, environment = server
    at = f"s3://{BUCKET}/both/{NAME}.tar.gz"

    def made(i: int) -> str:
        arguments = ("index", str(images), "--part", "1/1", "--out", f"s3://{BUCKET}/both/")
        return run(*arguments, data_dir=tmp_path / f"{i}", **environment).splitlines()[0]

    with ThreadPoolExecutor(2) as processes:
        said = sorted(processes.map(made, range(2)))
    assert said == [f"{at} is there already.", f"{at}: {COUNT} images, 1 unusable."]
    assert keys(client, "both/") == [f"both/{NAME}.tar.gz"]
    assert f"has {COUNT} images" in run("import", at, "-c", "photos", data_dir=tmp_path / "joined", **environment)


@pytest.fixture
def bucket() -> Iterator[tuple[S3, Counted]]:
    with made_bucket() as made:
        yield made


def make(images: Path, s3: S3, data_dir: Path, out: str = OUT, **limits: int) -> None:
    stores = replace(STORES, part_place=partial(part_place, open_s3=lambda: s3, **limits))
    make_part(Settings(data_dir=data_dir), join, stores, [str(images)], Share(1, 1), out, model="pocket")


def test_a_finished_part_is_seen_in_the_bucket_before_anything_is_embedded(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3, counted = bucket
    make(images, s3, tmp_path / "one")
    counted.asked.clear()
    capsys.readouterr()
    make(images, s3, tmp_path / "other")
    assert capsys.readouterr().out == f"{OUT}/{NAME}.tar.gz is there already.\n"
    assert counted.asked == [("list_objects_v2", KEY), ("get_object", KEY)]
    assert not (tmp_path / "other" / "parts").exists()


def test_a_part_of_other_images_in_the_bucket_is_not_taken_for_it(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path
) -> None:
    make(images, bucket[0], tmp_path / "data")
    with pytest.raises(SourceError) as refused:
        make(images / "1", bucket[0], tmp_path / "data")
    assert str(refused.value) == (
        f"{OUT}/{NAME}.tar.gz is there already, but it was made of photos/ and not of 1/: take it away to make it "
        "anew, or name another --out."
    )


def test_an_upload_that_breaks_off_leaves_nothing_and_the_same_command_goes_on(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path
) -> None:
    s3, counted = bucket
    with pytest.raises(StorageUnreachable):
        make(images, S3(Broken(counted)), tmp_path)
    assert keys(counted, "") == []
    (work,) = works(tmp_path)
    assert (work / f"{NAME}.tar.gz").exists()
    make(images, s3, tmp_path)
    assert keys(counted, "") == [KEY]
    assert works(tmp_path) == []


class Broken:
    """A client without a way to send anything."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def put_object(self, **given: Any) -> Any:
        given["Body"].read(100)
        raise EndpointConnectionError(endpoint_url="https://s3")


def test_a_process_that_is_faster_made_the_part(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3, counted = bucket

    def overtaken(out: str, name: str) -> Overtaken:
        place = part_place(out, name, open_s3=lambda: s3)
        return Overtaken(place, lambda: make(images, s3, tmp_path / "faster"))

    stores = replace(STORES, part_place=overtaken)
    make_part(Settings(data_dir=tmp_path), join, stores, [str(images)], Share(1, 1), OUT, model="pocket")
    at = f"{OUT}/{NAME}.tar.gz"
    assert capsys.readouterr().out.splitlines() == [f"{at}: {COUNT} images, 1 unusable.", f"{at} is there already."]
    assert [operation for operation, _ in counted.asked].count("put_object") == 2


def test_a_part_that_is_too_large_for_one_request_is_sent_in_pieces(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3, counted = bucket
    make(images, s3, tmp_path, at_once_bytes=1_000)
    at = f"{OUT}/{NAME}.tar.gz"
    assert capsys.readouterr().out == f"{at}: {COUNT} images, 1 unusable.\n"
    assert "put_object" not in dict(counted.asked)
    assert dict(counted.asked)["complete_multipart_upload"] == KEY
    assert works(tmp_path) == []
    make(images, s3, tmp_path, at_once_bytes=1_000)
    assert capsys.readouterr().out == f"{at} is there already.\n"


def test_a_part_in_pieces_takes_no_faster_one_s_place(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3, counted = bucket

    def overtaken(out: str, name: str) -> Overtaken:
        place = part_place(out, name, open_s3=lambda: s3, at_once_bytes=1_000)
        return Overtaken(place, lambda: make(images, s3, tmp_path / "faster"))

    stores = replace(STORES, part_place=overtaken)
    make_part(Settings(data_dir=tmp_path), join, stores, [str(images)], Share(1, 1), OUT, model="pocket")
    at = f"{OUT}/{NAME}.tar.gz"
    assert capsys.readouterr().out.splitlines() == [f"{at}: {COUNT} images, 1 unusable.", f"{at} is there already."]
    assert [operation for operation, _ in counted.asked].count("put_object") == 1
    assert dict(counted.asked)["abort_multipart_upload"] == KEY


def test_a_bucket_that_is_missing_is_said_before_anything_is_embedded(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path
) -> None:
    with pytest.raises(StorageNotFound, match='There is no bucket "nowhere"'):
        make(images, bucket[0], tmp_path, out="s3://nowhere/x")
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize("data", [b"", b"text", b"\x1f\x8b\x08"])
def test_an_object_that_is_no_part_is_left_alone(
    bucket: tuple[S3, Counted], images: Path, tmp_path: Path, data: bytes
) -> None:
    bucket[1].put_object(Bucket=BUCKET, Key=KEY, Body=data)
    with pytest.raises(ReleaseDamaged, match="take it away"):
        make(images, bucket[0], tmp_path)
    assert bucket[1].get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == data
