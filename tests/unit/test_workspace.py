"""Which collection answers, and what happens to an engine whose collection is deleted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from search.errors import CollectionNotFound
from search.images.decoder import Decoder
from search.jobs import Jobs
from search.kept_images import KeptImages
from search.types import CollectionInfo, Encoder
from search.workspace import Workspace
from store.library import LocalLibrary
from tests.fakes import FakeEncoder
from ui.readiness import search_check

Make = Callable[..., Workspace]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A workspace over the collections "a" and "b"."""
    with ExitStack() as opened:

        def made(*, configured: str = "", load_encoder: Callable[[str], Encoder] = FakeEncoder) -> Workspace:
            workspace = Workspace(
                LocalLibrary(tmp_path),
                load_encoder=load_encoder,
                decoder=Decoder(workers=1),
                kept=KeptImages(),
                models=[],
                default="gallery",
                configured=configured,
            )
            opened.callback(workspace.close)
            for name in ("a", "b"):
                workspace.library.create(name, model="fake", fingerprint="fake-1", dim=3)
            return workspace

        yield made


def test_the_configured_collection_answers_where_none_is_named(make: Make) -> None:
    workspace = make(configured="b")
    assert (workspace.engine().collection.info.name, workspace.engine("a").collection.info.name) == ("b", "a")


def test_without_a_configured_one_the_first_answers_where_the_usual_one_is_missing(make: Make) -> None:
    assert make().engine().collection.info.name == "a"


def test_a_configured_collection_that_is_not_there_is_named_with_its_variable_until_it_is_made(make: Make) -> None:
    workspace = make(configured="nope")
    sentence = (
        'SIGHTLINE_COLLECTION is "nope", and there is no such collection (there are: "a", "b"): '
        "make it, or change the variable."
    )
    for use in (workspace.engine, workspace.open):
        with pytest.raises(CollectionNotFound) as refused:
            use()
        assert str(refused.value) == sentence
    workspace.create("nope", model="fake")
    assert workspace.engine().collection.info.name == "nope"


def test_a_process_that_can_make_the_configured_collection_is_ready_without_it(make: Make, tmp_path: Path) -> None:
    workspace = make(configured="nope")
    check = search_check(workspace, model="fake")
    with pytest.raises(CollectionNotFound, match=r"^SIGHTLINE_COLLECTION"):
        check()
    workspace.jobs = Jobs(
        tmp_path / "jobs",
        open_collection=workspace.library.open,
        open_engine=workspace.engine,
        open_sources=lambda spec, collection: [],
        decoder=workspace.decoder,
    )
    check()


def test_an_engine_made_while_its_collection_was_deleted_is_not_kept(make: Make) -> None:
    encoder = FakeEncoder()

    def load(name: str) -> Encoder:
        workspace.delete("a")
        workspace.library.create("a", model="fake", fingerprint="fake-1", dim=3)
        return encoder

    workspace = make(load_encoder=load)
    with pytest.raises(CollectionNotFound, match=r'^The collection "a" was deleted and made again meanwhile'):
        workspace.engine("a")
    assert workspace.engine("a").collection is workspace.library.open("a")


def test_a_collection_whose_catalog_is_damaged_hides_no_other(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace = make()
    workspace.library.close()
    (catalog,) = tmp_path.glob("collections/a/*/catalog.sqlite")
    catalog.write_bytes(b"damaged" * 1000)
    workspace.library = LocalLibrary(tmp_path)
    assert [summary.info.name for summary in workspace.collections()] == ["b"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "collection_unusable='a' reason=\"The collection's catalog can't be used: file is not a database. Put back a "
        "copy of the collection's folder, or delete the collection and make it again.\""
    ]


class DeletedMeanwhile(LocalLibrary):
    """Where "a" goes as soon as it was listed."""

    def list(self) -> list[CollectionInfo]:
        found = super().list()
        self.delete("a")
        return found


def test_a_collection_deleted_while_they_are_counted_is_left_out(make: Make, tmp_path: Path) -> None:
    workspace = make()
    workspace.library.close()
    workspace.library = DeletedMeanwhile(tmp_path)
    assert [summary.info.name for summary in workspace.collections()] == ["b"]
