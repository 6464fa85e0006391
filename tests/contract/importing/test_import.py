"""What `import` takes in, and what it leaves out by name."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.errors import EncoderMismatch, ModelNotFound, ReadOnly, SourceError, StoreBusy
from search.images.decoder import Decoded
from search.made_from import MadeFrom
from search.shipped_item import ship_item
from search.types import Collection
from settings import Settings
from store.collection_folder import open_folder
from store.library import LocalLibrary
from tests.contract.importing.parts import MODEL, OTHER_MODEL, THUMBNAIL, images, imported, made_part, uris
from tests.fakes import FakeEncoder
from tests.stored import STORES


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


def written(folder: Path, *names: str, fingerprint: str = MODEL, model: str = "onnx:test/colours") -> Path:
    """Items as a transform job writes them."""
    encoder = FakeEncoder(model, fingerprint)
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
    assert said[0] == (
        "s3://bucket/in/100.jpg was left out: It was embedded by another model than the others (onnx:test/colours)."
    )
    assert said[-1] == "and 10 more."
    assert len(said) == 21


def test_outputs_of_a_model_that_is_a_folder_elsewhere_make_no_collection(out: Path, settings: Settings) -> None:
    with pytest.raises(ModelNotFound, match=r"`python app\.py collections create photos --model FOLDER`, and import"):
        imported(settings, written(out, "a.jpg", model="colours"), source="s3://bucket/in")
    with closing(LocalLibrary(settings.data_dir)) as library:
        assert library.list() == []
        library.create("photos", model="/srv/models/colours", fingerprint=MODEL, dim=3)
    imported(settings, out, source="s3://bucket/in")
    assert uris(settings) == ["s3://bucket/in/a.jpg"]


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
