import os
from collections.abc import Callable
from pathlib import Path

import pytest

from search.errors import SourceError, StoreUnavailable
from store import files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "photos"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "a.jpg").write_bytes(b"original")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return inside


def test_an_original_under_the_root_is_opened(root: Path) -> None:
    with files.open_original(root, "sub/a.jpg") as file:
        assert file.read() == b"original"


def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    (root / "link.jpg").symlink_to(root / "sub" / "a.jpg")
    with files.open_original(root, "link.jpg") as file:
        assert file.read() == b"original"


@pytest.mark.parametrize(
    "relative",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "/etc/passwd",
        "gone.jpg",
        "",
        "sub",
        "a\0b",
        "out.jpg",
        "outside/secret.txt",
    ],
)
def test_whatever_is_no_file_under_the_root_is_refused(root: Path, relative: str) -> None:
    (root / "out.jpg").symlink_to(root.parent / "secret.txt")
    (root / "outside").symlink_to(root.parent)
    with pytest.raises(SourceError, match="is not where it was") as refused:
        files.open_original(root, relative)
    assert str(root) not in str(refused.value)


def test_a_pipe_does_not_hold_the_reader_up(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    with pytest.raises(SourceError):
        files.open_original(root, "pipe.jpg")


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/etc/hostname")], ids=["a pipe", "a link"])
def test_what_is_no_file_in_a_thumbnails_place_is_not_read(tmp_path: Path, put: Callable[[Path], None]) -> None:
    path = files.thumbnail_path(tmp_path, "a" * 64)
    path.parent.mkdir(parents=True)
    put(path)
    assert files.read_thumbnail(tmp_path, "a" * 64) is None


def test_a_loop_of_links_is_refused(root: Path) -> None:
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    with pytest.raises(SourceError):
        files.open_original(root, "loop.jpg")


def test_writing_leaves_the_whole_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_synced(path, b"one")
    files.write_synced(path, b"two")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"two"


def test_a_folder_that_cannot_be_written_is_a_sentence_without_a_path(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"^Manifest.json can't be written") as refused:
        files.write_durably(tmp_path / "missing" / "manifest.json", b"{}")
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("content_hash", ["../../secret", "a/b", "", "x" * 200, "a.b"])
def test_a_forged_hash_reads_no_file(tmp_path: Path, content_hash: str) -> None:
    assert not files.is_hash(content_hash)
    assert files.read_thumbnail(tmp_path, content_hash) is None
