"""A release says of licences what its model's files say, and no more."""

from pathlib import Path

import pytest

from search.encoders.hub import HubFile
from search.encoders.model_files import Needed
from search.encoders.pins import Pin, link, write_pin
from tests.contract.served import open_workspace
from tests.processes import ROOT
from tests.stored import item
from tests.unit.encoders.exports import write_export
from ui.licences import NOT_KNOWN, licence_of_images, licences_of_model


def told(model: str, models_dir: Path) -> tuple[list[str], str]:
    texts, licences = licences_of_model(model, models_dir=models_dir, root=ROOT)
    return list(texts), licences["model"]


def test_the_bundled_models_texts_are_ours_and_the_drawings(tmp_path: Path) -> None:
    texts, licences = licences_of_model("pocket", models_dir=tmp_path, root=ROOT)
    assert {name: path.read_text().splitlines()[0].strip() for name, path in texts.items()} == {
        "LICENSE": "Apache License",
        "NOTO-OFL.txt": "sprites.webp is made from glyphs of Noto Color Emoji.",
    }
    assert licences == {"model": "Apache-2.0", "drawings": "OFL-1.1 (Noto Color Emoji)"}


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("---\ntags:\n- clip\nlicense: mit\n---\n# A model", "mit"),
        ("---\r\nlicense: apple-amlr\r\n---\r\n", "apple-amlr"),
        ("---\ntags: x\n---\nlicense: mit\n", "as its README.md says"),
        ("# A model\nlicense: mit\n", "as its README.md says"),
        ("---\nlicense: <script>\n---\n", "as its README.md says"),
    ],
)
def test_a_model_card_is_taken_at_its_head(card: str, says: str, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "model")
    (folder / "README.md").write_bytes(card.encode())
    assert told(str(folder), tmp_path) == (["README.md"], says)


def test_licence_texts_in_the_models_folder_come_along_and_nothing_else_does(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "model")
    for name in ("LICENSE", "LICENSE-MIT.txt", "NOTICE", "licences.py", "LICENSE file", "notes.md"):
        (folder / name).write_text("text")
    (folder / "COPYING").write_bytes(b"x" * (2**20 + 1))
    assert told(str(folder), tmp_path) == (
        ["LICENSE", "LICENSE-MIT.txt", "NOTICE"],
        "as its LICENSE and LICENSE-MIT.txt and NOTICE says",
    )


def test_a_folder_that_says_nothing_is_not_guessed_at(tmp_path: Path) -> None:
    assert told(str(write_export(tmp_path / "model")), tmp_path) == ([], NOT_KNOWN)


def test_a_fetched_models_repository_and_commit_are_named(tmp_path: Path) -> None:
    name, folder = "onnx:immich-app/small", write_export(tmp_path / "model")
    paths = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        inside = path.relative_to(folder).as_posix()
        file = HubFile("immich-app/small", "c" * 40, inside, path.stat().st_size, "d" * 64)
        paths[Needed(file, inside)] = path
    pin = Pin(name, "hub.example", "c" * 40, tuple(paths))
    write_pin(pin, models_dir=tmp_path)
    link(pin, paths, models_dir=tmp_path)
    assert told(name, tmp_path) == (
        [],
        "as the card of immich-app/small at hub.example says (commit cccccccccccc)",
    )


def test_what_records_say_of_their_licence_is_passed_on(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    try:
        collection = workspace.open("colours")
        assert licence_of_images(collection, is_gallery=False) == NOT_KNOWN
        collection.put([item(1, (1, 0, 0), license="CC0-1.0"), item(2, (0, 1, 0), license="CC-BY-4.0")])
        assert licence_of_images(collection, is_gallery=False) in (
            "as each image's record says: CC0-1.0, CC-BY-4.0",
            "as each image's record says: CC-BY-4.0, CC0-1.0",
        )
    finally:
        workspace.close()
