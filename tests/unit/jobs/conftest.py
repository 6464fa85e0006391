"""A collection, three pictures, and jobs over the real store and decoder."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from search.engine import SearchEngine
from search.images.decoder import Decoder
from search.job import JobSpec
from search.jobs import Jobs
from search.kept_images import KeptImages
from search.types import Collection, Source
from store.library import LocalLibrary
from tests.fakes import FakeEncoder
from tests.stored import sources_of
from tests.unit.jobs.held import Held, MakeJobs


@pytest.fixture
def library(tmp_path: Path) -> Iterator[LocalLibrary]:
    library = LocalLibrary(tmp_path / "data")
    library.create("photos", model="fake", fingerprint="fake-1", dim=3)
    yield library
    library.close()


@pytest.fixture
def pics(tmp_path: Path) -> Path:
    folder = tmp_path / "pics"
    folder.mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (8, 8), colour).save(folder / f"{colour}.png")
    return folder


@pytest.fixture
def make(tmp_path: Path, library: LocalLibrary, decoder: Decoder) -> Iterator[MakeJobs]:
    made: list[Jobs] = []

    sources = sources_of(library, tmp_path / "data", max_bytes=2**20)

    def make(
        open_sources: Callable[[JobSpec, Collection], Sequence[Source]] = sources,
        *,
        tidy: Callable[[frozenset[str]], None] = lambda wanted: None,
        started: bool = True,
    ) -> Jobs:
        jobs = Jobs(
            tmp_path / "data" / "jobs",
            open_collection=library.open,
            open_engine=lambda name: SearchEngine(
                library.open(name), FakeEncoder(), decoder=decoder, kept=KeptImages()
            ),
            open_sources=open_sources,
            tidy_uploads=tidy,
            decoder=decoder,
        )
        made.append(jobs)
        if started:
            jobs.start()
        return jobs

    yield make
    for jobs in made:
        jobs.close()


@pytest.fixture
def held(pics: Path) -> Iterator[Held]:
    held = Held(pics / "red.png")
    yield held
    held.go_on.set()
