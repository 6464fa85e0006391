"""An archive of a release is the same bytes whenever its files are, and a hostile one writes nothing outside."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from search.errors import ReleaseDamaged
from store.tarballs import Limits, first_file, is_plain, pack, unpack

FILES = {"manifest.json": b"{}", "model/visual/model.onnx": b"weights" * 1000, "empty": b""}


def folder_of(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def archive_of(out: Path, *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(out, "w:gz", format=format) as tar:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(data))
    return out


def member(name: str, type: bytes = tarfile.REGTYPE, linkname: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, linkname
    return info


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_files_make_equal_bytes_whatever_their_times_and_order(tmp_path: Path) -> None:
    one = folder_of(FILES, tmp_path / "one")
    other = folder_of(dict(reversed(FILES.items())), tmp_path / "other")
    (other / "empty").chmod(0o700)
    pack(one, [*FILES], tmp_path / "one.tar.gz")
    pack(other, [*reversed(FILES)], tmp_path / "other.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()


def test_the_first_file_is_read_from_a_head(tmp_path: Path) -> None:
    pack(folder_of({"a/x": bytes(2**20), "z.json": b"{}"}, tmp_path / "in"), ["a/x", "z.json"], tmp_path / "a.tar.gz")
    head = (tmp_path / "a.tar.gz").read_bytes()[:1_000]
    assert first_file(io.BytesIO(head), called="a") == ("z.json", b"{}")
    assert first_file(io.BytesIO(head[:20]), called="a") is None


def test_the_head_of_something_else_is_refused() -> None:
    with pytest.raises(ReleaseDamaged, match=r"a is no \.tar\.gz"):
        first_file(io.BytesIO(b"no archive"), called="a")
    with pytest.raises(ReleaseDamaged, match="no tar archive"):
        first_file(io.BytesIO(gzip.compress(b"x" * 1024)), called="a")


def test_what_was_packed_comes_out_as_it_was(tmp_path: Path) -> None:
    pack(folder_of(FILES, tmp_path / "in"), [*FILES], tmp_path / "a.tar.gz")
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert found(tmp_path / "out") == FILES


def test_what_other_programs_pack_is_read(tmp_path: Path) -> None:
    archive_of(tmp_path / "a.tar.gz", (member("./"[:1] + "/a"), b"1"), format=tarfile.PAX_FORMAT)
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert found(tmp_path / "out") == {"a": b"1"}


@pytest.mark.parametrize(
    "hostile",
    [
        member("../escaped"),
        member("/tmp/escaped"),
        member("a/../../escaped"),
        member(".hidden"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.LNKTYPE, "manifest.json"),
        member("pipe", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
        member("x" * 150),
    ],
    ids=lambda info: f"{info.name[:20]} {info.type!r}",
)
def test_what_no_release_holds_is_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    archive = archive_of(tmp_path / "a.tar.gz", (member("manifest.json"), b"{}"), (hostile, b"x"))
    (tmp_path / "out").mkdir()
    with pytest.raises(ReleaseDamaged):
        unpack(archive, tmp_path / "out")
    assert found(tmp_path / "out") == {"manifest.json": b"{}"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "out"]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.tar.gz", (member("a"), b"1"), (member("a"), b"2"))
    (tmp_path / "out").mkdir()
    with pytest.raises(ReleaseDamaged, match="holds a twice"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(files=1), "more than 1 files, the limit"),
        (Limits(total_bytes=2_000), "unpacks to more than it may"),
        (Limits(ratio=1, ratio_from_bytes=0), "unpacks to more than it may"),
    ],
)
def test_counts_and_sizes_have_limits(tmp_path: Path, limits: Limits, says: str) -> None:
    archive = archive_of(tmp_path / "a.tar.gz", (member("a"), bytes(50_000)), (member("b"), b""))
    (tmp_path / "out").mkdir()
    with pytest.raises(ReleaseDamaged, match=says):
        unpack(archive, tmp_path / "out", limits=limits)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"no gzip" + data,
        lambda data: gzip.compress(b"no tar" * 200),
        lambda data: b"",
    ],
    ids=["cut off", "no gzip", "no tar", "empty"],
)
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    archive = archive_of(tmp_path / "a.tar.gz", (member("a"), bytes(range(256)) * 9))
    archive.write_bytes(spoil(archive.read_bytes()))
    (tmp_path / "out").mkdir()
    with pytest.raises(ReleaseDamaged, match=r"a\.tar\.gz (is no|holds)"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "plain"), [("a/b.c", True), ("a//b", False), ("", False), ("a/.", False), ("ä", False)]
)
def test_which_names_are_plain(name: str, plain: bool) -> None:
    assert is_plain(name) is plain
