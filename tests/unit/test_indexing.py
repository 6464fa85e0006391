import os
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from search.errors import DiskFull, EndpointUnavailable, ModelError, ModelNotFound, ModelRefused, SourceError
from search.images.decoder import Decoder
from search.indexing import Report, index
from search.progress import Progress
from search.types import Collection, Embeddings, Failure, Item, Record, Source, SourceFile
from store.library import LocalLibrary
from store.sources import UPLOADS, FilesSource, FolderSource, read_file
from tests.fakes import FakeEncoder


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(workers=2, max_bytes=2**20)
    yield decoder
    decoder.close()


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    library = LocalLibrary(tmp_path / "data")
    yield library.create("photos", model="fake", fingerprint="fake-1", dim=3)
    library.close()


@pytest.fixture
def pics(tmp_path: Path) -> Path:
    """red.png, deep/green.png, deep/blue.png"""
    folder = tmp_path / "pics"
    (folder / "deep").mkdir(parents=True)
    for name in ("red", "deep/green", "deep/blue"):
        paint(folder / f"{name}.png", name.rpartition("/")[2])
    return folder


Run = Callable[..., Report]


@pytest.fixture
def run(collection: Collection, decoder: Decoder, pics: Path) -> Run:
    def run(source: Source | None = None, encoder: FakeEncoder | None = None, **options: object) -> Report:
        source = source or FolderSource("pics", pics)
        return index(collection, encoder or FakeEncoder(), decoder, source, **options)  # type: ignore[arg-type]

    return run


def paint(path: Path, colour: str, *, size: tuple[int, int] = (40, 30), **options: object) -> None:
    Image.new("RGB", size, colour).save(path, **options)


def by_uri(collection: Collection) -> dict[str, Record]:
    return {record.uri: record for record in collection.page(offset=0, count=100)}


def best(collection: Collection, word: str) -> str:
    found = collection.search(FakeEncoder().encode_texts([word])[0], top_k=1)
    return collection.records(found.ids)[found.ids[0]].uri


def test_images_of_a_folder_are_found_by_their_colours(collection: Collection, run: Run) -> None:
    report = run()
    assert (report.indexed, report.unchanged, report.moved, report.failures) == (3, 0, 0, ())
    assert best(collection, "red") == "pics/red.png"
    assert best(collection, "green") == "pics/deep/green.png"
    assert best(collection, "blue") == "pics/deep/blue.png"


def test_a_record_holds_what_the_file_says(collection: Collection, run: Run, pics: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = "2021:07:04 18:05:09"
    exif[0x0112] = 6
    paint(pics / "deep" / "taken.jpg", "red", exif=exif)
    run()
    record = by_uri(collection)["pics/deep/taken.jpg"]
    status = (pics / "deep" / "taken.jpg").stat()
    assert (record.width, record.height, record.taken_at) == (30, 40, "2021-07-04T18:05:09")
    assert (record.size_bytes, record.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert record.metadata == {"format": "jpeg", "year": 2021, "folder": "deep"}
    assert record.caption == ""
    assert len(record.content_hash) == 64


def test_a_time_that_no_catalog_can_hold_costs_nobody_anything(collection: Collection, run: Run, pics: Path) -> None:
    os.utime(pics / "red.png", ns=(10**19, 10**19))  # in the year 2286
    assert run().indexed == 3
    assert run().unchanged == 3


def test_a_thumbnail_is_kept_with_each(collection: Collection, run: Run) -> None:
    run()
    thumbnail = collection.thumbnail(by_uri(collection)["pics/red.png"].id)
    assert thumbnail is not None
    assert Image.open(BytesIO(thumbnail)).size == (40, 30)


def test_the_original_can_be_opened(collection: Collection, run: Run, pics: Path) -> None:
    run()
    with collection.original(by_uri(collection)["pics/deep/blue.png"].id) as original:
        assert original.read() == (pics / "deep" / "blue.png").read_bytes()


def test_unchanged_files_are_not_read_again(collection: Collection, run: Run, pics: Path) -> None:
    run()
    before = by_uri(collection)
    for path in pics.rglob("*.png"):  # the same size and time, another content: it is not looked at
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    report = run()
    assert (report.indexed, report.unchanged, report.failures) == (0, 3, ())
    assert by_uri(collection) == before


def test_a_touched_file_is_not_embedded_again(collection: Collection, run: Run, pics: Path) -> None:
    run()
    before = by_uri(collection)["pics/red.png"]
    os.utime(pics / "red.png", ns=(1, 1))
    encoder = FakeEncoder()
    report = run(encoder=encoder)
    assert (report.indexed, report.unchanged, encoder.images_encoded) == (0, 3, 0)
    after = by_uri(collection)["pics/red.png"]
    assert (after.id, after.added_at, after.mtime_ns) == (before.id, before.added_at, 1)
    assert run().unchanged == 3


def test_a_changed_file_keeps_its_id(collection: Collection, run: Run, pics: Path) -> None:
    run()
    before = by_uri(collection)["pics/red.png"]
    paint(pics / "red.png", "cyan")
    assert run().indexed == 1
    after = by_uri(collection)["pics/red.png"]
    assert after.id == before.id
    assert after.content_hash != before.content_hash
    assert best(collection, "cyan") == "pics/red.png"
    assert len(collection) == 3


def test_a_moved_file_keeps_its_id_and_is_not_embedded_again(collection: Collection, run: Run, pics: Path) -> None:
    run()
    before = by_uri(collection)["pics/deep/blue.png"]
    (pics / "elsewhere").mkdir()
    (pics / "deep" / "blue.png").rename(pics / "elsewhere" / "sea.png")
    encoder = FakeEncoder()
    report = run(encoder=encoder)
    assert (report.moved, report.indexed, report.gone, encoder.images_encoded) == (1, 0, (), 0)
    after = by_uri(collection)["pics/elsewhere/sea.png"]
    assert after.id == before.id
    assert after.metadata["folder"] == "elsewhere"
    assert "pics/deep/blue.png" not in by_uri(collection)
    assert best(collection, "blue") == "pics/elsewhere/sea.png"


def test_two_files_of_equal_bytes_are_two_records_and_one_embedding(
    collection: Collection, run: Run, pics: Path
) -> None:
    (pics / "again.png").write_bytes((pics / "red.png").read_bytes())
    encoder = FakeEncoder()
    assert run(encoder=encoder).indexed == 4
    assert encoder.images_encoded == 3
    (pics / "later.png").write_bytes((pics / "red.png").read_bytes())
    assert run(encoder=encoder).indexed == 1
    assert encoder.images_encoded == 3
    same = [by_uri(collection)[f"pics/{name}.png"] for name in ("red", "again", "later")]
    assert len({record.id for record in same}) == 3
    assert len({collection.thumbnail(record.id) for record in same}) == 1


def test_files_that_were_renumbered_keep_their_thumbnails(collection: Collection, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "numbered"
    folder.mkdir()
    for number in range(40):
        paint(folder / f"{number:02}.png", "red", size=(50 + number, 30))
    source = FolderSource("numbered", folder)
    run(source)
    for number in reversed(range(40)):
        (folder / f"{number:02}.png").rename(folder / f"{number + 1:02}.png")
    paint(folder / "00.png", "blue", size=(49, 30))
    run(source)
    records = by_uri(collection)
    widths = [records[f"numbered/{number:02}.png"].width for number in range(41)]
    thumbnails = [collection.thumbnail(records[f"numbered/{number:02}.png"].id) for number in range(41)]
    assert widths == list(range(49, 90))
    assert [Image.open(BytesIO(data or b"")).width for data in thumbnails] == widths


def test_deleted_files_are_reported_and_stay(collection: Collection, run: Run, pics: Path) -> None:
    run()
    (pics / "red.png").unlink()
    report = run()
    assert (report.gone, report.removed, len(collection)) == (("pics/red.png",), 0, 3)


def test_deleted_files_are_removed_with_prune(collection: Collection, run: Run, pics: Path) -> None:
    run()
    (pics / "red.png").unlink()
    report = run(prune=True)
    assert (report.gone, report.removed, len(collection)) == (("pics/red.png",), 1, 2)


def test_what_lies_in_a_folder_that_cannot_be_read_is_not_gone(collection: Collection, run: Run, pics: Path) -> None:
    class Unread:
        name, root, scope = "pics", pics, "pics/"

        def files(self) -> Iterator[SourceFile | Failure]:
            yield from FilesSource("pics", pics, ((pics / "new.png", "new.png", ""),)).files()
            yield Failure("pics/deep", "source_error", "The folder deep can't be read: Permission denied.")

        def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
            return read_file(file, most_bytes=most_bytes)

    run()
    paint(pics / "new.png", "yellow")
    assert run(Unread(), prune=True).gone == ("pics/red.png",)
    assert sorted(by_uri(collection)) == ["pics/deep/blue.png", "pics/deep/green.png", "pics/new.png"]


def test_a_folder_that_is_empty_all_at_once_is_not_pruned(collection: Collection, run: Run, pics: Path) -> None:
    run()
    for path in pics.rglob("*.png"):
        path.unlink()
    with pytest.raises(SourceError) as caught:
        run(prune=True)
    assert str(caught.value) == (
        "pics holds no image any more, where 3 were: is its disk there? Nothing was removed; to remove all, delete "
        "the collection."
    )
    assert len(collection) == 3
    assert len(run().gone) == 3


def test_a_list_of_files_says_nothing_of_the_others(collection: Collection, run: Run, pics: Path) -> None:
    run()
    paint(pics / "new.png", "yellow")
    chosen = FilesSource("pics", pics, tuple((pics / name, name, "") for name in ("new.png", "red.png")))
    report = run(chosen, prune=True)
    assert (report.indexed, report.unchanged, report.gone, len(collection)) == (1, 1, (), 4)


def test_an_upload_is_shown_under_the_name_it_came_with(collection: Collection, run: Run, pics: Path) -> None:
    kept = FilesSource(UPLOADS, None, ((pics / "red.png", "ab/abcd.png", "holiday/me <b>.png"),))
    run(kept)
    record = by_uri(collection)["uploads/ab/abcd.png"]
    assert record.metadata == {"format": "png", "folder": "holiday", "name": "me <b>.png"}
    assert collection.sources() == {UPLOADS: None}


def test_unusable_files_are_listed_and_stop_nothing(collection: Collection, run: Run, pics: Path) -> None:
    (pics / "deep" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (pics / "b.svg").write_bytes(b"<svg/>")
    (pics / "c.jpg").write_bytes(b"")
    (pics / "d.bmp").write_bytes(bytes(2**20 + 1))
    report = run()
    assert report.indexed == 3
    assert {failure.uri: failure.code for failure in report.failures} == {
        "pics/deep/a.png": "unreadable_image",
        "pics/b.svg": "unsupported_format",
        "pics/c.jpg": "unreadable_image",
        "pics/d.bmp": "image_too_large",
    }
    assert collection.failures() == list(report.failures)
    assert all(Path(failure.uri).name in failure.message for failure in report.failures)


def test_a_mended_file_leaves_the_list(collection: Collection, run: Run, pics: Path) -> None:
    (pics / "bad.png").write_bytes(b"")
    run()
    paint(pics / "bad.png", "yellow")
    report = run()
    assert (report.indexed, report.failures, collection.failures()) == (1, (), [])


def test_failures_of_other_sources_and_earlier_uploads_stay(collection: Collection, run: Run, pics: Path) -> None:
    for number in range(2):
        (pics / f"{number}.jpg").write_bytes(b"")
        run(FilesSource(UPLOADS, None, ((pics / f"{number}.jpg", f"{number}.jpg", "x.jpg"),)))
    run()
    assert sorted(failure.uri for failure in collection.failures()) == [
        "pics/0.jpg", "pics/1.jpg", "uploads/0.jpg", "uploads/1.jpg",
    ]  # fmt: skip


def test_a_file_that_vanished_or_became_a_link_is_listed(collection: Collection, run: Run, pics: Path) -> None:
    class Late:
        name, root, scope = "pics", pics, "pics/"

        def files(self) -> Iterator[object]:
            yield from list(FolderSource("pics", pics).files())
            (pics / "red.png").unlink()
            (pics / "deep" / "blue.png").unlink()
            (pics / "deep" / "blue.png").symlink_to("/etc/hostname")

        def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
            return read_file(file, most_bytes=most_bytes)

    report = run(Late())
    assert report.indexed == 1
    assert {failure.uri: failure.code for failure in report.failures} == {
        "pics/red.png": "source_error",
        "pics/deep/blue.png": "source_error",
    }


class Picky(FakeEncoder):
    """Fails on any batch that holds a picture of this colour."""

    def __init__(self, colour: tuple[int, int, int]) -> None:
        super().__init__()
        self.colour = colour

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        if (pixels[:, 0, 0] == self.colour).all(axis=1).any():
            raise ModelError("The model failed.")
        return super().encode_images(pixels)


def test_a_picture_that_the_model_fails_on_is_listed_and_the_others_are_kept(collection: Collection, run: Run) -> None:
    report = run(encoder=Picky((0, 0, 255)))
    assert report.indexed == 2
    assert report.failures == (Failure("pics/deep/blue.png", "model_error", "The model failed."),)


def test_a_model_that_fails_on_everything_stops_the_run(collection: Collection, run: Run) -> None:
    class Broken(FakeEncoder):
        def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
            raise ModelError("The model is gone.")

    with pytest.raises(ModelError, match="gone"):
        run(encoder=Broken())
    assert len(collection) == 0


@pytest.mark.parametrize("kind", [EndpointUnavailable, ModelNotFound, ModelRefused])
def test_an_endpoint_that_is_gone_stops_the_run_at_its_first_refusal(
    collection: Collection, run: Run, kind: type[ModelError]
) -> None:
    class Gone(FakeEncoder):
        asked = 0

        def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
            self.asked += 1
            raise kind("The endpoint is gone.")

    encoder = Gone()
    with pytest.raises(kind, match="gone"):
        run(encoder=encoder)
    assert encoder.asked == 1


def test_an_embedding_that_is_none_is_listed_and_the_others_are_kept(collection: Collection, run: Run) -> None:
    class NotFinite(FakeEncoder):
        def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
            rows = super().encode_images(pixels)
            rows[pixels[:, 0, 0, 0] == 255] = np.nan
            return rows

    report = run(encoder=NotFinite())
    assert report.indexed == 2
    (failure,) = report.failures
    assert (failure.uri, failure.code) == ("pics/red.png", "model_error")
    assert failure.message.startswith("The model has no usable embedding of red.png: ")


class Watched:
    """A collection whose puts can be watched or refused; all else is the collection's."""

    def __init__(self, collection: Collection, put: Callable[[Sequence[Item]], None]) -> None:
        self._collection, self.put = collection, put

    def __getattr__(self, name: str) -> object:
        return getattr(self._collection, name)


def test_images_are_found_while_the_run_goes_on(collection: Collection, decoder: Decoder, pics: Path) -> None:
    for number in range(20):
        paint(pics / f"{number:02}.png", "red", size=(50 + number, 30))
    sizes: list[int] = []

    def put(items: Sequence[Item]) -> None:
        collection.put(items)
        sizes.append(len(collection.search(FakeEncoder().encode_texts(["red"])[0], top_k=100).ids))

    index(Watched(collection, put), FakeEncoder(), decoder, FolderSource("pics", pics))  # type: ignore[arg-type]
    assert sizes[0] == 4
    assert sizes[-1] == 23
    assert sizes == sorted(set(sizes))


def test_a_full_disk_stops_the_run_and_keeps_what_was_acknowledged(
    collection: Collection, decoder: Decoder, pics: Path
) -> None:
    for number in range(20):
        paint(pics / f"{number:02}.png", "red", size=(50 + number, 30))

    def put(items: Sequence[Item]) -> None:
        if len(collection):
            raise DiskFull("The disk is full.")
        collection.put(items)

    with pytest.raises(DiskFull):
        index(Watched(collection, put), FakeEncoder(), decoder, FolderSource("pics", pics))  # type: ignore[arg-type]
    assert len(collection) == 4


def test_a_cancelled_run_keeps_what_it_put_and_the_next_one_goes_on(
    collection: Collection, run: Run, pics: Path
) -> None:
    for number in range(20):
        paint(pics / f"{number:02}.png", "red", size=(50 + number, 30))
    report = run(cancelled=lambda: len(collection) > 0, prune=True)
    assert (report.cancelled, report.indexed, report.gone) == (True, len(collection), ())
    assert 0 < report.indexed < 23
    encoder = FakeEncoder()
    report = run(encoder=encoder)
    assert (report.indexed + report.unchanged, len(collection)) == (23, 23)
    assert encoder.images_encoded == report.indexed


def test_progress_is_told_from_looking_to_done(run: Run, pics: Path) -> None:
    (pics / "bad.png").write_bytes(b"")
    told: list[Progress] = []
    run(progress=told.append)
    assert list(dict.fromkeys(each.phase for each in told)) == ["looking", "indexing", "done"]
    last = told[-1]
    assert (last.source, last.phase, last.total, last.done, last.indexed, last.failed, last.remaining_s) == (
        "pics", "done", 4, 4, 3, 1, 0.0,
    )  # fmt: skip
    assert last.rate_per_s >= 0


def test_indexing_within_a_part_of_a_folder_leaves_the_rest(collection: Collection, run: Run, pics: Path) -> None:
    run()
    (pics / "red.png").unlink()
    (pics / "deep" / "blue.png").unlink()
    assert run(FolderSource("pics", pics, "deep"), prune=True).gone == ("pics/deep/blue.png",)
    assert sorted(by_uri(collection)) == ["pics/deep/green.png", "pics/red.png"]


def test_reports_add_up() -> None:
    first = Report(indexed=1, gone=("a",), seconds=1.5)
    second = Report(indexed=2, unchanged=3, gone=("b",), cancelled=True, seconds=0.5)
    assert first.plus(second) == Report(indexed=3, unchanged=3, gone=("a", "b"), cancelled=True, seconds=2.0)


def test_the_named_pictures_are_indexed_as_they_are(collection: Collection, run: Run) -> None:
    report = run(FolderSource("images", Path(__file__).parents[1] / "images"))
    records = by_uri(collection)
    assert {uri: (record.width, record.height, record.taken_at) for uri, record in records.items()} == {
        "images/blue.webp": (160, 120, None),
        "images/green.jpg": (160, 120, None),
        "images/red.png": (160, 120, None),
        "images/turned.jpg": (120, 160, "2021-07-04T18:05:09"),
    }
    assert [best(collection, word) for word in ("red", "green", "blue", "yellow")] == [
        f"images/{name}" for name in ("red.png", "green.jpg", "blue.webp", "turned.jpg")
    ]
    assert {failure.uri: failure.message for failure in report.failures} == {
        "images/drawing.svg": "drawing.svg is an SVG drawing, which can't be searched: save it as JPEG, PNG, WebP, "
        "GIF, BMP, TIFF, AVIF or HEIC.",
        "images/truncated.jpg": "truncated.jpg is damaged: it ends early. Save or copy it again.",
    }
