"""A release is taken only whole: every file as its manifest says, and the collection of the model beside it."""

import io
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from search.errors import ReleaseDamaged, SourceError, StoreUnavailable
from store import database
from store import manifest as collection_manifest
from store.manifest import new_info
from store.release import build_release, check_release, open_release
from store.release_cache import turn
from store.s3 import S3

WEIGHTS = "model/textual/model.onnx"
MODEL = {"name": "tiny", "fingerprint": "f" * 64, "dim": 3}


def snapshot(into: Path, *, fingerprint: str = "f" * 64) -> Mapping[str, object]:
    into.mkdir(parents=True)
    info = new_info("photos", model="tiny", fingerprint=fingerprint, dim=3, description="")
    collection_manifest.write(into, replace(info, version="1", created_at="2026-01-01T00:00:00+00:00"))
    database.create(into / "catalog.sqlite", journal="DELETE")
    return {"name": "photos", "images": 2}


def build(out: Path, *, of: Callable[[Path], Mapping[str, object]] | None = snapshot) -> Path:
    weights = out.parent / "weights"
    weights.write_bytes(b"weights")
    told = {"code": {"version": "1"}}
    build_release(out, name="photos", model=MODEL, files={WEIGHTS: weights}, snapshot=of, told=told)
    return out


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return build(tmp_path / "release")


def test_a_folder_that_was_built_is_opened(release: Path, tmp_path: Path) -> None:
    opened = open_release(str(release), cache=tmp_path / "cache")
    assert (opened.name, opened.model, opened.fingerprint, opened.dim, opened.collection) == (
        "photos", "tiny", "f" * 64, 3, "photos",
    )  # fmt: skip
    assert sorted(opened.told["files"]) == [
        "collection/catalog.sqlite",
        "collection/manifest.json",
        "model/textual/model.onnx",
    ]
    assert not (tmp_path / "cache").exists()


def test_two_builds_are_equal_and_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    one, other = build(tmp_path / "one.tar.gz"), build(tmp_path / "other.tar.gz")
    assert one.read_bytes() == other.read_bytes()
    first = open_release(str(one), cache=tmp_path / "cache")
    assert open_release(str(other), cache=tmp_path / "cache").folder == first.folder
    assert (first.model_dir / "textual" / "model.onnx").read_bytes() == b"weights"


def test_a_release_is_not_built_into_a_folder_that_looks_like_s3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="can't be made in S3: build it here, then copy it there"):
        build(Path("s3://"))
    assert not (tmp_path / "s3:").exists()


def aged(folder: Path) -> Path:
    """As if last used two days ago."""
    then = time.time() - 2 * 86_400
    os.utime(folder, (then, then))
    return folder


def test_who_serves_a_release_drops_those_that_nobody_used_for_a_day(tmp_path: Path) -> None:
    cache, served = tmp_path / "cache", build(tmp_path / "served.tar.gz")
    own = aged(open_release(str(served), cache=cache).folder)
    other = aged(open_release(str(build(tmp_path / "other.tar.gz", of=None)), cache=cache).folder)
    fetched = cache / ("0" * 32)
    for folder in (fetched, cache / f"{fetched.name}-etags", cache / "notes", cache / ("1" * 32)):
        folder.mkdir()
    aged(fetched), aged(cache / "notes")
    assert open_release(str(served), cache=cache).folder == own
    assert other.exists()  # as long as nothing is served
    open_release(str(served), cache=cache, is_served=True)
    assert {path.name for path in cache.iterdir()} == {".lock", "notes", "1" * 32, own.name}
    assert check_release(own).name == "photos"


def test_what_a_process_serves_stays_however_long_it_does(tmp_path: Path) -> None:
    """Each opening has a lock of its own, in this process as in another one."""
    cache = tmp_path / "cache"
    old = open_release(str(build(tmp_path / "old.tar.gz", of=None)), cache=cache, is_served=True)
    aged(old.folder)
    new = open_release(str(build(tmp_path / "new.tar.gz")), cache=cache, is_served=True)
    assert new.folder != old.folder
    assert check_release(old.folder).told == old.told


def test_nobody_waits_to_drop_what_is_unused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old = aged(open_release(str(build(tmp_path / "old.tar.gz", of=None)), cache=cache).folder)
    with turn(cache):  # as while another unpacks
        open_release(str(build(tmp_path / "folder")), cache=cache, is_served=True)
        assert old.exists()
    open_release(str(tmp_path / "folder"), cache=cache, is_served=True)
    assert not old.exists()


def test_a_release_in_a_folder_is_served_where_nothing_can_be_written(release: Path, tmp_path: Path) -> None:
    assert open_release(str(release), cache=tmp_path / "cache", is_served=True).folder == release
    assert not (tmp_path / "cache").exists()


def test_an_unpacked_release_that_was_changed_is_unpacked_again(tmp_path: Path) -> None:
    archive = build(tmp_path / "a.tar.gz")
    weights = open_release(str(archive), cache=tmp_path / "cache").model_dir / "textual" / "model.onnx"
    weights.write_bytes(b"WEIGHTS")
    open_release(str(archive), cache=tmp_path / "cache")
    assert weights.read_bytes() == b"weights"


def test_a_model_alone_is_a_release(tmp_path: Path) -> None:
    opened = open_release(str(build(tmp_path / "release", of=None)), cache=tmp_path)
    assert opened.collection is None


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / WEIGHTS).write_bytes(b"WEIGHTS"), "is damaged in model/textual/model.onnx"),
        (lambda f: (f / WEIGHTS).write_bytes(b"more weights"), "is damaged in model/textual"),
        (lambda f: (f / "collection" / "catalog.sqlite").unlink(), "lacks collection/catalog.sqlite"),
        (lambda f: (f / "model" / "extra").write_bytes(b""), "holds a file too many, model/extra"),
        (lambda f: (f / "link").symlink_to("/etc/passwd"), "is a link or no file"),
        (lambda f: (f / "manifest.json").unlink(), r"its manifest\.json can't be read"),
        (lambda f: [(f / "manifest.json").unlink(), os.mkfifo(f / "manifest.json")], r"manifest\.json can't be read"),
        (lambda f: (f / "manifest.json").write_text("[]"), r"its manifest\.json can't be read"),
        (lambda f: (f / "manifest.json").write_text("[" * 100_000), r"its manifest\.json can't be read"),
    ],
)  # fmt: skip
def test_a_release_that_is_not_whole_is_refused_by_name(
    release: Path, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    spoil(release)
    with pytest.raises(ReleaseDamaged, match=says):
        open_release(str(release), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"model": {}},
        {"model": {**MODEL, "dim": "3"}},
        {"files": {"../x": {"sha256": "", "bytes": 1}}},
        {"name": ""},
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    release: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    told = json.loads((release / "manifest.json").read_text())
    (release / "manifest.json").write_text(json.dumps(told | change))
    with pytest.raises(ReleaseDamaged):
        open_release(str(release), cache=tmp_path / "cache")


def test_a_collection_of_another_model_is_refused(tmp_path: Path) -> None:
    release = build(tmp_path / "release", of=lambda into: snapshot(into, fingerprint="e" * 64))
    with pytest.raises(ReleaseDamaged, match="a collection that another model embedded"):
        open_release(str(release), cache=tmp_path / "cache")


def test_a_catalog_that_does_more_than_keep_records_is_refused(tmp_path: Path) -> None:
    def with_trigger(into: Path) -> Mapping[str, object]:
        told = snapshot(into)
        with closing(sqlite3.connect(into / "catalog.sqlite")) as connection:
            connection.execute("CREATE TRIGGER t AFTER INSERT ON records BEGIN SELECT 1; END")
        return told

    release = build(tmp_path / "release", of=with_trigger)
    with pytest.raises(StoreUnavailable, match="other tables than Sightline's"):
        open_release(str(release), cache=tmp_path / "cache")


def test_nothing_that_is_there_is_overwritten(release: Path) -> None:
    with pytest.raises(SourceError, match="is there already"):
        build(release)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReleaseDamaged, match="There is no release at"):
        open_release(str(tmp_path / "nowhere"), cache=tmp_path / "cache")


class Bucket:
    """As much of boto3's client as a fetch asks for; notes what was asked."""

    def __init__(self, root: Path) -> None:
        self.objects = {f"r/{p.relative_to(root).as_posix()}": p.read_bytes() for p in root.rglob("*") if p.is_file()}
        self.asked: list[str] = []

    def list_objects_v2(self, *, Bucket: str, Prefix: str) -> dict[str, object]:
        there = {key: data for key, data in self.objects.items() if key.startswith(Prefix)}
        return {"Contents": [self._told(key) | {"Key": key, "Size": len(data)} for key, data in sorted(there.items())]}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, object]:
        self.asked.append(Key)
        return self._told(Key) | {"ContentLength": len(self.objects[Key]), "Body": Body(self.objects[Key])}

    def _told(self, key: str) -> dict[str, object]:
        return {"ETag": sha256(self.objects[key]).hexdigest(), "LastModified": datetime(2026, 1, 1, tzinfo=UTC)}


class Body(io.BytesIO):
    """The body of an object."""


@pytest.fixture
def bucket(release: Path) -> Iterator[Bucket]:
    yield Bucket(release)


def test_a_release_in_s3_is_fetched_once(bucket: Bucket, tmp_path: Path) -> None:
    for _ in range(2):
        opened = open_release("s3://models/r", cache=tmp_path / "cache", open_s3=lambda: S3(bucket))
    assert opened.collection == "photos"
    assert sorted(bucket.asked) == sorted(bucket.objects)


def test_another_object_of_the_same_size_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    open_release("s3://models/r", cache=tmp_path / "cache", open_s3=lambda: S3(bucket))
    bucket.objects["r/model/textual/model.onnx"] = b"WEIGHTS"
    with pytest.raises(ReleaseDamaged, match="is damaged in model/textual"):
        open_release("s3://models/r", cache=tmp_path / "cache", open_s3=lambda: S3(bucket))


def test_what_was_fetched_and_is_damaged_here_is_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    folder = open_release("s3://models/r", cache=tmp_path / "cache", open_s3=lambda: S3(bucket)).folder
    (folder / "model" / "textual" / "model.onnx").write_bytes(b"WEIGHTS")
    with pytest.raises(ReleaseDamaged):
        open_release("s3://models/r", cache=tmp_path / "cache", open_s3=lambda: S3(bucket))
    opened = open_release("s3://models/r", cache=tmp_path / "cache", open_s3=lambda: S3(bucket))
    assert (opened.model_dir / "textual" / "model.onnx").read_bytes() == b"weights"


def test_an_archive_in_s3_is_fetched_and_unpacked(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    bucket.objects = {"r/a.tar.gz": build(tmp_path / "a.tar.gz").read_bytes()}
    opened = open_release("s3://models/r/a.tar.gz", cache=tmp_path / "cache", open_s3=lambda: S3(bucket))
    assert (opened.collection, bucket.asked) == ("photos", ["r/a.tar.gz"])


def test_an_address_without_a_release_is_said(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ReleaseDamaged, match="There is no release at s3://models/elsewhere"):
        open_release("s3://models/elsewhere", cache=tmp_path / "cache", open_s3=lambda: S3(bucket))
