"""What `import` takes in, what it leaves out by name, and what a hostile part can't do."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from app import join
from search.errors import EncoderMismatch, SourceError
from search.images.decoder import Decoded
from search.shipped_item import ship_item
from search.types import Collection, Item
from settings import Settings
from store.batch_output import read_outputs
from store.library import open_library
from store.places import open_place
from store.release import build_release, open_release
from store.sources import open_sources
from tests.contract.served import picture
from tests.fakes import FakeEncoder
from tests.stored import embeddings, item
from ui.import_command import import_all
from ui.stores import Stores

STORES = Stores(open_library, open_sources, build_release, open_release, read_outputs, open_place)
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
    with closing(open_library(out / f".{name}")) as library:
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


def imported(settings: Settings, *given: Path | str, source: str | None = None) -> None:
    import_all(settings, join, STORES, [str(one) for one in given], collection="photos", source=source)


@contextmanager
def opened(settings: Settings, name: str = "photos", *, write: bool = False) -> Iterator[Collection]:
    with closing(open_library(settings.data_dir, write=write)) as library:
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
    with closing(open_library(settings.data_dir, write=False)) as library:
        assert library.list() == []


def test_a_part_that_breaks_off_while_it_is_read_is_named_and_the_next_come_in(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    first = made_part(out, 1, 2, images(*(f"{number:03}.jpg" for number in range(400))))
    second = made_part(out, 2, 2, images("z.jpg", seed=5))

    def truncated(where: str, *, cache: Path) -> object:  # its disk fails after it was checked
        part = open_release(where, cache=cache)
        if where == str(first):
            catalog = part.collection_dir / "catalog.sqlite"
            with catalog.open("r+b") as file:
                file.truncate(catalog.stat().st_size // 2)
        return part

    stores = Stores(open_library, open_sources, build_release, truncated, read_outputs, open_place)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="What is named above"):
        import_all(settings, join, stores, [str(first), str(second)], collection="photos", source=None)
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
