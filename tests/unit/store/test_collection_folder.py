"""A collection folder that is filled to ship, or came from elsewhere."""

from pathlib import Path

import pytest

from search.errors import ReadOnly, SourceError
from search.types import Condition, Item
from store.collection_folder import build_folder, open_folder
from tests.stored import DIM, brute_force, embeddings, found, item, items

EVEN = (Condition("parity", "eq", 0),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "gallery"
    fields = {"name": "gallery", "model": "pocket", "fingerprint": "p", "dim": DIM, "description": "Drawn scenes"}
    with build_folder(built, created_at="2026-01-01T00:00:00+00:00", **fields) as filling:  # type: ignore[arg-type]
        kept = items(20)
        filling.put([Item(one.record, one.embedding, b"webp") for one in kept])
        filling.remove([kept[19].record.id])
        filling.set_source("gallery", Path("thumbs"))
    return built


def test_a_built_folder_is_one_compact_file_that_is_opened_without_being_written(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert {path.name for path in folder.iterdir()} == {"catalog.sqlite", "manifest.json", "thumbs"}
    folder.chmod(0o555)
    gallery = open_folder(folder)
    query = embeddings(1)[0]
    assert found(gallery, query, top_k=30) == brute_force(items(19), query, top_k=30)
    assert found(gallery, query, top_k=30, where=EVEN) == brute_force(items(19)[::2], query, top_k=30)
    assert gallery.thumbnail("id-00004") == b"webp"
    assert gallery.info.read_only
    assert gallery.health()["index"] == "off"
    assert gallery.sources() == {"gallery": folder / "thumbs"}
    gallery.close()
    folder.chmod(0o755)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("root", ["/etc", "..", "thumbs/../.."])
def test_a_folder_from_elsewhere_that_names_files_elsewhere_opens_none(tmp_path: Path, root: str) -> None:
    fields = {"name": "g", "model": "pocket", "fingerprint": "p", "dim": DIM, "description": ""}
    (tmp_path / "hostname").write_text("secret")
    with build_folder(tmp_path / "g", **fields) as filling:  # type: ignore[arg-type]
        filling.put([item(1, [1.0] * DIM, uri="g/hostname")])
        filling.set_source("g", Path(root))
    opened = open_folder(tmp_path / "g")
    assert opened.sources() == {"g": None}
    with pytest.raises(SourceError, match="came without its originals"):
        opened.original("id-00001")
    opened.close()


def test_a_read_only_collection_refuses_every_change(folder: Path) -> None:
    gallery = open_folder(folder)
    changes = [
        lambda: gallery.put(items(1)),
        lambda: gallery.remove(["id-00001"]),
        lambda: gallery.set_source("photos", None),
        lambda: gallery.set_failures("photos", []),
    ]
    for change in changes:
        with pytest.raises(ReadOnly):
            change()
    assert len(gallery) == 19
    gallery.close()


def test_building_twice_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    folder.rename(tmp_path / "first")
    fields = {"name": "gallery", "model": "pocket", "fingerprint": "p", "dim": DIM, "description": "Drawn scenes"}
    with build_folder(folder, created_at="2026-01-01T00:00:00+00:00", **fields) as filling:  # type: ignore[arg-type]
        filling.put([Item(one.record, one.embedding, b"webp") for one in items(20)])
        filling.remove(["id-00019"])
        filling.set_source("gallery", Path("thumbs"))
    assert first == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
