"""What a hostile part can't do."""

import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.errors import SourceError
from settings import Settings
from store.library import LocalLibrary
from store.vectors import checksum
from tests.contract.importing.parts import DIM, MODEL, THUMBNAIL, images, imported, made_part, opened, uris
from tests.stored import embeddings, item


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
