"""A release goes to an address made of its content, only what is missing, the manifest last."""

import os
from pathlib import Path

import pytest

from deploy.errors import BadConfig
from deploy.release import content_hash, files_of, publish
from deploy.sections import Release
from tests.deploy_fakes import FakeAws


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "release" / "model").mkdir(parents=True)
    (tmp_path / "release" / "manifest.json").write_bytes(b'{"files": {"zebra": {}, "model/weights": {}}}')
    (tmp_path / "release" / "zebra").write_bytes(b"stripes")
    (tmp_path / "release" / "model" / "weights").write_bytes(b"1234")
    return tmp_path / "release"


def put(aws: FakeAws) -> list[str]:
    return [request["Key"] for operation, request in aws.calls if operation == "upload_file"]


def test_a_folder_is_uploaded_with_its_manifest_last(folder: Path) -> None:
    aws = FakeAws()
    said: list[str] = []
    address = publish(Release(path=str(folder)), "bucket", aws, said.append)
    prefix = address.removeprefix("s3://bucket/")
    assert prefix == f"releases/{content_hash(files_of(folder))}"
    assert put(aws) == [f"{prefix}/model/weights", f"{prefix}/zebra", f"{prefix}/manifest.json"]
    assert said == [f"Uploading 3 files of {folder}, 0.0 MB …"]


def test_what_an_interrupted_run_sent_is_not_sent_again(folder: Path) -> None:
    aws = FakeAws()
    address = publish(Release(path=str(folder)), "bucket", aws, [].append)
    del aws.objects[f"{address.removeprefix('s3://bucket/')}/zebra"]
    aws.calls.clear()
    assert publish(Release(path=str(folder)), "bucket", aws, [].append) == address
    assert [key.rpartition("/")[2] for key in put(aws)] == ["zebra"]


def test_another_content_has_another_address(folder: Path) -> None:
    first = content_hash(files_of(folder))
    (folder / "zebra").write_bytes(b"stripes!")
    assert content_hash(files_of(folder)) != first


def test_an_archive_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"packed")
    address = publish(Release(path=str(tmp_path / "model.tar.gz")), "bucket", FakeAws(), [].append)
    assert address.endswith("/model.tar.gz")


def test_a_release_that_is_there_is_taken_by_its_address() -> None:
    aws = FakeAws()
    assert publish(Release(uri="s3://other/releases/a"), "bucket", aws, [].append) == "s3://other/releases/a"
    assert aws.calls == []


def test_a_link_is_refused(folder: Path) -> None:
    (folder / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(BadConfig, match="passwd is a link, or no plain file; a release has none"):
        files_of(folder)


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (b'{"files": {"model/weights": {}}}', "zebra is not in its manifest; remove it, because a release is served"),
        (b'{"files": {"zebra": {}, "model/weights": {}, "gone": {}}}', "gone is missing; build the release again,"),
        (b"{}", "its manifest.json can't be read; `release build` makes it again."),
        (b'{"files"', "its manifest.json can't be read"),
    ],
)
def test_a_release_that_is_not_whole_is_not_sent(folder: Path, manifest: bytes, sentence: str) -> None:
    (folder / "manifest.json").write_bytes(manifest)
    aws = FakeAws()
    with pytest.raises(BadConfig) as refused:
        publish(Release(path=str(folder)), "bucket", aws, [].append)
    assert str(refused.value).startswith(f"[release] path = {str(folder)!r}: {sentence}")
    assert aws.calls == []


def test_what_can_not_be_read_or_is_no_file_is_named(folder: Path) -> None:
    with pytest.raises(BadConfig, match=r"gone can't be read: No such file or directory\.$"):
        content_hash({"gone": folder / "gone"})
    os.mkfifo(folder / "pipe")
    with pytest.raises(BadConfig, match="pipe is a link, or no plain file"):
        files_of(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="is an empty folder: expected a release"):
        files_of(tmp_path)
