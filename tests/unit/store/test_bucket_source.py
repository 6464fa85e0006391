"""Images in S3 are listed, read and skipped as those of a folder are."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from search.errors import SourceError, StorageNotFound, StorageUnreachable
from search.images.decoder import Decoder
from search.indexing import Report, index
from search.types import Failure, SourceFile
from store.bucket_source import BucketSource
from store.library import LocalLibrary
from store.s3 import S3, Address, parse_address
from store.sources import open_sources
from tests.buckets import Counted, made_bucket
from tests.fakes import FakeEncoder


@pytest.fixture
def bucket() -> Iterator[tuple[S3, Counted]]:
    with made_bucket() as made:
        yield made


@pytest.fixture
def s3(bucket: tuple[S3, Counted]) -> S3:
    return bucket[0]


@pytest.fixture
def library(tmp_path: Path, s3: S3) -> Iterator[LocalLibrary]:
    library = LocalLibrary(tmp_path / "data", bucket=lambda: s3)
    library.create("photos", model="fake", fingerprint="fake-1", dim=3)
    yield library
    library.close()


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(workers=1, max_bytes=2**20)
    yield decoder
    decoder.close()


def paint(s3: S3, key: str, colour: str) -> bytes:
    data = BytesIO()
    Image.new("RGB", (40, 30), colour).save(data, "PNG")
    s3.put(Address("photos", key), data.getvalue())
    return data.getvalue()


def source(s3: S3, text: str) -> BucketSource:
    return BucketSource(parse_address(text), lambda: s3)


def uris(s3: S3, text: str) -> list[str]:
    return [found.uri for found in source(s3, text).files() if isinstance(found, SourceFile)]


def test_a_prefix_is_a_folder_and_its_images_are_named(s3: S3) -> None:
    for key in ("a/1.jpg", "a/deep/2.PNG", "a/notes.txt", "a/.hidden/3.jpg", "a/folder/", "ab/4.jpg", "5.jpg"):
        s3.put(Address("photos", key), b"x")
    assert uris(s3, "s3://photos/a") == ["s3://photos/a/1.jpg", "s3://photos/a/deep/2.PNG"]
    assert uris(s3, "s3://photos/a/") == ["s3://photos/a/1.jpg", "s3://photos/a/deep/2.PNG"]
    assert uris(s3, "s3://photos") == [f"s3://photos/{key}" for key in ("5.jpg", "a/1.jpg", "a/deep/2.PNG", "ab/4.jpg")]


def test_an_image_may_be_named_by_itself_and_says_nothing_of_others(s3: S3) -> None:
    s3.put(Address("photos", "a/1.jpg"), b"x")
    s3.put(Address("photos", "a/1.jpg.png"), b"x")
    one = source(s3, "s3://photos/a/1.jpg")
    assert [found.uri for found in one.files()] == ["s3://photos/a/1.jpg"]
    assert (one.name, one.scope) == ("s3://photos", None)
    assert source(s3, "s3://photos/a").scope == "s3://photos/a/"


def test_where_nothing_is_an_error_says_so_lest_all_seem_to_be_gone(s3: S3) -> None:
    with pytest.raises(StorageNotFound, match="nothing below s3://photos/a/"):
        uris(s3, "s3://photos/a")


def test_a_key_with_control_characters_is_listed_as_unusable(s3: S3) -> None:
    s3.put(Address("photos", "a/b\tc.jpg"), b"x")
    (found,) = source(s3, "s3://photos/a").files()
    assert isinstance(found, Failure)
    assert (found.uri, found.code) == ("s3://photos/a/b\ufffdc.jpg", "source_error")


def test_an_image_that_vanished_is_its_own_failure(s3: S3) -> None:
    file = SourceFile("s3://photos/a/1.jpg", 1, 1, None)
    with pytest.raises(SourceError, match="There is no object"):
        source(s3, "s3://photos/a").read(file, most_bytes=10)


def test_silence_of_s3_is_not_one_images_failure() -> None:
    class Silent(S3):
        def read(self, address: Address, *, most_bytes: int) -> tuple[object, bytes]:  # type: ignore[override]
            raise StorageUnreachable("S3 does not answer.")

    with pytest.raises(StorageUnreachable):
        source(Silent(None), "s3://photos/a").read(SourceFile("s3://photos/a/1.jpg", 1, 1, None), most_bytes=10)


def test_images_in_s3_are_indexed_found_and_served_from_there(library: LocalLibrary, s3: S3, decoder: Decoder) -> None:
    red = paint(s3, "2026/trip/red.png", "red")
    paint(s3, "2026/blue.png", "blue")
    s3.put(Address("photos", "2026/bad.png"), b"not a picture")
    collection = library.open("photos")
    report = index(collection, FakeEncoder(), decoder, source(s3, "s3://photos/2026"))
    assert (report.indexed, [failure.uri for failure in report.failures]) == (2, ["s3://photos/2026/bad.png"])
    found = collection.search(FakeEncoder().encode_texts(["red"])[0], top_k=1)
    record = collection.records(found.ids)[found.ids[0]]
    assert (record.uri, record.metadata["folder"]) == ("s3://photos/2026/trip/red.png", "2026/trip")
    with collection.original(record.id) as original:
        assert original.read() == red


def test_what_is_unchanged_is_not_read_again_and_what_is_gone_is_told(
    library: LocalLibrary, bucket: tuple[S3, Counted], decoder: Decoder
) -> None:
    s3, counted = bucket
    for name in ("red", "green", "blue"):
        paint(s3, f"2026/{name}.png", name)
    paint(s3, "2025/yellow.png", "yellow")
    collection = library.open("photos")

    def run(text: str, *, prune: bool = False) -> tuple[Report, list[str]]:
        counted.asked.clear()
        report = index(collection, FakeEncoder(), decoder, source(s3, text), prune=prune)
        return report, sorted(key for operation, key in counted.asked if operation == "get_object")

    assert run("s3://photos")[0].indexed == 4
    paint(s3, "2026/red.png", "magenta")
    counted.delete_object(Bucket="photos", Key="2026/blue.png")
    report, read = run("s3://photos/2026")
    assert (report.indexed, report.unchanged, report.gone) == (1, 1, ("s3://photos/2026/blue.png",))
    assert read == ["2026/red.png"]
    assert len(collection) == 4
    report, read = run("s3://photos/2026", prune=True)
    assert (report.removed, read, len(collection)) == (1, [], 3)


def test_an_original_that_grew_is_not_served(library: LocalLibrary, s3: S3, decoder: Decoder) -> None:
    red = paint(s3, "red.png", "red")
    collection = library.open("photos")
    index(collection, FakeEncoder(), decoder, source(s3, "s3://photos/red.png"))
    (record,) = collection.page(offset=0, count=1)
    s3.put(Address("photos", "red.png"), red + b"x")
    with pytest.raises(SourceError, match="replaced by a larger one"):
        collection.original(record.id)


def test_an_original_that_is_gone_is_said(library: LocalLibrary, bucket: tuple[S3, Counted], decoder: Decoder) -> None:
    s3, counted = bucket
    paint(s3, "red.png", "red")
    collection = library.open("photos")
    index(collection, FakeEncoder(), decoder, source(s3, "s3://photos/red.png"))
    (record,) = collection.page(offset=0, count=1)
    counted.delete_object(Bucket="photos", Key="red.png")
    with pytest.raises(SourceError, match=r"The original of 'red.png' can't be had\. There is no object"):
        collection.original(record.id)


def test_an_address_among_paths_is_a_source_of_its_own(tmp_path: Path) -> None:
    def never() -> S3:
        raise AssertionError("opening sources asks nothing of S3")

    opened = open_sources(
        [str(tmp_path), "s3://photos/a"],
        known={},
        uploads_dir=tmp_path,
        keep=lambda data, suffix: "",
        max_bytes=1,
        bucket=never,
    )
    assert [one.name for one in opened] == [tmp_path.name, "s3://photos"]
