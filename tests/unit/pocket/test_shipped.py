"""What is committed fits together and within its budget."""

import csv
from collections import Counter
from pathlib import Path

import pytest

import pocket
from pocket.gallery_scenes import gallery
from pocket.queries import find, rows
from pocket.sprites import ATLAS_FILE

POCKET = Path(pocket.__file__).parent
MB = 1_000_000


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_sizes_are_within_their_budgets() -> None:
    assert ATLAS_FILE.stat().st_size <= 4 * MB
    assert _bytes(POCKET / "model") <= 25 * MB
    assert _bytes(POCKET / "encoder") <= 15 * MB
    assert _bytes(POCKET / "gallery") <= 15 * MB
    assert _bytes(POCKET) <= 60 * MB


def test_the_gallery_has_a_thousand_scenes_each_once() -> None:
    assert len({entry.id for entry in gallery()}) == 1000


@pytest.fixture(scope="module")
def table() -> list[tuple[str, str, list[str]]]:
    with (POCKET / "queries.csv").open(newline="", encoding="utf-8") as file:
        return [(row["query"], row["kind"], row["relevant"].split()) for row in csv.DictReader(file)]


def test_queries_name_images_of_the_gallery(table: list[tuple[str, str, list[str]]]) -> None:
    ids = {entry.id for entry in gallery()}
    assert all(set(relevant) <= ids for _, _, relevant in table)
    assert all(bool(relevant) == (kind != "unanswerable") for _, kind, relevant in table)
    assert Counter(kind for _, kind, _ in table)["unanswerable"] == 150


def test_queries_are_what_the_scenes_say(table: list[tuple[str, str, list[str]]]) -> None:
    assert table == list(rows())
    assert not any(find((("has", text),)) for text, kind, _ in table if kind == "unanswerable")


def test_queries_say_whether_the_model_was_trained_on_their_words() -> None:
    with (POCKET / "queries.csv").open(newline="", encoding="utf-8") as file:
        words = Counter((row["kind"] == "held_out", row["words"]) for row in csv.DictReader(file))
    assert words.keys() == {(True, "never trained"), (False, "trained"), (False, "trained, no image")}
    assert words[False, "trained, no image"] == 150


def test_the_fonts_licence_lies_beside_the_sprites() -> None:
    assert "SIL OPEN FONT LICENSE Version 1.1" in (POCKET / "NOTO-OFL.txt").read_text(encoding="utf-8")
