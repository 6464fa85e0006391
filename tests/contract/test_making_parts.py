"""A part is made of what is named, or not at all, and says what it was made of."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import copyfile, copytree, make_archive
from typing import Any

import pytest

from app import join
from search.errors import DiskFull, SourceError, StoreBusy
from search.share import Share
from search.types import Release
from settings import Settings
from store.library import LocalLibrary
from store.part_place import PartPlace, part_place
from tests.contract.test_parts import drawn
from tests.processes import ROOT, run
from tests.stored import STORES
from ui.parts_command import make_part
from ui.stores import Stores

COUNT = 6


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = drawn(tmp_path_factory.mktemp("a") / "photos", COUNT)
    (folder / "0" / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def part(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made")
    run("index", str(images), "--part", "1/1", "--out", str(out), data_dir=out / "data")
    return out / "part-0001-of-0001"


@pytest.fixture
def again(part: Path, tmp_path: Path) -> Callable[..., str]:
    """The command that made the part, with other PATHs."""

    def index(*paths: Path, code: int = 0, **environment: str) -> str:
        arguments = ("index", *map(str, paths), "--part", "1/1", "--out", str(part.parent))
        return run(*arguments, data_dir=tmp_path, code=code, **environment)

    return index


def manifest(part: Path) -> dict[str, Any]:
    told = json.loads((part / "manifest.json").read_text())
    assert isinstance(told, dict)
    return told


def test_a_finished_part_is_not_made_again(images: Path, part: Path, again: Callable[..., str]) -> None:
    before = (part / "manifest.json").stat().st_mtime_ns
    assert again(images) == f"{part} is there already.\n"
    assert (part / "manifest.json").stat().st_mtime_ns == before


def test_a_part_says_what_it_was_made_of_without_a_place_of_the_machine(images: Path, part: Path) -> None:
    told = manifest(part)["made_from"]
    assert (told["sources"], told["max_image_mb"], told["images"]["count"]) == (["photos/"], 50, COUNT + 1)
    assert str(images.parent) not in (part / "manifest.json").read_text()


def test_a_part_names_its_unusable_files_for_import(images: Path, part: Path, tmp_path: Path) -> None:
    told = manifest(part)
    (broken,) = told["unusable_files"]
    assert (told["unusable"], broken["uri"], broken["code"]) == (1, "photos/0/broken.jpg", "unsupported_format")
    assert str(images.parent) not in broken["message"]
    said = run("import", str(part), "-c", "photos", data_dir=tmp_path)
    assert f"photos/0/broken.jpg: {broken['message']}" in said


def test_of_many_unusable_files_a_thousand_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(1_003):
        (folder / f"{number:04}.jpg").symlink_to("/nowhere")
    make(folder, tmp_path, settings=Settings(data_dir=tmp_path / "data"))
    told = manifest(tmp_path / "part-0001-of-0001")
    assert told["unusable"] == 1_003
    assert [one["uri"] for one in told["unusable_files"]] == [f"photos/{number:04}.jpg" for number in range(1_000)]


def test_a_model_that_is_a_folder_goes_by_its_own_name(images: Path, other_model: Path, tmp_path: Path) -> None:
    make(images, tmp_path, settings=Settings(data_dir=tmp_path / "data"), model=str(other_model))
    part = tmp_path / "part-0001-of-0001"
    names = [manifest(part)["model"]["name"], manifest(part / "collection")["model"]]
    assert names == [other_model.name, other_model.name]
    for path in part.rglob("*.*"):
        assert b"secret-place" not in path.read_bytes()
        assert bytes(images.parent) not in path.read_bytes()


def test_a_part_of_such_a_model_comes_in_after_the_command_that_import_says(
    images: Path, other_model: Path, tmp_path: Path
) -> None:
    make(images, tmp_path, settings=Settings(data_dir=tmp_path / "data"), model=str(other_model))
    wanted = ("import", str(tmp_path / "part-0001-of-0001"), "--collection", "my photos")
    data_dir = tmp_path / "elsewhere"
    assert run(*wanted, data_dir=data_dir, code=1) == (
        'What comes in was embedded by a model in a folder "other", and where that is on this machine is not known. '
        "Make the collection for it first, `python app.py collections create 'my photos' --model FOLDER`, and import "
        "again.\n"
    )
    assert "my photos" not in run("collections", data_dir=data_dir)
    run("collections", "create", "my photos", "--model", str(other_model), data_dir=data_dir)
    assert '"my photos" has ' in run(*wanted, data_dir=data_dir)
    assert "photos/2/002.png" in run("search", "red", "-c", "my photos", data_dir=data_dir)


def test_the_same_images_elsewhere_are_the_same_part(images: Path, again: Callable[..., str], tmp_path: Path) -> None:
    elsewhere = copytree(images, tmp_path / "mounted" / "photos", copy_function=copyfile)
    assert again(elsewhere).endswith("is there already.\n")


def test_other_folders_are_no_part_that_is_there(images: Path, part: Path, again: Callable[..., str]) -> None:
    said = again(images / "1", images / "2", code=1)
    assert said == (
        f"{part} is there already, but it was made of photos/ and not of 1/, 2/: take it away to make it anew, or name "
        "another --out.\n"
    )


def test_another_folder_of_the_same_name_is_no_part_that_is_there(
    part: Path, again: Callable[..., str], tmp_path: Path
) -> None:
    said = again(drawn(tmp_path / "b" / "photos", COUNT + 2), code=1)
    assert said == (
        f"{part} is there already, but there were {COUNT + 1} images in photos/ for it, and there are {COUNT + 2} now, "
        "or other ones: take it away to make it anew, or name another --out.\n"
    )


def test_another_limit_of_size_is_another_part(images: Path, part: Path, again: Callable[..., str]) -> None:
    said = again(images, code=1, SIGHTLINE_MAX_IMAGE_MB="20")
    assert said == (
        f"{part} is there already, but SIGHTLINE_MAX_IMAGE_MB was 50 and is 20: take it away to make it anew, or name "
        "another --out.\n"
    )


@pytest.mark.parametrize("told", [None, 3, [], {}, {"sources": 3, "images": [], "max_image_mb": {}}])
def test_a_part_that_does_not_say_what_it_was_made_of_is_refused(
    images: Path, part: Path, tmp_path: Path, told: object
) -> None:
    """As one of an earlier version."""
    odd = tmp_path / part.name
    odd.mkdir()
    (odd / "manifest.json").write_text(json.dumps(manifest(part) | {"made_from": told}))
    said = run("index", str(images), "--part", "1/1", "--out", str(tmp_path), data_dir=tmp_path / "data", code=1)
    assert said == (
        f"{odd} is there already and does not say what it was made of: take it away to make it anew, or name another "
        "--out.\n"
    )


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled one under another fingerprint."""
    folder = tmp_path_factory.mktemp("models") / "secret-place" / "other"
    copytree(ROOT / "pocket" / "encoder", folder)
    noted = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps(noted | {"fingerprint": "0" * 64}))
    return folder


def test_another_model_makes_another_part(images: Path, part: Path, other_model: Path, tmp_path: Path) -> None:
    arguments = ("index", str(images), "--part", "1/1", "--out", str(part.parent), "--model", str(other_model))
    assert run(*arguments, data_dir=tmp_path, code=1) == (
        f"{part} is there already, but it was embedded by another model: take it away to make it anew, or name another "
        "--out.\n"
    )


def make(images: Path, out: Path, *, settings: Settings, stores: Stores = STORES, model: str = "pocket") -> None:
    make_part(settings, join, stores, [str(images)], Share(1, 1), str(out), model=model)


@pytest.fixture
def unfinished(images: Path, tmp_path: Path) -> Path:
    """A folder for a part that was begun and not built."""

    @dataclass(frozen=True, slots=True)
    class Full:
        at: str
        key: str

        def find(self) -> None:
            return None

        def prepare(self) -> None:
            return None

        def keep(self, **told: object) -> None:
            raise DiskFull("The disk is full.")

    def full(out: str, name: str) -> Full:
        there = part_place(out, name)
        return Full(there.at, there.key)

    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(DiskFull):
        make(images, tmp_path / "parts", settings=settings, stores=replace(STORES, part_place=full))
    return tmp_path / "parts"


def works(data_dir: Path) -> list[Path]:
    """Unfinished folders."""
    return sorted((data_dir / "parts").iterdir())


def test_a_run_that_broke_off_goes_on(images: Path, unfinished: Path, tmp_path: Path) -> None:
    make(images, unfinished, settings=Settings(data_dir=tmp_path / "data"))
    assert sorted(path.name for path in unfinished.iterdir()) == ["part-0001-of-0001"]
    assert works(tmp_path / "data") == []


def test_a_run_that_broke_off_does_not_go_on_with_other_folders(images: Path, unfinished: Path, tmp_path: Path) -> None:
    (work,) = works(tmp_path / "data")
    with pytest.raises(SourceError) as refused:
        make(images / "1", unfinished, settings=Settings(data_dir=tmp_path / "data"))
    assert str(refused.value) == (
        f"{work} was begun, but it was made of photos/ and not of 1/: take it away to "
        "make it anew, or name another --out."
    )


def test_a_run_that_broke_off_does_not_go_on_with_another_limit(images: Path, unfinished: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="SIGHTLINE_MAX_IMAGE_MB was 50 and is 20"):
        make(images, unfinished, settings=Settings(data_dir=tmp_path / "data", max_image_mb=20))


def test_a_run_that_broke_off_does_not_go_on_with_another_model(
    images: Path, unfinished: Path, other_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        SourceError, match=r"part-0001-of-0001-[0-9a-f]{16} was begun, but it was embedded by another model: take"
    ):
        make(images, unfinished, settings=Settings(data_dir=tmp_path / "data"), model=str(other_model))


def test_where_a_part_cant_be_kept_is_told_before_anything_is_embedded(images: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"file/parts can't be made: Not a directory: name another --out\.$"):
        make(images, tmp_path / "file" / "parts", settings=Settings(data_dir=tmp_path / "data"))
    assert not (tmp_path / "data" / "parts").exists()


def test_an_empty_out_is_not_the_folder_that_one_is_in() -> None:
    with pytest.raises(
        SourceError, match=r"^--out is empty: name the folder or address that parts are to be kept in\.$"
    ):
        part_place("", "part-0001-of-0001")


def test_a_part_that_is_being_made_is_left_to_its_process(images: Path, tmp_path: Path) -> None:
    place = part_place(str(tmp_path), "part-0001-of-0001")
    work = tmp_path / "data" / "parts" / f"part-0001-of-0001-{place.key}"
    with closing(LocalLibrary(work)), pytest.raises(StoreBusy) as busy:
        make(images, tmp_path, settings=Settings(data_dir=tmp_path / "data"))
    assert str(busy.value) == f"{place.at} is being made by another process, in {work}."


def test_a_process_that_is_faster_made_the_part(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On another machine, whose unfinished folder is another."""
    out = tmp_path / "parts"

    def overtaken(out: str, name: str) -> Overtaken:
        return Overtaken(
            part_place(out, name), lambda: make(images, Path(out), settings=Settings(data_dir=tmp_path / "faster"))
        )

    make(images, out, settings=Settings(data_dir=tmp_path / "data"), stores=replace(STORES, part_place=overtaken))
    at = out / "part-0001-of-0001"
    assert capsys.readouterr().out.splitlines() == [f"{at}: {COUNT} images, 1 unusable.", f"{at} is there already."]
    assert list(out.iterdir()) == [at]
    assert works(tmp_path / "data") == []


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A place where another process keeps its part just before this one does."""

    place: PartPlace
    overtake: Callable[[], None]

    @property
    def at(self) -> str:
        return self.place.at

    @property
    def key(self) -> str:
        return self.place.key

    def find(self) -> Release | None:
        return self.place.find()

    def prepare(self) -> None:
        self.place.prepare()

    def keep(self, **told: Any) -> None:
        self.overtake()
        self.place.keep(**told)


def test_what_is_gone_since_a_run_broke_off_is_not_in_the_part(images: Path, unfinished: Path, tmp_path: Path) -> None:
    """So that another folder of the same name makes the part that it would have made alone."""
    other = drawn(tmp_path / "b" / "photos", 4)
    make(other, unfinished, settings=Settings(data_dir=tmp_path / "data"))
    told = manifest(unfinished / "part-0001-of-0001")
    assert (told["collection"]["images"], told["unusable"], told["made_from"]["images"]["count"]) == (4, 0, 4)


def test_where_all_is_gone_since_a_run_broke_off_the_part_is_empty(unfinished: Path, tmp_path: Path) -> None:
    """A share may have no image: another one has them."""
    (tmp_path / "b" / "photos").mkdir(parents=True)
    make(tmp_path / "b" / "photos", unfinished, settings=Settings(data_dir=tmp_path / "data"))
    told = manifest(unfinished / "part-0001-of-0001")
    assert (told["collection"]["images"], told["unusable"], told["made_from"]["images"]["count"]) == (0, 0, 0)


def test_what_a_run_left_of_a_part_that_is_there_goes(
    images: Path, unfinished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(images, unfinished, settings=Settings(data_dir=tmp_path / "elsewhere"))
    capsys.readouterr()
    make(images, unfinished, settings=Settings(data_dir=tmp_path / "data"))
    assert capsys.readouterr().out == f"{unfinished / 'part-0001-of-0001'} is there already.\n"
    assert works(tmp_path / "data") == []


def test_archives_are_told_apart_by_their_bytes(images: Path, tmp_path: Path) -> None:
    for name, folder in (("one", images / "1"), ("two", images / "2")):
        (tmp_path / name).mkdir()
        make_archive(str(tmp_path / name / "photos"), "zip", folder)
    go = partial(run, "index", data_dir=tmp_path / "data")
    rest = ("--part", "1/1", "--out", str(tmp_path / "parts"))
    go(str(tmp_path / "one" / "photos.zip"), *rest)
    assert go(str(tmp_path / "one" / "photos.zip"), *rest).endswith("is there already.\n")
    assert "but it was made of photos.zip (sha256 " in go(str(tmp_path / "two" / "photos.zip"), *rest, code=1)


@pytest.mark.parametrize("share", ["0/4", "5/4", "1", "a/b", "1/0", "1/1000000", "\u0661/4", f"{'9' * 5_000}/1"])
def test_a_share_that_is_none_is_refused(images: Path, tmp_path: Path, share: str) -> None:
    said = run("index", str(images), "--part", share, "--out", str(tmp_path), data_dir=tmp_path, code=1)
    assert "names no part" in said
