import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from search.errors import SourceError
from search.types import Failure, SentArchive, Source, SourceFile, Upload
from store.sources import UPLOADS, ArchiveSource, FilesSource, FolderSource, open_sources, origins


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def uris(source: Source) -> list[str]:
    return [found.uri for found in source.files() if isinstance(found, SourceFile)]


def failures(source: Source) -> dict[str, str]:
    return {found.uri: found.message for found in source.files() if isinstance(found, Failure)}


def test_a_folder_names_its_images_in_a_stable_order(tmp_path: Path) -> None:
    write(tmp_path, "b.jpg", "a.PNG", "z/c.webp", "d/e/f.heic", "d/x.tif")
    assert uris(FolderSource("pics", tmp_path)) == [
        "pics/a.PNG", "pics/b.jpg", "pics/d/x.tif", "pics/d/e/f.heic", "pics/z/c.webp",
    ]  # fmt: skip


def test_a_file_has_its_size_time_and_path(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", ns=(1, 2))
    assert list(FolderSource("pics", tmp_path).files()) == [SourceFile("pics/a.jpg", 1, 2, tmp_path / "a.jpg")]


def test_what_is_hidden_or_no_image_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, ".a.jpg", ".git/b.jpg", "@eaDir/c.jpg", "notes.txt", "d", "e.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert uris(FolderSource("pics", tmp_path)) == ["pics/e.jpg"]
    assert failures(FolderSource("pics", tmp_path)) == {}


def test_a_picture_of_a_kind_that_cannot_be_read_is_offered_so_that_it_is_listed(tmp_path: Path) -> None:
    write(tmp_path, "logo.svg")
    assert uris(FolderSource("pics", tmp_path)) == ["pics/logo.svg"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "outside/secret.jpg", "pics/a.jpg", "pics/deep/b.jpg")
    pics = tmp_path / "pics"
    (pics / "loop").symlink_to(pics)
    (pics / "inside.jpg").symlink_to("a.jpg")
    (pics / "out.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (pics / "outfolder").symlink_to(tmp_path / "outside")
    (pics / "nowhere.jpg").symlink_to("missing.jpg")
    (pics / "self.jpg").symlink_to("self.jpg")
    (pics / "notes").symlink_to("/etc/hostname")
    assert uris(FolderSource("pics", pics)) == ["pics/a.jpg", "pics/deep/b.jpg"]
    assert failures(FolderSource("pics", pics)) == {
        "pics/nowhere.jpg": "nowhere.jpg is a link that leads nowhere: remove it, or put back what it names.",
        "pics/out.jpg": "out.jpg is a link out of its folder and was not followed: index what it names.",
        "pics/outfolder": "outfolder is a link out of its folder and was not followed: index what it names.",
        "pics/self.jpg": "self.jpg is a link that leads nowhere: remove it, or put back what it names.",
    }


def test_odd_names_are_kept_and_names_that_are_not_utf8_reported(tmp_path: Path) -> None:
    write(tmp_path, "new\nline.jpg", "<b>é 100%.jpg", "back\\slash.jpg")
    write(tmp_path, os.fsdecode(b"caf\xe9.jpg"))
    source = FolderSource("pics", tmp_path)
    assert uris(source) == ["pics/<b>é 100%.jpg", "pics/back\\slash.jpg", "pics/new\nline.jpg"]
    assert failures(source) == {"pics/caf?.jpg": "caf\ufffd.jpg has a name that is not UTF-8: rename it."}


def test_a_part_of_a_folder_has_the_uris_of_the_whole(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "deep/b.jpg")
    source = FolderSource("pics", tmp_path, "deep")
    assert (uris(source), source.scope) == (["pics/deep/b.jpg"], "pics/deep/")


def test_a_folder_that_is_not_there_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^The folder pics can't be read: No such file or directory\."):
        list(FolderSource("pics", tmp_path / "pics").files())


def test_a_file_of_a_list_that_is_not_there_is_reported(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    source = FilesSource("pics", tmp_path, ((tmp_path / "a.jpg", "a.jpg", ""), (tmp_path / "b.jpg", "b.jpg", "")))
    assert (uris(source), source.scope) == (["pics/a.jpg"], None)
    assert failures(source) == {"pics/b.jpg": "b.jpg can't be read: No such file or directory."}


def opened(
    *paths: Path, known: Mapping[str, Path | None] | None = None, uploads: list[Upload] | None = None
) -> list[Source]:
    return open_sources(
        [str(path) for path in paths],
        uploads or [],
        known=known or {},
        uploads_dir=Path("/data/uploads"),
        keep=lambda data, suffix: "",
        max_bytes=100,
    )


def test_a_folder_becomes_a_source_named_after_it(tmp_path: Path) -> None:
    write(tmp_path, "holiday/a.jpg")
    assert opened(tmp_path / "holiday") == [FolderSource("holiday", tmp_path / "holiday")]


def test_a_second_folder_of_a_name_gets_another_name(tmp_path: Path) -> None:
    write(tmp_path, "a/pics/1.jpg", "b/Pics/1.jpg", "c/pics/1.jpg", "uploads/1.jpg")
    first, second, third = opened(tmp_path / "a/pics", tmp_path / "b/Pics", tmp_path / "c/pics")
    assert [first.name, second.name, third.name] == ["pics", "Pics-2", "pics-3"]
    assert opened(tmp_path / "uploads")[0].name == "uploads-2"


def test_a_folder_keeps_its_name_and_one_in_it_is_a_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, "pics/deep/er/1.jpg")
    known = {"mine": tmp_path / "pics", "deeper": tmp_path / "pics" / "deep" / "er", UPLOADS: None}
    assert opened(tmp_path / "pics", known=known) == [FolderSource("mine", tmp_path / "pics")]
    assert opened(tmp_path / "pics" / "deep", known=known) == [FolderSource("mine", tmp_path / "pics", "deep")]
    assert opened(tmp_path / "pics" / "deep" / "er", known=known)[0].name == "deeper"


def test_files_are_gathered_by_their_folder(tmp_path: Path) -> None:
    write(tmp_path, "pics/1.jpg", "pics/2.txt", "other/3.jpg")
    first, second = opened(tmp_path / "pics/1.jpg", tmp_path / "other/3.jpg", tmp_path / "pics/2.txt")
    assert (uris(first), uris(second)) == (["pics/1.jpg", "pics/2.txt"], ["other/3.jpg"])
    (third,) = opened(tmp_path / "pics/1.jpg", known={"all": tmp_path})
    assert uris(third) == ["all/pics/1.jpg"]


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'^There is nothing to read at the path that ends in "missing": check it'):
        opened(tmp_path / "missing")
    with pytest.raises(SourceError, match=r'^There is nothing to read at the path that ends in "a\ufffdb": check it'):
        opened(Path("a\0b"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match=r"^pipe is neither a folder nor a file"):
        opened(tmp_path / "pipe")


def test_uploads_are_named_by_the_files_they_were() -> None:
    (source,) = opened(uploads=[Upload("ab/abc.png", "cat.png")])
    assert source == FilesSource(UPLOADS, None, ((Path("/data/uploads/ab/abc.png"), "ab/abc.png", "cat.png"),))


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../../tmp/fresh/a.png", "tmp/fresh/a.png"),
        ("/home/me/a.png", "home/me/a.png"),
        ("C:\\a.png", "a.png"),
        ("..", ""),
    ],
)
def test_the_name_of_an_upload_is_cleaned_as_one_in_an_archive_is(sent: str, name: str) -> None:
    (source,) = opened(uploads=[Upload("ab/abc.png", sent)])
    assert source == FilesSource(UPLOADS, None, ((Path("/data/uploads/ab/abc.png"), "ab/abc.png", name),))


@pytest.mark.parametrize("forged", ["../../etc/passwd", "/etc/passwd", "ab/../../x.png"])
def test_a_forged_upload_is_refused(forged: str) -> None:
    with pytest.raises(SourceError, match="is not an upload that is kept here"):
        opened(uploads=[Upload(forged, "cat.png")])


def test_an_archive_is_kept_and_listed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("trip/a.jpg", b"first")
        archive.writestr("trip/b.png", b"x" * 101)
        archive.writestr("trip/notes.txt", b"no image")
    kept = tmp_path / "uploads"
    kept.mkdir()

    def keep(data: bytes, suffix: str) -> str:
        (kept / f"1{suffix}").write_bytes(data)
        return f"1{suffix}"

    (source,) = open_sources([str(tmp_path / "photos.zip")], known={}, uploads_dir=kept, keep=keep, max_bytes=100)
    assert isinstance(source, ArchiveSource)
    found, failure = source.files()
    assert isinstance(found, SourceFile)
    assert (found.uri, found.size_bytes, found.path, found.name) == (
        "uploads/1.jpg", 5, kept / "1.jpg", "trip/a.jpg",
    )  # fmt: skip
    assert failure == Failure(
        "uploads/photos.zip/trip/b.png",
        "image_too_large",
        "b.png has more than 0 MB, the limit (SIGHTLINE_MAX_IMAGE_MB): make it smaller.",
    )


def test_an_archive_that_was_sent_goes_by_the_name_it_came_with(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "1f2e.zip", "w") as archive:
        archive.writestr("b.png", b"x" * 101)
    sent = [SentArchive(str(tmp_path / "1f2e.zip"), "trip/holidays.zip"), SentArchive(str(tmp_path / "none"), "x.zip")]
    good, lost = open_sources(
        [], archives=sent, known={}, uploads_dir=tmp_path, keep=lambda data, suffix: "", max_bytes=100
    )
    assert list(failures(good)) == ["uploads/holidays.zip/b.png"]
    with pytest.raises(SourceError, match=r"^x\.zip is not a zip archive"):
        list(lost.files())


def test_origins_name_no_place_of_the_machine_and_have_no_order(tmp_path: Path) -> None:
    write(tmp_path, "a/pics/x.jpg", "a/pics/deep/y.jpg", "b/z.jpg")
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as archive:
        archive.writestr("q.jpg", b"q")

    def named(*paths: str) -> list[str]:
        given = [path if path.startswith("s3:") else str(tmp_path / path) for path in paths]
        return origins(open_sources(given, known={}, uploads_dir=tmp_path, keep=lambda data, suffix: "", max_bytes=1))

    digest = hashlib.sha256((tmp_path / "box.zip").read_bytes()).hexdigest()[:32]
    places = ["a/pics", "b/z.jpg", "box.zip", "s3://bucket/deep", "s3://bucket/one.jpg", "a/pics"]
    told = ["b/z.jpg", f"box.zip (sha256 {digest})", "pics/", "s3://bucket/deep/", "s3://bucket/one.jpg"]
    assert named(*places) == named(*reversed(places)) == told
    assert named("a/pics", "a/pics/deep") == ["pics/", "pics/deep/"]


def test_an_origin_is_text_whatever_a_file_is_called(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff.jpg")
    odd.write_bytes(b"x")
    sources = open_sources([str(odd)], known={}, uploads_dir=tmp_path, keep=lambda data, suffix: "", max_bytes=1)
    assert origins(sources) == [f"{tmp_path.name}/?.jpg"]
