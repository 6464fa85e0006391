"""A job that runs for as long as a test wants, and what tests look at of jobs."""

import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from search.job import Job
from search.jobs import Jobs
from search.types import Failure, SentArchive, SourceFile
from store.sources import read_file
from tests.stored import wait_until

MakeJobs = Callable[..., Jobs]


class Held:
    """Lists one picture, then waits to be let go: a job that runs for as long as a test wants."""

    name, scope = "pics", None

    def __init__(self, path: Path) -> None:
        self.root = path.parent
        self._path = path
        self.begun, self.go_on = threading.Event(), threading.Event()

    def files(self) -> Iterator[SourceFile | Failure]:
        yield SourceFile(f"pics/{self._path.name}", self._path.stat().st_size, 1, self._path)
        self.begun.set()
        self.go_on.wait(60)

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        return read_file(file, most_bytes=most_bytes)


def finished(jobs: Jobs, id: str) -> Job:
    wait_until(lambda: jobs.get(id).is_finished)
    return jobs.get(id)


def send(jobs: Jobs, image: Path) -> SentArchive:
    path = jobs.incoming / "1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(image, "trip/red.png")
    return SentArchive(str(path), "holidays.zip")
