import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.errors import CollectionError, CollectionExists, CollectionNotFound, ReadOnly, StoreUnavailable
from store.collection_folder import build_folder, open_folder
from store.library import LocalLibrary
from store.lock import read_holder
from tests.stored import DIM, embeddings, item, items

FAKE = {"model": "fake", "fingerprint": "fake-1", "dim": DIM}


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    with build_folder(tmp_path / "g", name="scenes", model="p", fingerprint="p", dim=DIM, description="") as filling:
        filling.put(items(3))
    return tmp_path / "g"


@pytest.fixture
def library(tmp_path: Path, gallery: Path) -> Iterator[LocalLibrary]:
    opened = LocalLibrary(tmp_path / "data", bundled=[("gallery", gallery)])
    yield opened
    opened.close()


def test_bundled_collections_come_first_then_one_s_own_by_name(library: LocalLibrary) -> None:
    for name in ("b", "A", "c"):
        library.create(name, **FAKE)  # type: ignore[arg-type]
    assert [(info.name, info.read_only) for info in library.list()] == [
        ("gallery", True),
        ("A", False),
        ("b", False),
        ("c", False),
    ]


def test_there_is_one_open_object_of_each_name(library: LocalLibrary) -> None:
    created = library.create("mine", **FAKE)  # type: ignore[arg-type]
    assert library.open("mine") is created
    assert library.open("gallery") is library.open("gallery")


@pytest.mark.parametrize(
    "name", ["", ".hidden", "../up", "a/b", "a\\b", "x" * 65, "dot.", "space ", "nul\0", "ü", "-a"]
)
def test_a_name_that_makes_no_good_folder_is_refused(library: LocalLibrary, tmp_path: Path, name: str) -> None:
    with pytest.raises(CollectionError, match="can't be a collection's name: use 1 to 64"):
        library.create(name, **FAKE)  # type: ignore[arg-type]
    assert list((tmp_path / "data" / "collections").iterdir()) == []


@pytest.mark.parametrize(("first", "second"), [("Mine", "Mine"), ("Mine", "mINE"), (None, "Gallery")])
def test_a_taken_name_is_refused_whatever_its_case(library: LocalLibrary, first: str | None, second: str) -> None:
    if first:
        library.create(first, **FAKE)  # type: ignore[arg-type]
    with pytest.raises(CollectionExists):
        library.create(second, **FAKE)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["none", "", "../data", "mine/../mine", "\0", "\ud800", "x" * 5000])
def test_an_unknown_name_is_not_found(library: LocalLibrary, name: str) -> None:
    library.create("mine", **FAKE)  # type: ignore[arg-type]
    with pytest.raises(CollectionNotFound):
        library.open(name)
    with pytest.raises(CollectionNotFound):
        library.delete(name)


def test_a_deleted_collection_leaves_nothing_and_its_name_is_free(library: LocalLibrary, tmp_path: Path) -> None:
    library.create("mine", **FAKE).put(items(3))  # type: ignore[arg-type]
    library.delete("mine")
    assert [info.name for info in library.list()] == ["gallery"]
    assert list((tmp_path / "data" / "collections").iterdir()) == []
    assert len(library.create("mine", **FAKE)) == 0  # type: ignore[arg-type]


def test_a_deleted_collection_takes_nothing_more_even_an_empty_one(library: LocalLibrary) -> None:
    mine = library.create("mine", **FAKE)  # type: ignore[arg-type]
    library.delete("mine")
    with pytest.raises(StoreUnavailable, match="closed or deleted meanwhile"):
        mine.put(items(3))


def test_a_bundled_collection_is_not_deleted(library: LocalLibrary) -> None:
    with pytest.raises(ReadOnly, match="comes with Sightline"):
        library.delete("gallery")


def test_what_a_killed_process_left_half_done_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / "collections"
    (left / ".deleted-1" / "x").mkdir(parents=True)
    (left / "half" / "0123456789abcdef").mkdir(parents=True)
    library = LocalLibrary(tmp_path)
    assert list(left.iterdir()) == []
    library.create("half", **FAKE)  # type: ignore[arg-type]
    library.close()


def test_who_writes_drops_unpacked_releases_and_parts_that_nobody_used_for_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / "releases" / ("0" * 32), tmp_path / "releases" / ("1" * 32)
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    LocalLibrary(tmp_path, write=False).close()
    assert old.exists()
    LocalLibrary(tmp_path).close()
    assert [path.name for path in old.parent.glob("[!.]*")] == [new.name]


def test_a_damaged_collection_harms_no_other(library: LocalLibrary, tmp_path: Path) -> None:
    for name in ("broken", "lost", "sound"):
        library.create(name, **FAKE).put(items(3))  # type: ignore[arg-type]
    library.close()
    (manifest,) = (tmp_path / "data").glob("collections/broken/*/manifest.json")
    manifest.write_text("{")
    (catalog,) = (tmp_path / "data").glob("collections/lost/*/catalog.sqlite")
    catalog.write_bytes(b"damaged" * 1000)
    again = LocalLibrary(tmp_path / "data")
    again.start_index()
    assert [info.name for info in again.list()] == ["lost", "sound"]
    assert again.open("sound").search(items(1)[0].embedding, top_k=1).ids == ["id-00000"]
    for name in ("broken", "lost"):
        with pytest.raises(StoreUnavailable):
            again.open(name)
        again.delete(name)
    again.close()


class Deletes(logging.Handler):
    """Has something deleted while the library writes its log, which it does in the middle of listing."""

    def __init__(self, delete: Callable[[], None]) -> None:
        super().__init__()
        self.delete, self.told = delete, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())
        if len(self.told) == 1:
            self.delete()


def test_a_collection_deleted_while_they_are_listed_is_left_out_and_no_defect(
    library: LocalLibrary, gallery: Path
) -> None:
    for name in ("mine", "other"):
        library.create(name, **FAKE)  # type: ignore[arg-type]
    (gallery / "manifest.json").write_text("{")
    handler = Deletes(lambda: library.delete("mine"))
    log = logging.getLogger("store.library")
    log.addHandler(handler)
    try:
        assert [info.name for info in library.list()] == ["other"]
    finally:
        log.removeHandler(handler)
    (told,) = handler.told
    assert told.startswith("collection_unusable='gallery'")


def test_an_open_for_reading_refuses_to_change_and_makes_no_folder(tmp_path: Path) -> None:
    library = LocalLibrary(tmp_path / "none", write=False)
    assert library.read_only
    assert library.list() == []
    for change in (
        lambda: library.create("mine", **FAKE),  # type: ignore[arg-type]
        lambda: library.delete("mine"),
        lambda: library.keep_upload(b"", ".jpg"),
        library.start_index,
    ):
        with pytest.raises(ReadOnly):
            change()
    library.close()
    assert not (tmp_path / "none").exists()


def test_an_announced_address_is_read_by_others(library: LocalLibrary, tmp_path: Path) -> None:
    library.announce("http://127.0.0.1:7860")
    holder = read_holder(tmp_path / "data")
    assert holder == library.holder
    assert holder and holder.address == "http://127.0.0.1:7860"


@pytest.mark.parametrize(("suffix", "kept"), [(".JPG", ".jpg"), ("", ""), (".jp/../g", ""), ("..", ""), (".x" * 9, "")])
def test_an_upload_is_kept_by_hash_under_a_plain_name(
    library: LocalLibrary, tmp_path: Path, suffix: str, kept: str
) -> None:
    relative = library.keep_upload(b"abc", suffix)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert relative == f"ba/{digest}{kept}"
    assert (tmp_path / "data" / "uploads" / relative).read_bytes() == b"abc"


def uploaded(library: LocalLibrary, data: bytes, *collections: str) -> str:
    path = library.keep_upload(data, ".png")
    for name in collections:
        library.open(name).put([item(1, embeddings(1)[0], uri=f"uploads/{path}")])
    return path


def test_originals_go_with_the_last_collection_that_has_them(library: LocalLibrary, tmp_path: Path) -> None:
    for name in ("a", "b"):
        library.create(name, **FAKE)  # type: ignore[arg-type]
    alone = uploaded(library, b"alone", "a")
    shared = uploaded(library, b"shared", "a", "b")
    wanted = uploaded(library, b"of a job")
    uploads = tmp_path / "data" / "uploads"
    library.delete("a")
    library.tidy_uploads(frozenset({wanted}))
    assert [(uploads / path).exists() for path in (alone, shared, wanted)] == [False, True, True]
    library.delete("b")
    library.tidy_uploads(frozenset())
    assert sorted(path.name for path in uploads.rglob("*") if path.is_file()) == []


def test_originals_that_came_into_no_collection_go_too(library: LocalLibrary, tmp_path: Path) -> None:
    library.create("a", **FAKE)  # type: ignore[arg-type]
    kept, stray = uploaded(library, b"kept", "a"), uploaded(library, b"stray")
    uploads = tmp_path / "data" / "uploads"
    library.close()
    again = LocalLibrary(tmp_path / "data")
    again.tidy_uploads(frozenset())
    assert [(uploads / path).exists() for path in (kept, stray)] == [True, False]
    (uploads / stray).touch()
    again.tidy_uploads(frozenset())
    assert (uploads / stray).exists()  # nothing was kept or deleted since, so nothing is looked at
    again.close()


@pytest.mark.parametrize("pointer", [b"", b"\xff\xff", b"../a\n"])
def test_originals_stay_while_it_is_not_known_which_version_of_a_collection_counts(
    library: LocalLibrary, tmp_path: Path, pointer: bytes
) -> None:
    for name in ("a", "b"):
        library.create(name, **FAKE)  # type: ignore[arg-type]
    path = uploaded(library, b"shared", "a", "b")
    (tmp_path / "data" / "collections" / "b" / "current").write_bytes(pointer)
    library.delete("a")
    library.tidy_uploads(frozenset())
    assert (tmp_path / "data" / "uploads" / path).exists()


@pytest.mark.parametrize("pointer", [b"", b"../a\n"])
def test_no_collection_is_made_over_one_of_which_it_is_not_known_which_version_counts(
    library: LocalLibrary, tmp_path: Path, pointer: bytes
) -> None:
    library.create("b", **FAKE)  # type: ignore[arg-type]
    (tmp_path / "data" / "collections" / "b" / "current").write_bytes(pointer)
    with pytest.raises(CollectionExists, match="`current`"):
        library.create("b", **FAKE)  # type: ignore[arg-type]


def test_originals_stay_while_a_collection_can_not_be_read(library: LocalLibrary, tmp_path: Path) -> None:
    for name in ("a", "b"):
        library.create(name, **FAKE)  # type: ignore[arg-type]
    path = uploaded(library, b"shared", "a", "b")
    library.delete("a")
    library.close()
    manifest = next((tmp_path / "data" / "collections" / "b").glob("*/manifest.json"))
    kept = manifest.read_bytes()
    manifest.write_bytes(b"{")
    for state, remains in ((b"{", True), (kept, True)):
        manifest.write_bytes(state)
        again = LocalLibrary(tmp_path / "data")
        again.tidy_uploads(frozenset())
        again.close()
        assert (tmp_path / "data" / "uploads" / path).exists() is remains


def test_a_folder_opens_under_its_own_name(gallery: Path) -> None:
    scenes = open_folder(gallery)
    assert (scenes.info.name, scenes.info.read_only, len(scenes)) == ("scenes", True, 3)
    scenes.close()
