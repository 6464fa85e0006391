"""Every promise of the Collection Protocol, over the real store: answered by exact scan, and by Chroma."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from search.errors import ItemNotFound, SourceError
from search.types import Collection, Condition, Failure, Item
from store.library import LocalLibrary
from tests.stored import DIM, brute_force, embeddings, found, item, items, wait_until_indexed

EVEN = (Condition("parity", "eq", 0),)


@pytest.fixture(params=[10_000, 0], ids=["exact", "chroma"])
def exact_up_to(request: pytest.FixtureRequest) -> int:
    limit: int = request.param
    return limit


@pytest.fixture
def library(tmp_path: Path, exact_up_to: int) -> Iterator[LocalLibrary]:
    opened = LocalLibrary(tmp_path / "data", exact_up_to=exact_up_to)
    if not exact_up_to:
        opened.start_index()
    yield opened
    opened.close()


@pytest.fixture
def collection(library: LocalLibrary) -> Collection:
    return library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)


def assert_answers(collection: Collection, kept: list[Item], *, via: str | None = None) -> None:
    for query in embeddings(5, seed=99):
        for top_k in (1, 10, len(kept) // 2, len(kept) + 5):
            assert found(collection, query, top_k=top_k) == brute_force(kept, query, top_k=top_k)
    if via:
        assert collection.search(embeddings(1)[0], top_k=3).via == via


def test_finds_exactly_what_brute_force_finds(collection: Collection, exact_up_to: int) -> None:
    kept = items(300)
    collection.put(kept)
    assert_answers(collection, kept)
    wait_until_indexed(collection)
    assert_answers(collection, kept, via="exact" if exact_up_to else "chroma")


def test_replaced_and_removed_and_new_images_count_at_once(collection: Collection) -> None:
    kept = items(200)
    collection.put(kept)
    wait_until_indexed(collection)
    replaced = items(50, seed=5)
    new = items(30, start=500, seed=6)
    collection.put(replaced + new)
    assert collection.remove([one.record.id for one in kept[150:]] + ["unknown"]) == 50
    now = replaced + kept[50:150] + new
    assert_answers(collection, now)
    wait_until_indexed(collection)
    assert_answers(collection, now)
    assert len(collection) == len(now) == 180


def test_any_mixture_of_changes_and_searches_answers_as_brute_force_does(collection: Collection) -> None:
    random = np.random.default_rng(3)
    kept: dict[str, Item] = {}
    for step in range(60):
        batch = [item(int(n), random.standard_normal(DIM)) for n in random.integers(0, 120, 8)]
        kept.update({one.record.id: one for one in batch})
        collection.put(batch)
        gone = [f"id-{n:05}" for n in random.integers(0, 120, 4)]
        assert collection.remove(gone) == len({id for id in gone if kept.pop(id, None)})
        query = embeddings(1, seed=step)[0]
        assert found(collection, query, top_k=7) == brute_force(kept.values(), query, top_k=7)
    wait_until_indexed(collection)
    assert_answers(collection, list(kept.values()))


def test_a_search_beside_a_writer_never_misses_an_image(collection: Collection) -> None:
    kept = items(40)
    collection.put(kept)
    done = threading.Event()

    def replace_all() -> None:
        for _ in range(40):
            collection.put(kept)
        done.set()

    writer = threading.Thread(target=replace_all)
    writer.start()
    query, ids = embeddings(1)[0], sorted(one.record.id for one in kept)
    while not done.is_set():
        assert sorted(collection.search(query, top_k=100).ids) == ids
        assert sorted(collection.search(query, top_k=100, where=EVEN).ids) == ids[::2]
    writer.join()


def test_a_filter_finds_the_best_of_those_that_fulfil_it(collection: Collection) -> None:
    kept = items(100)
    collection.put(kept)
    wait_until_indexed(collection)
    query = embeddings(1, seed=9)[0]
    rare = (Condition("uri", "in", ("photos/00003.jpg", "photos/00008.jpg")),)
    assert found(collection, query, top_k=20, where=EVEN) == brute_force(kept[::2], query, top_k=20)
    assert found(collection, query, top_k=20, where=rare) == brute_force([kept[3], kept[8]], query, top_k=20)
    assert found(collection, query, top_k=5, where=(Condition("parity", "eq", 7),)) == []
    assert collection.matching(EVEN) == 50


def test_a_filter_is_as_good_after_each_change(collection: Collection) -> None:
    kept = items(12)
    collection.put(kept)
    query = embeddings(1, seed=9)[0]
    for gone in (4, 0):
        assert found(collection, query, top_k=20, where=EVEN) == brute_force(kept[::2], query, top_k=20)
        collection.remove([kept[gone].record.id])
        del kept[gone : gone + 2]
        collection.remove([f"id-{gone + 1:05}"])
    collection.put(items(2, start=50, seed=7))
    now = kept[::2] + items(2, start=50, seed=7)[:1]
    assert found(collection, query, top_k=20, where=EVEN) == brute_force(now, query, top_k=20)


def test_equal_images_come_in_the_order_of_their_ids(collection: Collection) -> None:
    collection.put([item(n, [1.0] * DIM) for n in (5, 3, 9, 1, 7)])
    query = np.full(DIM, DIM**-0.5, np.float32)
    assert found(collection, query, top_k=3) == [("id-00001", 1.0), ("id-00003", 1.0), ("id-00005", 1.0)]


def test_an_empty_collection_answers_with_nothing(collection: Collection) -> None:
    assert collection.search(embeddings(1)[0], top_k=5).ids == []
    assert collection.search(embeddings(1)[0], top_k=5, where=EVEN).ids == []
    assert collection.background().shape == (0, DIM)
    assert collection.fields() == {}


def test_all_is_there_after_opening_again(library: LocalLibrary, tmp_path: Path, exact_up_to: int) -> None:
    collection = library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
    kept = items(60)
    collection.put(kept)
    before = collection.search(embeddings(1)[0], top_k=60)
    wait_until_indexed(collection)
    library.close()
    with_index = LocalLibrary(tmp_path / "data", exact_up_to=exact_up_to)
    try:
        collection = with_index.open("Holidays")
        assert collection.search(embeddings(1)[0], top_k=60).scores == before.scores
        assert collection.records([kept[3].record.id]) == {kept[3].record.id: kept[3].record}
        if not exact_up_to:
            with_index.start_index()
        wait_until_indexed(collection)
        assert_answers(collection, kept, via="exact" if exact_up_to else "chroma")
    finally:
        with_index.close()


def test_an_image_put_under_a_known_uri_replaces_that_one(collection: Collection) -> None:
    first, second = items(2)
    collection.put([first])
    collection.put([item(1, second.embedding, uri=first.record.uri)])
    assert collection.search(second.embedding, top_k=5).ids == [second.record.id]
    assert collection.records([first.record.id]) == {}


def test_of_one_batch_the_last_of_an_id_and_of_a_uri_counts(collection: Collection) -> None:
    first, second, third = items(3)
    again = item(0, third.embedding)
    same_uri = item(7, second.embedding, uri=second.record.uri)
    collection.search(first.embedding, top_k=1)
    collection.put([first, second, again, same_uri])
    assert len(collection) == 2
    assert found(collection, third.embedding, top_k=5) == brute_force([again, same_uri], third.embedding, top_k=5)


def test_an_unusable_embedding_keeps_the_whole_batch_out(collection: Collection) -> None:
    good, bad = items(2)
    bad.embedding[:] = np.nan
    with pytest.raises(ValueError, match="'id-00001'"):
        collection.put([good, bad])
    assert len(collection) == 0


@pytest.mark.parametrize(
    "bad",
    [
        item(1, [1.0] * DIM, uri="photos/\udcff.jpg"),
        item(1, [1.0] * DIM, content_hash="../../evil"),
        item(1, [1.0] * DIM, uri="photos/a\0b.jpg"),
        item(1, [1.0] * DIM, rating=float("nan")),
    ],
)
def test_a_record_that_cannot_be_stored_keeps_the_whole_batch_out(collection: Collection, bad: Item) -> None:
    with pytest.raises(ValueError, match="'id-00001'"):
        collection.put([item(0, [1.0] * DIM, thumbnail=b"webp"), bad])
    assert len(collection) == 0


def test_hostile_text_comes_back_as_it_was(collection: Collection) -> None:
    text = "<script>'\" \u202e ; DROP TABLE records --"
    hostile = item(1, [1.0] * DIM, uri=f"photos/{text}.jpg", caption=text, **{text: text})
    collection.put([hostile])
    assert collection.records(["id-00001"]) == {"id-00001": hostile.record}
    assert collection.matching((Condition(text, "eq", text),)) == 1
    assert collection.fields() == {text: [text]}


def test_text_that_sqlite_cannot_keep_is_kept_without_that(collection: Collection) -> None:
    collection.put([item(1, [1.0] * DIM, caption="a\0b\ud800", **{"key\0": "c\ud800"})])
    (record,) = collection.records(["id-00001"]).values()
    assert (record.caption, record.metadata) == ("a?b?", {"key?": "c?"})


@pytest.mark.parametrize("id", ["", "unknown", "\ud800", "' OR 1=1 --", "../lock", "x" * 100_000])
def test_a_forged_id_is_nobody(collection: Collection, id: str) -> None:
    collection.put(items(1))
    assert collection.records([id]) == {}
    assert collection.embeddings([id]) == {}
    assert collection.thumbnail(id) is None
    assert collection.remove([id]) == 0
    with pytest.raises(ItemNotFound):
        collection.original(id)


def test_embeddings_come_by_id_and_by_content_hash(collection: Collection) -> None:
    kept = items(3)
    collection.put(kept)
    by_id = collection.embeddings([kept[1].record.id, "unknown"])
    assert list(by_id) == [kept[1].record.id]
    assert np.abs(by_id[kept[1].record.id] - kept[1].embedding).max() < 1e-6
    record, embedding = collection.by_hash([kept[2].record.content_hash, "0"])[kept[2].record.content_hash]
    assert record == kept[2].record
    assert np.abs(embedding - kept[2].embedding).max() < 1e-6


def test_pages_are_newest_first_and_filtered(collection: Collection) -> None:
    collection.put(items(10))
    assert [r.id for r in collection.page(offset=0, count=3)] == ["id-00009", "id-00008", "id-00007"]
    assert [r.id for r in collection.page(offset=3, count=2, where=EVEN)] == ["id-00002", "id-00000"]
    assert collection.page(offset=10, count=3) == []


def test_known_gives_a_source_s_own_records_and_no_neighbour_s(collection: Collection) -> None:
    uris = ["photos/a", "photos/b/c", "photos2/a", "photos-old/a", "photo/a"]
    collection.put([item(n, [1.0] * DIM, uri=uri) for n, uri in enumerate(uris)])
    assert [record.uri for record in collection.known("photos")] == ["photos/a", "photos/b/c"]


def test_a_field_is_known_once_some_record_has_it(collection: Collection) -> None:
    assert (collection.has_field("width"), collection.has_field("year")) == (True, False)
    collection.put([item(n, [1.0] * DIM) for n in range(3)] + [item(3, [1.0] * DIM, year=2020)])
    assert (collection.has_field("year"), collection.has_field("yea")) == (True, False)


def test_fields_show_the_commonest_values_first(collection: Collection) -> None:
    raws = [True, True, False]
    collection.put([item(n, [1.0] * DIM, year=2020 + n // 2, raw=raws[n]) for n in range(3)])
    assert collection.fields() == {"raw": [True, False], "year": [2020, 2021]}
    collection.remove(["id-00000", "id-00001"])
    assert collection.fields() == {"raw": [False], "year": [2021]}


def test_a_background_is_the_same_until_the_collection_changes(collection: Collection) -> None:
    collection.put(items(50))
    first = collection.background(20)
    assert first.shape == (20, DIM)
    assert np.array_equal(first, collection.background(20))
    assert collection.background(100).shape == (50, DIM)


def test_a_thumbnail_is_kept_once_for_equal_images_and_goes_with_the_last(collection: Collection) -> None:
    same = {"content_hash": "ab" * 32}
    collection.put([item(1, [1.0] * DIM, thumbnail=b"webp", **same), item(2, [1.0] * DIM, **same)])  # type: ignore[arg-type]
    collection.remove(["id-00001"])
    assert collection.thumbnail("id-00002") == b"webp"
    collection.remove(["id-00002"])
    collection.put([item(3, [1.0] * DIM, **same)])  # type: ignore[arg-type]
    assert collection.thumbnail("id-00003") is None


def test_an_original_is_opened_from_its_source(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "b").mkdir(parents=True)
    (tmp_path / "pictures" / "b" / "c.jpg").write_bytes(b"original")
    collection.set_source("photos", tmp_path / "pictures")
    uris = ["photos/b/c.jpg", "photos/gone.jpg", "other/x.jpg", "photos/../../data/lock"]
    collection.put([item(n, [1.0] * DIM, uri=uri) for n, uri in enumerate(uris)])
    with collection.original("id-00000") as file:
        assert file.read() == b"original"
    for id in ("id-00001", "id-00002", "id-00003"):
        with pytest.raises(SourceError):
            collection.original(id)
    assert collection.sources() == {"photos": tmp_path / "pictures"}


def test_an_upload_s_original_is_opened(library: LocalLibrary) -> None:
    collection = library.create("Uploads", model="fake", fingerprint="fake-1", dim=DIM)
    relative = library.keep_upload(b"original", ".JPG")
    assert library.keep_upload(b"original", ".jpg") == relative
    collection.set_source("uploads", None)
    collection.put([item(1, [1.0] * DIM, uri=f"uploads/{relative}")])
    with collection.original("id-00001") as file:
        assert file.read() == b"original"


def test_failures_are_replaced_source_by_source(collection: Collection) -> None:
    first = Failure("photos/\udcff.jpg", "unreadable_image", "It is no image.")
    other = Failure("zip/b.jpg", "unreadable_image", "It is no image.")
    collection.set_failures("photos", [first, first])
    collection.set_failures("zip", [other])
    collection.set_failures("photos", [first])
    assert collection.failures() == [other, Failure("photos/?.jpg", first.code, first.message)]
    collection.set_failures("photos", [])
    assert collection.failures() == [other]


def test_a_damaged_embedding_is_left_out_and_counted(library: LocalLibrary, tmp_path: Path, exact_up_to: int) -> None:
    kept = items(30)
    library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM).put(kept)
    library.close()
    (catalog,) = (tmp_path / "data").glob("collections/*/*/catalog.sqlite")
    with sqlite3.connect(catalog) as connection:
        connection.execute("UPDATE embeddings SET packed = zeroblob(32) WHERE seq = 3")
        connection.execute("UPDATE embeddings SET packed = x'00' WHERE seq = 5")
    connection.close()
    again = LocalLibrary(tmp_path / "data", exact_up_to=exact_up_to)
    try:
        if not exact_up_to:
            again.start_index()
        collection = again.open("Holidays")
        sound = [one for n, one in enumerate(kept) if n not in (2, 4)]
        assert_answers(collection, sound)
        assert collection.health()["damaged"] == 2
        assert collection.embeddings(["id-00002", "id-00003"]).keys() == {"id-00003"}
        wait_until_indexed(collection)
        assert_answers(collection, sound, via="exact" if exact_up_to else "chroma")
    finally:
        again.close()


def test_a_closed_collection_says_so(library: LocalLibrary) -> None:
    collection = library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
    collection.put(items(3))
    library.delete("Holidays")
    with pytest.raises(Exception, match="closed or deleted"):
        collection.records(["id-00001"])


def test_exact_compares_every_embedding_whatever_index_there_is(collection: Collection) -> None:
    kept = items(50)
    collection.put(kept)
    wait_until_indexed(collection)
    query = embeddings(1, seed=7)[0]
    assert found(collection, query, top_k=5, exact=True) == brute_force(kept, query, top_k=5)
    assert collection.search(query, top_k=5, exact=True).via == "exact"
