import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from search.errors import StorageError, StorageUnreachable, StoreUnavailable
from store.catalog import Catalog, Change
from store.copies import newest_generation, restore, snapshot
from store.copying import Copying
from store.database import create, run
from store.library import LocalLibrary
from store.places import Place, open_place
from store.s3 import S3
from tests.buckets import BUCKET, made_bucket
from tests.stored import DIM, embeddings, found, item, items

FAKE = {"model": "fake", "fingerprint": "fake-1", "dim": DIM}


@dataclass(frozen=True)
class Target:
    """A place to copy to, and how libraries reach it."""

    text: str
    place: Place
    open: Callable[..., LocalLibrary]


@pytest.fixture(params=["a folder", "S3"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "a folder":
        text = str(tmp_path / "copies")
        yield Target(text, open_place(text), partial(LocalLibrary, copy_to=text))
        return
    with made_bucket() as (s3, _):

        def bucket() -> S3:
            return s3

        text = f"s3://{BUCKET}/copy/ecs"
        yield Target(text, open_place(text, bucket=bucket), partial(LocalLibrary, copy_to=text, bucket=bucket))


class Breaking:
    """A place that takes so many more objects, and then can't be reached."""

    def __init__(self, place: Place, *, takes: int) -> None:
        self._place, self._left = place, takes
        self.title = place.title

    def names(self, folder: str) -> list[str]:
        return self._place.names(folder)

    def fetch(self, name: str, into: BinaryIO, *, most_bytes: int) -> None:
        self._place.fetch(name, into, most_bytes=most_bytes)

    def put(self, name: str, data: bytes | BinaryIO, *, new: bool = False) -> None:
        if self._left == 0:
            raise StorageUnreachable("It can't be reached.")
        self._left -= 1
        self._place.put(name, data, new=new)


def copying_of(data_dir: Path, place: Place, *names: str) -> Copying:
    def served() -> dict[str, Path]:
        folders = {name: data_dir / "collections" / name for name in names}
        return {name: folder / (folder / "current").read_text().strip() for name, folder in folders.items()}

    return Copying(data_dir, place, served=served, clock=lambda: 1_800_000_000.0)


def contents(place: Place, folder: str) -> dict[str, bytes]:
    def read(name: str) -> bytes:
        into = BytesIO()
        place.fetch(name, into, most_bytes=2**20)
        return into.getvalue()

    return {name: read(name) for name in place.names(folder)}


def fill(library: LocalLibrary, name: str, count: int) -> None:
    library.create(name, **FAKE).put(items(count))  # type: ignore[arg-type]


def test_what_was_copied_is_found_again_in_an_empty_data_folder(tmp_path: Path, target: Target) -> None:
    with closing(target.open(tmp_path / "one")) as library:
        collection = library.create("holidays 2026", **FAKE)  # type: ignore[arg-type]
        upload = library.keep_upload(b"an original", ".JPG")
        collection.set_source("uploads", None)
        collection.put([*items(5), item(7, embeddings(1, seed=7)[0], uri=f"uploads/{upload}", thumbnail=b"small")])
        collection.remove(["id-00001"])
        kept = collection.page(offset=0, count=10)
        hits = found(collection, embeddings(1, seed=3)[0], top_k=5)
    with closing(target.open(tmp_path / "two")) as library:
        restored = library.open("holidays 2026")
        assert restored.info == collection.info
        assert restored.page(offset=0, count=10) == kept
        assert found(restored, embeddings(1, seed=3)[0], top_k=5) == hits
        assert restored.thumbnail("id-00007") == b"small"
        with restored.original("id-00007") as original:
            assert original.read() == b"an original"
        restored.put(items(1, start=20))
        assert len(restored) == 6


def test_the_next_copy_sends_exactly_what_is_new(tmp_path: Path, target: Target) -> None:
    with closing(LocalLibrary(tmp_path)) as library:
        fill(library, "a", 3)
        fill(library, "b", 3)
        library.open("a").put([item(8, embeddings(1)[0], thumbnail=b"first")])
        copying = copying_of(tmp_path, target.place, "a", "b")
        assert copying.copy_now() == 7  # two catalogs, two manifests, two pointers, a thumbnail
        before = set(target.place.names("objects"))
        assert copying.copy_now() == 0
        assert target.place.names("manifests") == ["manifests/00000001-00000001.json"]

        library.open("a").put([item(9, embeddings(1)[0], thumbnail=b"second")])
        library.keep_upload(b"an original", ".png")
        assert copying.copy_now() == 3
        sent = {name: data for name, data in contents(target.place, "objects").items() if name not in before}
        assert len(sent) == 3
        assert {b"second", b"an original"} < set(sent.values())
        assert [data[:15] for data in sent.values()].count(b"SQLite format 3") == 1
        assert all(name == f"objects/{sha256(d).hexdigest()[:2]}/{sha256(d).hexdigest()}" for name, d in sent.items())


def test_a_process_started_again_sends_only_what_is_new(tmp_path: Path, target: Target) -> None:
    with closing(LocalLibrary(tmp_path)) as library:
        fill(library, "a", 3)
        copying_of(tmp_path, target.place, "a").copy_now()
        library.open("a").put([item(9, embeddings(1)[0], thumbnail=b"second")])
        assert copying_of(tmp_path, target.place, "a").copy_now() == 2
    assert newest_generation(target.place) == 2


def test_what_is_asked_of_s3_by_a_copy_and_by_one_without_news(tmp_path: Path) -> None:
    with made_bucket() as (s3, counted), closing(LocalLibrary(tmp_path)) as library:
        library.keep_upload(b"an original", ".png")
        copying = copying_of(tmp_path, open_place(f"s3://{BUCKET}/copy/ecs", bucket=lambda: s3))
        copying.copy_now()
        name = sha256(b"an original").hexdigest()
        assert counted.asked == [
            ("list_objects_v2", "copy/ecs/generations/"),
            ("put_object", "copy/ecs/generations/00000001"),
            ("list_objects_v2", "copy/ecs/generations/"),
            ("list_objects_v2", "copy/ecs/objects/"),
            ("put_object", f"copy/ecs/objects/{name[:2]}/{name}"),
            ("list_objects_v2", "copy/ecs/generations/"),
            ("put_object", "copy/ecs/manifests/00000001-00000001.json"),
        ]
        counted.asked.clear()
        copying.copy_now()
        assert counted.asked == [("list_objects_v2", "copy/ecs/generations/")]


@pytest.mark.parametrize("takes", [0, 1, 2])
def test_a_copy_that_broke_off_leaves_the_one_before_and_is_made_the_next_time(
    tmp_path: Path, target: Target, takes: int
) -> None:
    with closing(LocalLibrary(tmp_path / "one")) as library:
        fill(library, "a", 3)
        copying_of(tmp_path / "one", target.place, "a").copy_now()
        library.open("a").put([item(9, embeddings(1)[0], thumbnail=b"second")])
        broken = copying_of(tmp_path / "one", Breaking(target.place, takes=1 + takes), "a")
        assert broken.copy_now() is None
        assert broken.state.problem == "It can't be reached."
        with closing(target.open(tmp_path / "two")) as restored:
            assert len(restored.open("a")) == 3
        copying_of(tmp_path / "one", target.place, "a").copy_now()
    with closing(target.open(tmp_path / "three")) as restored:
        assert len(restored.open("a")) == 4


def test_who_started_later_copies_and_the_other_stops_and_says_so(tmp_path: Path, target: Target) -> None:
    with closing(LocalLibrary(tmp_path / "one")) as library:
        fill(library, "a", 3)
        first = copying_of(tmp_path / "one", target.place, "a")
        first.copy_now()
        with closing(target.open(tmp_path / "two")) as second:
            library.open("a").put(items(1, start=9))
            assert first.copy_now() is None
            assert first.state.problem.startswith("Another process copies to ")
            second.open("a").put(items(2, start=5))
        assert first.copy_now() is None
    with closing(target.open(tmp_path / "three")) as third:
        assert len(third.open("a")) == 5


def test_two_who_start_at_the_same_moment_take_two_generations(tmp_path: Path, target: Target) -> None:
    class Late(Breaking):
        """Sees nothing of the generation that another one takes at this moment."""

        def names(self, folder: str) -> list[str]:
            seen = target.place.names(folder)
            self.names = target.place.names  # type: ignore[method-assign]
            target.place.put("generations/00000001", b"", new=True)
            return seen

    LocalLibrary(tmp_path).close()
    assert copying_of(tmp_path, Late(target.place, takes=9)).copy_now() == 0
    assert sorted(target.place.names("generations")) == ["generations/00000001", "generations/00000002"]
    assert target.place.names("manifests") == ["manifests/00000002-00000001.json"]


def damage(place: Place, data: bytes) -> str:
    name = next(name for name, kept in contents(place, "objects").items() if kept == data)
    place.put(name, data[:-1] + b"?")
    return name


def test_a_copy_with_a_damaged_object_is_passed_over_for_the_one_before(tmp_path: Path, target: Target) -> None:
    with closing(LocalLibrary(tmp_path / "one")) as library:
        fill(library, "a", 3)
        copying = copying_of(tmp_path / "one", target.place, "a")
        copying.copy_now()
        library.open("a").put([item(9, embeddings(1)[0], thumbnail=b"second")])
        copying.copy_now()
    damage(target.place, b"second")
    with closing(target.open(tmp_path / "two")) as restored:
        assert len(restored.open("a")) == 3


def test_where_no_copy_is_sound_nothing_starts_empty_in_its_place(tmp_path: Path, target: Target) -> None:
    with closing(LocalLibrary(tmp_path / "one")) as library:
        library.create("a", **FAKE).put([item(9, embeddings(1)[0], thumbnail=b"only")])  # type: ignore[arg-type]
        copying_of(tmp_path / "one", target.place, "a").copy_now()
    name = damage(target.place, b"only")
    for _ in range(2):  # the second time: the lock was let go
        with pytest.raises(StoreUnavailable, match=f"The object {name} in .* is damaged"):
            target.open(tmp_path / "two")
    assert list((tmp_path / "two" / "collections").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["collections/../../escaped", "/etc/escaped", "uploads/ab/x.png", "collections/a/lock", 7]
)
def test_a_manifest_that_names_another_file_is_refused(tmp_path: Path, name: object) -> None:
    place, data = open_place(str(tmp_path / "copies")), b"bad"
    digest = sha256(data).hexdigest()
    place.put(f"objects/{digest[:2]}/{digest}", data)
    body = json.dumps({"format": 1, "at": "", "files": [[name, "", digest, 3]]})
    outer = {"sha256": sha256(body.encode()).hexdigest(), "copy": body}
    place.put("manifests/00000001-00000001.json", json.dumps(outer).encode())
    (tmp_path / "data" / "collections").mkdir(parents=True)
    with pytest.raises(StoreUnavailable, match="it is not ours"):
        restore(place, tmp_path / "data")
    assert list((tmp_path / "data").rglob("*")) == [tmp_path / "data" / "collections"]


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"sha256": 1, "copy": "{}"}', b"[" * 100_000])
def test_a_damaged_manifest_is_passed_over_by_name(tmp_path: Path, text: bytes) -> None:
    place = open_place(str(tmp_path / "copies"))
    place.put("manifests/00000001-00000001.json", text)
    with pytest.raises(StoreUnavailable, match=r"The manifest manifests/00000001-00000001\.json in .* is damaged"):
        restore(place, tmp_path / "data")


def test_a_data_folder_with_collections_is_left_as_it_is(tmp_path: Path, target: Target) -> None:
    with closing(target.open(tmp_path / "one")) as library:
        fill(library, "a", 3)
    with closing(LocalLibrary(tmp_path / "two")) as library:
        fill(library, "b", 2)
    with closing(target.open(tmp_path / "two")) as library:
        assert [info.name for info in library.list()] == ["b"]


def test_deleted_collections_are_gone_from_the_next_copy_and_their_objects_stay(tmp_path: Path, target: Target) -> None:
    with closing(target.open(tmp_path / "one")) as library:
        fill(library, "a", 3)
    before = set(target.place.names("objects"))
    with closing(target.open(tmp_path / "one")) as library:
        library.delete("a")
    assert set(target.place.names("objects")) == before
    with closing(target.open(tmp_path / "two")) as library:
        assert library.list() == []


def test_a_place_that_can_t_be_reached_hinders_only_a_start_without_collections(tmp_path: Path) -> None:
    def unreachable() -> S3:
        raise StorageUnreachable("S3 does not answer.")

    reach = partial(LocalLibrary, copy_to="s3://photos/copy", bucket=unreachable)
    with pytest.raises(StorageError, match="S3 does not answer"):
        reach(tmp_path)
    with closing(LocalLibrary(tmp_path)) as library:
        fill(library, "a", 3)
    with closing(reach(tmp_path)) as library:
        assert len(library.open("a")) == 3
        state = library.copy_state
        assert state is not None and (state.place, state.copied_at) == ("s3://photos/copy", None)


def test_the_state_says_where_to_when_and_how_long_ago(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    LocalLibrary(tmp_path / "data").close()
    place = open_place(str(tmp_path / "copies"))
    copying = Copying(tmp_path / "data", place, served=dict, clock=lambda: now[0])
    assert (copying.state.copied_at, copying.state.age_s) == (None, None)
    copying.copy_now()
    now[0] += 180.4
    assert (copying.state.place, copying.state.copied_at) == ("the folder copies", "2027-01-15T08:00:00+00:00")
    assert (copying.state.age_s, copying.state.problem) == (180, "")


def test_a_snapshot_is_of_one_moment_while_somebody_writes(tmp_path: Path) -> None:
    create(tmp_path / "catalog.sqlite")

    def write_half(connection: sqlite3.Connection, _: Change) -> None:
        run(connection, "INSERT INTO sources VALUES ('half', NULL)")
        snapshot(tmp_path / "catalog.sqlite", tmp_path / "copy.sqlite")

    with closing(Catalog(tmp_path / "catalog.sqlite", mode="write", dim=DIM)) as catalog:
        catalog.set_source("before", None)
        catalog.write(write_half)
        assert list(catalog.sources()) == ["before", "half"]
    with closing(Catalog(tmp_path / "copy.sqlite", mode="write", dim=DIM)) as opened:
        assert list(opened.sources()) == ["before"]


def test_names_that_begin_with_a_dot_are_not_whole_and_not_copied(tmp_path: Path) -> None:
    with closing(LocalLibrary(tmp_path / "data")) as library:
        fill(library, "a", 1)
        (tmp_path / "data" / "uploads" / "ab").mkdir()
        (tmp_path / "data" / "uploads" / "ab" / ".half").write_bytes(b"x")
        (tmp_path / "data" / "uploads" / "ab" / "not ours").write_bytes(b"y")
        place = open_place(str(tmp_path / "copies"))
        assert copying_of(tmp_path / "data", place, "a").copy_now() == 3
