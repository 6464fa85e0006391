import random
import struct
import zipfile
from pathlib import Path

import pytest

from search.errors import SourceError
from search.types import Failure, Upload
from store.archives import Limits, is_archive, unpack

NO_IMAGES = Failure("a.zip", "source_error", "a.zip holds no images: archives inside it and links are not followed.")


def pack(path: Path, members: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def unpacked(path: Path, *, limits: Limits | None = None) -> tuple[dict[str, bytes], list[Failure]]:
    """What is kept, by name, and what is not."""
    kept: list[bytes] = []

    def keep(data: bytes, suffix: str) -> str:
        kept.append(data)
        return f"{len(kept)}{suffix}"

    members = unpack(
        path,
        name=path.name,
        wanted=lambda parts: parts[-1].endswith(".jpg"),
        keep=keep,
        max_bytes=2**20,
        limits=limits or Limits(),
    )
    found = list(members)
    names = [each.name for each in found if isinstance(each, Upload)]
    return dict(zip(names, kept, strict=True)), [each for each in found if isinstance(each, Failure)]


def test_members_are_kept_in_order(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"b.jpg": b"1", "x/a.jpg": b"2", "x/notes.txt": b"3"})
    assert unpacked(path) == ({"b.jpg": b"1", "x/a.jpg": b"2"}, [])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../evil.jpg", "evil.jpg"),
        ("/etc/evil.jpg", "etc/evil.jpg"),
        ("C:\\evil.jpg", "evil.jpg"),
        ("a/../../evil.jpg", "a/evil.jpg"),
    ],
)
def test_a_name_that_leads_out_is_only_a_name(tmp_path: Path, name: str, shown: str) -> None:
    assert list(unpacked(pack(tmp_path / "a.zip", {name: b"1"}))[0]) == [shown]


def test_links_in_an_archive_are_left_out(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert unpacked(tmp_path / "a.zip") == ({}, [NO_IMAGES])


def test_an_archive_with_no_image_says_so(tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.zip", {"a.jpg": b"1"}).read_bytes()
    assert unpacked(pack(tmp_path / "a.zip", {"inner.zip": inner})) == ({}, [NO_IMAGES])
    assert unpacked(pack(tmp_path / "a.zip", {})) == ({}, [NO_IMAGES])


def test_a_member_that_is_too_large_is_reported_whatever_size_it_claims(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"big.jpg": bytes(2**20 + 1), "small.jpg": b"1"})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(data)
    kept, (failure,) = unpacked(path)
    assert kept == {"small.jpg": b"1"}
    assert (failure.uri, failure.code) in {("a.zip/big.jpg", "image_too_large"), ("a.zip/big.jpg", "source_error")}


def test_a_damaged_member_costs_only_itself(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"bad.jpg": b"12345678", "good.jpg": b"1"}, compression=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"12345678", b"12345679", 1))
    kept, failures = unpacked(path)
    assert kept == {"good.jpg": b"1"}
    assert failures == [Failure("a.zip/bad.jpg", "source_error", "bad.jpg is damaged in its archive: pack it again.")]


def test_an_encrypted_member_is_reported(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.jpg": b"1"}, compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert unpacked(path)[1] == [
        Failure("a.zip/a.jpg", "source_error", "a.jpg is encrypted in its archive: unpack it first.")
    ]


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_unusual_way_of_packing_is_reported(tmp_path: Path, compression: int) -> None:
    path = pack(tmp_path / "a.zip", {"a.jpg": b"1"}, compression=compression)
    assert unpacked(path)[1] == [
        Failure("a.zip/a.jpg", "source_error", "a.jpg is packed in an unusual way: pack it as plain zip.")
    ]


def test_a_member_without_a_name_is_left_out(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x": b"1", "a.jpg": b"2"})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"x", b"\0"))
    assert unpacked(path) == ({"a.jpg": b"2"}, [])


def test_a_list_of_members_at_an_impossible_place_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.jpg": b"1"})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x05\x06")
    data[at + 12 : at + 16] = b"\xff" * 4
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, 2**64 - 1, 1)
    path.write_bytes(data[:at] + locator + data[at:])
    with pytest.raises(SourceError, match=r"^a\.zip is not a zip archive that can be read: pack it again\.$"):
        unpacked(path)


def test_no_damage_raises_anything_but_a_typed_error(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {f"{n}.jpg": bytes(range(256)) for n in range(3)})
    whole, rng = path.read_bytes(), random.Random(3)
    outcomes = set()
    for _ in range(400):
        broken = bytearray(whole)
        for _ in range(rng.choice((1, 4))):
            broken[rng.randrange(len(whole))] = rng.choice((0, 255, rng.randrange(256)))
        path.write_bytes(broken)
        try:
            outcomes.add(len(unpacked(path)[0]))
        except SourceError:
            outcomes.add(-1)
    assert {-1, 3} <= outcomes <= {-1, 0, 1, 2, 3}


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
    assert is_archive(tmp_path / "a.zip")
    with pytest.raises(SourceError, match=r"^a\.zip is not a zip archive that can be read: pack it again\.$"):
        unpacked(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"\xff\xd8\xff")
    assert not is_archive(tmp_path / "b.zip")
    assert not is_archive(tmp_path / "missing.zip")


def test_a_bomb_is_stopped_by_its_ratio(tmp_path: Path) -> None:
    path = pack(tmp_path / "bomb.zip", {f"{n}.jpg": bytes(2**20) for n in range(10)})
    with pytest.raises(SourceError, match=r"^bomb\.zip unpacks to more than 100 times its size or 50 GB, the limits"):
        unpacked(path, limits=Limits(ratio_from_bytes=2**20))
    assert len(unpacked(path)[0]) == 10


def test_all_together_may_not_be_too_large(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {f"{n}.jpg": b"12345678" for n in range(10)})
    with pytest.raises(SourceError, match=r"the limits: pack it into several\.$"):
        unpacked(path, limits=Limits(total_bytes=79))
    assert len(unpacked(path, limits=Limits(total_bytes=80))[0]) == 10


def test_too_many_images_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {f"{n}.jpg": b"1" for n in range(3)})
    with pytest.raises(SourceError, match=r"^a\.zip holds more than 2 images, the limit: pack it into several\.$"):
        unpacked(path, limits=Limits(images=2))


TOO_LONG = r"^a\.zip lists more than 250,000 files or 0 MB of names, the limits: pack it into several\.$"


def test_a_list_of_members_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {f"{n}.jpg": b"1" for n in range(20)})
    with pytest.raises(SourceError, match=TOO_LONG):
        unpacked(path, limits=Limits(list_bytes=1000))
    assert len(unpacked(path, limits=Limits(list_bytes=2000))[0]) == 20


def test_a_list_whose_length_stands_in_a_second_record_is_refused_too(tmp_path: Path) -> None:
    """zipfile believes the record of zip64 even where the plain one, which says less, is whole."""
    path = pack(tmp_path / "a.zip", {f"{n}.jpg": b"1" for n in range(20)})
    data = path.read_bytes()
    at = data.rindex(b"PK\x05\x06")
    size, offset = struct.unpack("<II", data[at + 12 : at + 20])
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 20, 20, size, offset)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)
    small = struct.pack("<HHHHIIH", 0, 0, 1, 1, 50, offset, 0)
    path.write_bytes(data[:at] + record + locator + b"PK\x05\x06" + small)
    assert len(unpacked(path)[0]) == 20
    with pytest.raises(SourceError, match=TOO_LONG):
        unpacked(path, limits=Limits(list_bytes=1000))


def test_a_list_with_too_many_members_of_any_kind_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {f"{n}.txt": b"" for n in range(11)})
    with pytest.raises(SourceError, match=r"^a\.zip lists more than 10 files or 64 MB of names, the limits"):
        unpacked(path, limits=Limits(members=10))
    assert unpacked(path, limits=Limits(members=11)) == ({}, [NO_IMAGES])
