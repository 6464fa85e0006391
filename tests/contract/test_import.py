"""What `import` takes in, what it leaves out by name, and what a hostile part can't do."""

import json
import math
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import join
from search.errors import EncoderMismatch, ReadOnly, SourceError, StoreBusy
from search.images.decoder import Decoded
from search.made_from import MadeFrom
from search.share import Share
from search.shipped_item import ship_item
from search.types import Collection, Failure, Item
from settings import Settings
from store.collection_folder import open_folder
from store.library import LocalLibrary
from store.lock import read_holder
from store.release import build_release
from store.vectors import checksum
from tests.contract.served import picture
from tests.fakes import FakeEncoder
from tests.stored import STORES, embeddings, item
from ui.import_command import import_all
from ui.stores import Stores

MODEL, OTHER_MODEL = "a" * 64, "b" * 64
DIM = 16
THUMBNAIL = picture("red", kind="WEBP")


def images(*names: str, seed: int = 0) -> list[Item]:
    rows = embeddings(len(names), seed=seed)
    return [
        item(100 * seed + number, rows[number], uri=f"photos/{name}", thumbnail=THUMBNAIL)
        for number, name in enumerate(names)
    ]


def made_part(
    out: Path,
    number: int,
    of: int,
    items: Sequence[Item],
    *,
    fingerprint: str = MODEL,
    sources: Sequence[str] = ("photos",),
    **told: object,
) -> Path:
    """As `index --part` makes it, without its encoder."""
    name = f"part-{number:04}-of-{of:04}"
    with closing(LocalLibrary(out / f".{name}")) as library:
        collection = library.create("part", model="pocket", fingerprint=fingerprint, dim=DIM)
        for source in sources:
            collection.set_source(source, None)
        collection.put(items)
        build_release(
            out / name,
            name=name,
            model={"name": "pocket", "fingerprint": fingerprint, "dim": DIM},
            files={},
            snapshot=lambda into: {
                "name": "part",
                "images": 0,
                "thumbnails": collection.snapshot(into, model="pocket"),
            },
            told={"part": {"number": number, "of": of}, "unusable": 0, **told},
        )
    shutil.rmtree(out / f".{name}")
    return out / name


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def imported(settings: Settings, *given: Path | str, source: str | None = None, stores: Stores = STORES) -> None:
    given_names = [str(one) for one in given]
    import_all(
        settings,
        join,
        stores,
        given_names,
        collection="photos",
        source=source,
        holder=lambda: read_holder(settings.data_dir),
    )


@contextmanager
def opened(settings: Settings, name: str = "photos", *, write: bool = False) -> Iterator[Collection]:
    with closing(LocalLibrary(settings.data_dir, write=write)) as library:
        yield library.open(name)


def uris(settings: Settings) -> list[str]:
    with opened(settings) as collection:
        return sorted(record.uri for record in collection.page(offset=0, count=1000))


def test_a_part_of_another_model_between_others_is_named_and_they_come_in(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(settings, made_part(out, 1, 1, images("a.jpg")))
    odd = made_part(out, 1, 2, images("b.jpg", seed=1), fingerprint=OTHER_MODEL)
    third = made_part(out, 2, 2, images("c.jpg", seed=2))
    with pytest.raises(SourceError, match=r"^What is named above was left out or is missing; all else is in\.$"):
        imported(settings, odd, third)
    assert uris(settings) == ["photos/a.jpg", "photos/c.jpg"]
    assert (
        f'{odd} was left out: "photos" is for the model pocket, and this is of another one.' in capsys.readouterr().err
    )


def test_shares_of_different_images_do_not_make_one_another_whole(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    of_photos, of_scans = (MadeFrom((name,), 50).to_json() for name in ("photos", "scans"))
    parts = [
        made_part(out, 1, 2, images("a.jpg"), made_from=of_photos),
        made_part(out, 2, 2, images("b.jpg", seed=1), made_from=of_scans),
    ]
    with pytest.raises(SourceError, match="missing"):
        imported(settings, *parts)
    said = capsys.readouterr().err.splitlines()
    assert said == ["Of 2 parts of photos these are missing: 2.", "Of 2 parts of scans these are missing: 1."]
    assert uris(settings) == ["photos/a.jpg", "photos/b.jpg"]


def test_parts_of_two_models_make_no_new_collection(out: Path, settings: Settings) -> None:
    parts = [
        made_part(out, 1, 3, images("a.jpg")),
        made_part(out, 2, 3, images("b.jpg", seed=1), fingerprint=OTHER_MODEL),
        made_part(out, 3, 3, images("c.jpg", seed=2)),
    ]
    with pytest.raises(EncoderMismatch) as raised:
        imported(settings, *parts)
    assert str(raised.value) == (
        f"The parts are of 2 models and a collection is of one; nothing was imported. Name those of one model: "
        f"{parts[0]} and 1 more, or {parts[1]}."
    )
    with closing(LocalLibrary(settings.data_dir, write=False)) as library:
        assert library.list() == []


def test_a_part_that_breaks_off_while_it_is_read_is_named_and_the_next_come_in(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    first = made_part(out, 1, 2, images(*(f"{number:03}.jpg" for number in range(400))))
    second = made_part(out, 2, 2, images("z.jpg", seed=5))

    opened_before = list[Path]()

    def failing(folder: Path) -> Collection:
        """Its disk fails after it was checked."""
        part = open_folder(folder)
        if folder.is_relative_to(first) and folder in opened_before:
            with (folder / "catalog.sqlite").open("r+b") as file:
                file.truncate(16_384)
        opened_before.append(folder)
        return part

    stores = replace(STORES, open_folder=failing)
    with pytest.raises(SourceError, match="What is named above"):
        imported(settings, first, second, stores=stores)
    assert "photos/z.jpg" in uris(settings)
    assert (
        f"{first} was left out: Not all of it can be read. The collection's catalog can't be used"
        in capsys.readouterr().err
    )


def written(folder: Path, *names: str, fingerprint: str = MODEL) -> Path:
    """Items as a transform job writes them."""
    encoder = FakeEncoder(fingerprint=fingerprint)
    for name in names:
        decoded = Decoded(np.zeros((8, 8, 3), np.uint8), THUMBNAIL, 32, 24, "jpeg", None)
        embedding = encoder.encode_images(np.full((1, 8, 8, 3), (255, 0, 0), np.uint8))[0]
        path = folder / f"{name}.out"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ship_item(name.encode(), decoded, embedding, encoder))
    return folder


def test_outputs_of_another_model_are_named_and_counted_and_all_others_come_in(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    written(out, *(f"{number:03}.jpg" for number in range(250)))
    written(out, *(f"{number:03}.jpg" for number in range(100, 130)), fingerprint=OTHER_MODEL)
    with pytest.raises(SourceError):
        imported(settings, out, source="s3://bucket/in")
    assert len(uris(settings)) == 220
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "s3://bucket/in/100.jpg was left out: It was embedded by another model than the others (fake)."
    assert said[-1] == "and 10 more."
    assert len(said) == 21


def test_a_place_without_outputs_is_named_and_the_others_come_in(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / "empty").mkdir()
    first, second = written(out / "1", "a.jpg"), written(out / "2", "deep/b.jpg", "c.jpg")
    with pytest.raises(SourceError):
        imported(settings, first, out / "none", out / "empty", second, source="s3://bucket/in/")
    assert uris(settings) == [f"s3://bucket/in/{key}" for key in ("a.jpg", "c.jpg", "deep/b.jpg")]
    assert [line.split(" was left out: ")[0] for line in capsys.readouterr().err.splitlines()] == [
        str(out / "none"),
        str(out / "empty"),
    ]


def test_an_output_that_is_a_link_is_not_read(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    written(out / "elsewhere", "a.jpg")
    folder = written(out / "1", "b.jpg")
    (folder / "a.jpg.out").symlink_to(out / "elsewhere" / "a.jpg.out")
    with pytest.raises(SourceError):
        imported(settings, folder, source="s3://bucket/in")
    assert uris(settings) == ["s3://bucket/in/b.jpg"]
    assert "a.jpg was left out: a.jpg.out can't be read" in capsys.readouterr().err


@pytest.fixture
def served(settings: Settings) -> Iterator[None]:
    """A page has the data folder open."""
    with closing(LocalLibrary(settings.data_dir)) as library:
        library.announce("http://127.0.0.1:7860")
        yield


def test_a_page_that_has_the_data_folder_open_is_named_and_what_to_do(
    out: Path, settings: Settings, served: None
) -> None:
    with pytest.raises(StoreBusy) as raised:
        imported(settings, made_part(out, 1, 1, images("a.jpg")))
    assert str(raised.value) == (
        f"Process {os.getpid()}, which serves http://127.0.0.1:7860, has this data folder open for writing, and only "
        "one can: stop it, import, and start it again."
    )


def test_who_only_writes_for_a_while_is_waited_for(out: Path, settings: Settings) -> None:
    with closing(LocalLibrary(settings.data_dir)), pytest.raises(StoreBusy) as raised:
        imported(settings, made_part(out, 1, 1, images("a.jpg")))
    assert str(raised.value) == (
        f"Process {os.getpid()} has this data folder open for writing, and only one can: import again when it has "
        "ended."
    )


def test_a_folder_that_is_none_is_refused_before_anything_is_written(
    out: Path, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"nowhere\" is no folder: name the one that the parts' images are in\.$"):
        imported(settings, made_part(out, 1, 1, images("a.jpg")), source=str(tmp_path / "nowhere"))
    assert not settings.data_dir.exists()


def test_an_empty_source_is_not_the_folder_that_one_is_in(out: Path, settings: Settings) -> None:
    with pytest.raises(SourceError, match=r'^"" is no folder: name the one'):
        imported(settings, made_part(out, 1, 1, images("a.jpg")), source="")
    assert not settings.data_dir.exists()


@pytest.mark.parametrize("source", ["s3://", "s3://x", "s3://Bucket/photos", "s3://buck%et/photos", "s3:///photos"])
def test_an_address_without_a_bucket_is_no_source(settings: Settings, tmp_path: Path, source: str) -> None:
    with pytest.raises(SourceError) as raised:
        imported(settings, tmp_path, source=source)
    assert str(raised.value) == (
        f'"{source}" is no address in S3: it has the form s3://bucket/prefix, and a bucket\'s name has 3 to 63 small '
        "letters, digits, dots and hyphens."
    )
    assert not settings.data_dir.exists()


def test_a_release_takes_nothing_in(out: Path, settings: Settings) -> None:
    with pytest.raises(ReadOnly, match=r"^SIGHTLINE_RELEASE is set, and a release is never changed: unset it"):
        imported(replace(settings, release="photos-1.tar.gz"), made_part(out, 1, 1, images("a.jpg")))


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_what_is_not_there_is_said(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    given = str(tmp_path / name) if name else ""
    with pytest.raises(SourceError):
        imported(settings, given)
    assert capsys.readouterr().err == (
        f"{given} was left out: There is nothing of that name: name parts or a folder of them.\n"
    )


def test_a_folder_of_parts_is_all_of_them(out: Path, settings: Settings) -> None:
    made_part(out, 1, 2, images("a.jpg"))
    made_part(out, 2, 2, images("b.jpg", seed=1))
    imported(settings, out)
    assert uris(settings) == ["photos/a.jpg", "photos/b.jpg"]


# Unusable files


def unusable(*names: str) -> dict[str, Any]:
    listed = [Failure(f"photos/{name}", "unreadable_image", f"{name} is no image.") for name in names]
    return {"unusable": len(names), "unusable_files": [asdict(failure) for failure in listed]}


def of_share(number: int, of: int, count: int, suffix: str = ".jpg") -> list[str]:
    """Names of images that are in that share."""
    names = (f"{n:02}{suffix}" for n in range(1000))
    return list(islice((name for name in names if Share(number, of).has(f"photos/{name}")), count))


def failures(settings: Settings) -> list[str]:
    with opened(settings) as collection:
        return sorted(failure.uri for failure in collection.failures())


def test_unusable_files_of_all_parts_are_counted_named_and_kept_with_the_collection(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (one,), (hostile,), (two,) = of_share(1, 2, 1), of_share(1, 2, 1, "\x1b[2J.jpg"), of_share(2, 2, 1)
    first = made_part(out, 1, 2, images("a.jpg"), **unusable(one, hostile))
    imported(settings, first, made_part(out, 2, 2, [], **unusable(two)))
    said, harmless = capsys.readouterr(), hostile.replace("\x1b", "\ufffd")
    assert said.out == '3 files were unusable:\n"photos" has 1 images.\n'
    assert said.err.splitlines() == [f"  photos/{name}: {name} is no image." for name in (one, harmless, two)]
    assert failures(settings) == sorted(f"photos/{name}" for name in (one, hostile, two))
    with opened(settings) as collection:
        assert Failure(f"photos/{two}", "unreadable_image", f"{two} is no image.") in collection.failures()


def test_what_a_part_made_anew_says_of_its_share_replaces_what_was_said(out: Path, settings: Settings) -> None:
    first, second = of_share(1, 2, 5), of_share(2, 2, 5)
    other = made_part(out, 2, 2, [], **unusable(*second, first[1]))  # of which it has nothing to say
    imported(settings, made_part(out, 1, 2, [], **unusable(*first)), other)
    assert failures(settings) == sorted(f"photos/{name}" for name in (*first, *second))
    imported(settings, made_part(out / "anew", 1, 2, [], **unusable(first[0])), other)
    assert failures(settings) == sorted(f"photos/{name}" for name in (first[0], *second))


def test_more_than_twenty_unusable_files_are_counted(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(settings, made_part(out, 1, 1, [], **unusable(*(f"{number:02}.jpg" for number in range(25)))))
    said = capsys.readouterr().err.splitlines()
    assert said[20:] == ["  and 5 more; the page's Library lists those that the parts name."]


def test_a_part_that_only_counts_them_leaves_the_collections_failures_as_they_are(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(settings, made_part(out, 1, 1, [], **unusable("1.jpg")))
    imported(settings, made_part(out / "old", 1, 1, [], unusable=1))
    assert "\n1 file was unusable.\n" in capsys.readouterr().out
    assert failures(settings) == ["photos/1.jpg"]


@pytest.mark.parametrize(
    "told",
    [
        {"unusable": 10**4000, "unusable_files": []},
        {"unusable": -1, "unusable_files": [1, None, [], {}, {"uri": 1, "code": "a", "message": "b"}]},
        {"unusable": [], "unusable_files": [{"uri": "photos/\0", "code": "a", "message": "b"}]},
        {"unusable": 0, "unusable_files": "x" * 10_000},
        {"unusable": True, "unusable_files": [{"uri": "x" * 10_000, "code": "a", "message": "b"}]},
    ],
)
def test_a_list_of_unusable_files_that_is_none_says_nothing(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str], told: dict[str, Any]
) -> None:
    imported(settings, made_part(out, 1, 1, images("a.jpg"), **told))
    assert capsys.readouterr().out == '"photos" has 1 images.\n'
    assert failures(settings) == []


def test_unusable_files_of_other_sources_are_not_kept(out: Path, settings: Settings) -> None:
    listed = [{"uri": uri, "code": "a", "message": "b"} for uri in ("others/1.jpg", "photos/1.jpg", "photos")]
    imported(settings, made_part(out, 1, 1, [], unusable=3, unusable_files=listed))
    assert failures(settings) == ["photos/1.jpg"]


# A hostile part


def altered(part: Path, change: str | Callable[[sqlite3.Connection], object]) -> Path:
    """Its catalog changed by whoever sends it, and the manifest made to fit."""
    catalog = part / "collection" / "catalog.sqlite"
    with closing(sqlite3.connect(catalog, isolation_level=None)) as connection:
        if isinstance(change, str):
            connection.executescript(change)
        else:
            change(connection)
    return noted(part)


def noted(part: Path, **told: object) -> Path:
    manifest = json.loads((part / "manifest.json").read_text())
    for name, known in manifest["files"].items():
        data = (part / name).read_bytes()
        known |= {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
    (part / "manifest.json").write_text(json.dumps(manifest | told))
    return part


def embedded(*values: float) -> Callable[[sqlite3.Connection], object]:
    """The embedding of the first record is these values, under a checksum that fits."""

    def change(connection: sqlite3.Connection) -> None:
        packed = np.array(values, "<f2").tobytes()
        seq, id = connection.execute("SELECT seq, id FROM records WHERE uri = 'photos/a.jpg'").fetchone()
        sql = "UPDATE embeddings SET packed = ?, checksum = ? WHERE seq = ?"
        connection.execute(sql, (packed, checksum(id, packed), seq))

    return change


def fields(assignment: str) -> str:
    return f"UPDATE records SET {assignment} WHERE uri = 'photos/a.jpg'"


@pytest.mark.parametrize(
    "change",
    [
        embedded(*[math.nan] * DIM),
        embedded(*[0.0] * DIM),
        embedded(*[math.inf] * DIM),
        embedded(1.0),
        fields("uri = 'photos/../a.jpg'"),
        fields("uri = 'photos/' || char(0) || 'a.jpg'"),
        fields("content_hash = '../../../../lock'"),
        fields("content_hash = 'A' || substr(content_hash, 2)"),
        fields("width = 0"),
        fields("height = 1000000000"),
        fields("size_bytes = -1"),
        fields("taken_at = 'never'"),
        fields("""metadata = '{"a": 1e999}'"""),
        fields("""metadata = '{"a": [1]}'"""),
        fields("""metadata = '["a"]'"""),
        fields("caption = printf('%.*c', 5000, 'x')"),
    ],
)
def test_an_item_that_index_would_not_have_made_is_named_and_the_others_come_in(
    out: Path,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    change: str | Callable[[sqlite3.Connection], object],
) -> None:
    part = altered(made_part(out, 1, 1, images("a.jpg", "b.jpg")), change)
    with pytest.raises(SourceError):
        imported(settings, part)
    assert uris(settings) == ["photos/b.jpg"]
    said = capsys.readouterr().err
    assert said.startswith("photos/") and said.endswith((" is out of its range.\n", "Its embedding is damaged.\n"))
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER t AFTER INSERT ON records BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT * FROM records",
        "DROP TABLE records; CREATE VIEW records AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
        " SELECT x AS seq FROM n",
        "DROP TABLE failures",
        "CREATE TABLE more (a)",
        "DELETE FROM state",
        "UPDATE records SET metadata = '{'",
        "UPDATE records SET metadata = printf('%.*c', 50000, '[')",
        "UPDATE records SET caption = printf('%.*c', 100000, 'x')",
        "INSERT OR REPLACE INTO sources VALUES ('', NULL)",
        "INSERT OR REPLACE INTO sources VALUES ('..', NULL)",
        "INSERT OR REPLACE INTO sources VALUES ('a/b', NULL)",
        "INSERT OR REPLACE INTO sources VALUES ('s3://', NULL)",
    ],
)
def test_a_part_whose_catalog_is_none_of_ours_is_named_and_the_next_comes_in(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    odd = altered(made_part(out, 1, 2, images("a.jpg")), change)
    with pytest.raises(SourceError):
        imported(settings, odd, made_part(out, 2, 2, images("z.jpg", seed=1)))
    assert uris(settings) == ["photos/z.jpg"]
    assert capsys.readouterr().err.startswith(f"{odd} was left out: ")


def test_a_part_does_not_replace_records_of_the_same_ids(out: Path, settings: Settings) -> None:
    imported(settings, made_part(out, 1, 1, images("a.jpg")))
    with opened(settings) as collection:
        known = collection.page(offset=0, count=1)[0]
    other = item(7, embeddings(1)[0], id=known.id, uri="photos/b.jpg", thumbnail=THUMBNAIL)
    imported(settings, made_part(out / "other", 1, 1, [other]))
    with opened(settings) as collection:
        assert collection.records([known.id]) == {known.id: known}
    assert uris(settings) == ["photos/a.jpg", "photos/b.jpg"]


def test_a_part_does_not_say_where_the_collections_own_folders_are(
    out: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir(), other.mkdir()
    imported(settings, made_part(out, 1, 1, images("a.jpg")), source=str(own))
    part = made_part(out / "other", 1, 1, images("b.jpg", seed=1))
    for source in (None, str(other)):
        with pytest.raises(SourceError):
            imported(settings, part, source=source)
        assert 'a folder "photos", and the collection has one of that name elsewhere' in capsys.readouterr().err
    with opened(settings) as collection:
        assert collection.sources() == {"photos": own}
    assert uris(settings) == ["photos/a.jpg"]
    imported(settings, part, source=str(own))
    assert uris(settings) == ["photos/a.jpg", "photos/b.jpg"]


def test_the_place_of_uploads_is_nobodys_to_say(out: Path, settings: Settings, tmp_path: Path) -> None:
    whole = item(1, embeddings(1)[0], uri=f"uploads/00/{1:064x}.png", thumbnail=THUMBNAIL)
    imported(settings, made_part(out, 1, 1, [whole], sources=["uploads"]), source=str(tmp_path))
    with opened(settings) as collection:
        assert collection.sources() == {"uploads": None}
    assert uris(settings) == [f"uploads/00/{1:064x}.png"]


def test_an_upload_under_the_name_of_another_is_left_out(out: Path, settings: Settings) -> None:
    odd = item(2, embeddings(1)[0], uri=f"uploads/00/{1:064x}.png", thumbnail=THUMBNAIL)
    with pytest.raises(SourceError):
        imported(settings, made_part(out, 1, 1, [odd], sources=["uploads"]))
    assert uris(settings) == []


def test_two_folders_of_images_are_found_by_their_names(out: Path, settings: Settings, tmp_path: Path) -> None:
    imported(settings, made_part(out, 1, 1, images("a.jpg"), sources=["photos", "scans"]), source=str(tmp_path))
    with opened(settings) as collection:
        assert collection.sources() == {"photos": tmp_path / "photos", "scans": tmp_path / "scans"}


def test_images_of_no_source_that_a_part_names_are_counted(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError):
        imported(settings, made_part(out, 1, 1, images("a.jpg"), sources=["scans"]))
    assert "1 of its images are of no source that it names." in capsys.readouterr().err


@pytest.mark.parametrize(("thumbnail", "said"), [(b"<svg/>", "its thumbnail is out"), (b"RIFF" * 2**19, "1,048,576")])
def test_a_thumbnail_that_is_none_is_not_kept(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str], thumbnail: bytes, said: str
) -> None:
    part = made_part(out, 1, 1, images("a.jpg"))
    next((part / "collection" / "thumbs").glob("*/*")).write_bytes(thumbnail)
    with pytest.raises(SourceError):
        imported(settings, noted(part))
    assert said in capsys.readouterr().err
    assert list((settings.data_dir / "collections").glob("*/*/thumbs/*/*")) == []


@pytest.mark.parametrize(
    "model", [{"dim": 0}, {"dim": 10**9}, {"name": "x" * 1000}, {"name": "\x1b[2J"}, {"fingerprint": "x" * 1000}]
)
def test_a_model_that_is_none_makes_no_collection(out: Path, settings: Settings, model: dict[str, Any]) -> None:
    part = made_part(out, 1, 1, [])
    told = {"name": "pocket", "fingerprint": MODEL, "dim": DIM} | model
    inside = json.loads((part / "collection" / "manifest.json").read_text())
    given = {"model": told["name"], "fingerprint": told["fingerprint"], "dim": told["dim"]}
    (part / "collection" / "manifest.json").write_text(json.dumps(inside | given))
    with pytest.raises(SourceError):
        imported(settings, noted(part, model=told))
    with closing(LocalLibrary(settings.data_dir, write=False)) as library:
        assert library.list() == []


def test_a_collections_manifest_of_brackets_is_refused(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    part = made_part(out, 1, 1, images("a.jpg"))
    (part / "collection" / "manifest.json").write_bytes(b"[" * 100_000)
    with pytest.raises(SourceError):
        imported(settings, noted(part))
    assert "no readable manifest.json" in capsys.readouterr().err
