import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Queue

import pytest
from PIL import Image

from search.engine import SearchEngine
from search.errors import CollectionNotFound, DiskFull, JobNotFound, ReadOnly, SourceError
from search.images.decoder import Decoder
from search.job import Job, JobSpec
from search.job_run import MOST_FAILURES
from search.jobs import Jobs
from search.kept_images import KeptImages
from search.types import Collection, Failure, SentArchive, Source, SourceFile, Upload
from store.library import LocalLibrary
from store.sources import read_file
from tests.fakes import FakeEncoder
from tests.stored import sources_of, wait_until

MakeJobs = Callable[..., Jobs]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(workers=1)
    yield decoder
    decoder.close()


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
        self.go_on.wait(30)

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        return read_file(file, most_bytes=most_bytes)


@pytest.fixture
def held(pics: Path) -> Iterator[Held]:
    held = Held(pics / "red.png")
    yield held
    held.go_on.set()


def finished(jobs: Jobs, id: str) -> Job:
    wait_until(lambda: jobs.get(id).is_finished)
    return jobs.get(id)


def test_a_job_indexes_and_says_what_it_did(make: MakeJobs, library: LocalLibrary, pics: Path) -> None:
    (pics / "bad.png").write_bytes(b"")
    jobs = make()
    job = jobs.submit(JobSpec("photos", (str(pics),)))
    assert (job.state, job.progress) == ("waiting", None)
    job = finished(jobs, job.id)
    assert (job.state, job.error, job.attempts) == ("done", None, 1)
    assert job.progress is not None
    assert (job.progress.indexed, job.progress.failed, job.progress.total) == (3, 1, 4)
    assert len(library.open("photos")) == 3
    assert jobs.get(job.id) is job
    assert jobs.list() == [job]


def test_progress_covers_all_the_paths_of_a_job(make: MakeJobs, tmp_path: Path, pics: Path) -> None:
    (tmp_path / "other").mkdir()
    Image.new("RGB", (8, 8), "cyan").save(tmp_path / "other" / "cyan.png")
    jobs = make()
    job = finished(jobs, jobs.submit(JobSpec("photos", (str(pics), str(tmp_path / "other")))).id)
    assert job.progress is not None
    assert (job.progress.indexed, job.progress.total, job.progress.source) == (4, 4, "other")


def test_uploads_are_indexed(make: MakeJobs, library: LocalLibrary, pics: Path) -> None:
    path = library.keep_upload((pics / "red.png").read_bytes(), ".png")
    jobs = make()
    finished(jobs, jobs.submit(JobSpec("photos", uploads=(Upload(path, "cat.png"),))).id)
    (record,) = library.open("photos").page(offset=0, count=9)
    assert (record.uri, record.metadata["name"]) == (f"uploads/{path}", "cat.png")
    with library.open("photos").original(record.id) as original:
        assert original.read() == (pics / "red.png").read_bytes()


def test_gone_files_are_told_and_pruned(make: MakeJobs, library: LocalLibrary, pics: Path) -> None:
    jobs = make()
    finished(jobs, jobs.submit(JobSpec("photos", (str(pics),))).id)
    (pics / "red.png").unlink()
    job = finished(jobs, jobs.submit(JobSpec("photos", (str(pics),))).id)
    assert (job.gone, job.gone_count, job.removed) == (("pics/red.png",), 1, 0)
    job = finished(jobs, jobs.submit(JobSpec("photos", (str(pics),), prune=True)).id)
    assert (job.gone_count, job.removed, len(library.open("photos"))) == (1, 1, 2)


def test_what_cannot_be_done_is_refused_at_once(make: MakeJobs, library: LocalLibrary, tmp_path: Path) -> None:
    jobs = make()
    with pytest.raises(CollectionNotFound):
        jobs.submit(JobSpec("missing", (str(tmp_path),)))
    with pytest.raises(SourceError, match="There is nothing to read at"):
        jobs.submit(JobSpec("photos", (str(tmp_path / "missing"),)))
    with pytest.raises(SourceError, match="There is nothing to index"):
        jobs.submit(JobSpec("photos"))
    assert jobs.list() == []


def test_a_read_only_collection_takes_no_job(
    make: MakeJobs, library: LocalLibrary, tmp_path: Path, pics: Path, decoder: Decoder
) -> None:
    library.close()
    readers = LocalLibrary(tmp_path / "data", write=False)
    jobs = Jobs(
        tmp_path / "jobs",
        open_collection=readers.open,
        open_engine=lambda name: SearchEngine(readers.open(name), FakeEncoder(), decoder=decoder, kept=KeptImages()),
        open_sources=lambda spec, collection: [],
        decoder=decoder,
    )
    with pytest.raises(ReadOnly, match="The collection 'photos' can't be changed"):
        jobs.submit(JobSpec("photos", (str(pics),)))
    readers.close()


def test_an_unknown_job_is_not_found(make: MakeJobs) -> None:
    jobs = make()
    for call in (jobs.get, jobs.cancel, jobs.resume):
        with pytest.raises(JobNotFound):
            call("../../etc/passwd")


def test_jobs_run_one_after_another(make: MakeJobs, held: Held, pics: Path) -> None:
    jobs = make(lambda spec, collection: [held])
    first, second = (jobs.submit(JobSpec("photos", (str(pics),))) for _ in range(2))
    assert held.begun.wait(30)
    assert (jobs.get(first.id).state, jobs.get(second.id).state) == ("running", "waiting")
    held.go_on.set()
    assert finished(jobs, second.id).state == "done"
    assert jobs.get(first.id).state == "done"


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_soon(make: MakeJobs, held: Held, pics: Path) -> None:
    jobs = make(lambda spec, collection: [held])
    first, second = (jobs.submit(JobSpec("photos", (str(pics),))) for _ in range(2))
    assert held.begun.wait(30)
    assert jobs.cancel(second.id).state == "cancelled"
    jobs.cancel(first.id)
    held.go_on.set()
    assert finished(jobs, first.id).state == "cancelled"
    assert jobs.cancel(first.id).state == "cancelled"


def test_a_cancelled_job_can_be_taken_up_again(make: MakeJobs, library: LocalLibrary, held: Held, pics: Path) -> None:
    jobs = make(lambda spec, collection: [held])
    job = jobs.submit(JobSpec("photos", (str(pics),)))
    assert held.begun.wait(30)
    jobs.cancel(job.id)
    held.go_on.set()
    assert finished(jobs, job.id).state == "cancelled"
    jobs.resume(job.id)
    assert finished(jobs, job.id).state == "done"
    assert len(library.open("photos")) == 1


def test_an_error_is_told_and_the_next_job_runs(make: MakeJobs, pics: Path) -> None:
    class Full:
        name, root, scope = "pics", pics, None

        def files(self) -> Iterator[SourceFile | Failure]:
            raise DiskFull("The disk is full: make room.")

    jobs = make(lambda spec, collection: [Full()] if spec.prune else [])
    job = finished(jobs, jobs.submit(JobSpec("photos", (str(pics),), prune=True)).id)
    assert (job.state, job.error, job.error_code) == ("failed", "The disk is full: make room.", "disk_full")


def test_a_defect_is_told_without_its_words_and_the_next_job_runs(
    make: MakeJobs, pics: Path, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong:
        name, root, scope = "pics", pics, None

        def files(self) -> Iterator[SourceFile | Failure]:
            raise ZeroDivisionError("/secret/path")

    jobs = make(lambda spec, collection: [Wrong() if spec.prune else held])
    held.go_on.set()
    first = jobs.submit(JobSpec("photos", (str(pics),), prune=True))
    second = jobs.submit(JobSpec("photos", (str(pics),)))
    assert finished(jobs, second.id).state == "done"
    failed = jobs.get(first.id)
    assert (failed.state, failed.error) == ("failed", "A defect stopped it; the log says more.")
    assert "/secret/path" in caplog.text


def test_a_job_that_a_closed_process_left_goes_on(
    make: MakeJobs, library: LocalLibrary, held: Held, pics: Path
) -> None:
    jobs = make(lambda spec, collection: [held])
    first, second = (jobs.submit(JobSpec("photos", (str(pics),))) for _ in range(2))
    assert held.begun.wait(30)
    threading.Timer(0.05, held.go_on.set).start()
    jobs.close()
    assert jobs.get(first.id).state == "waiting"
    again = make()
    assert finished(again, first.id).state == "done"
    assert finished(again, second.id).state == "done"
    assert len(library.open("photos")) == 3


def killed_while_running(folder: Path, pics: Path) -> None:
    """Runs a process that begins a job and is killed in the middle of it."""
    script = f"""
import os, signal
from pathlib import Path
from search.job import JobSpec
from search.jobs import Jobs
class Info: read_only = False
class Collection: info = Info()
def engine(name): os.kill(os.getpid(), signal.SIGKILL)
jobs = Jobs(Path({str(folder)!r}), open_collection=lambda name: Collection(), open_engine=engine,
    open_sources=lambda spec, collection: [1], decoder=None)
jobs.start()
if not jobs.list(): jobs.submit(JobSpec("photos", ({str(pics)!r},)))
jobs._thread.join()
"""
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == -9


def test_a_job_whose_process_was_killed_goes_on(
    make: MakeJobs, library: LocalLibrary, tmp_path: Path, pics: Path
) -> None:
    killed_while_running(tmp_path / "data" / "jobs", pics)
    jobs = make()
    (job,) = jobs.list()
    assert finished(jobs, job.id).state == "done"
    assert (jobs.get(job.id).attempts, len(library.open("photos"))) == (2, 3)


def test_a_job_that_kills_its_process_again_and_again_waits_to_be_asked_for(
    make: MakeJobs, tmp_path: Path, pics: Path
) -> None:
    for _ in range(3):
        killed_while_running(tmp_path / "data" / "jobs", pics)
    jobs = make()
    (job,) = jobs.list()
    assert job.state == "interrupted"
    jobs.resume(job.id)
    assert finished(jobs, job.id).state == "done"


def test_finished_jobs_are_remembered_and_a_damaged_file_is_passed_over(
    make: MakeJobs, tmp_path: Path, pics: Path
) -> None:
    jobs = make()
    job = finished(jobs, jobs.submit(JobSpec("photos", (str(pics), str(pics / "red.png")))).id)
    jobs.close()
    (tmp_path / "data" / "jobs" / "damaged.json").write_text("{")
    (tmp_path / "data" / "jobs" / "other.json").write_text(json.dumps({"id": "x"}))
    assert make().list() == [job]


def send(jobs: Jobs, image: Path) -> SentArchive:
    path = jobs.incoming / "1.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(image, "trip/red.png")
    return SentArchive(str(path), "holidays.zip")


def test_an_archive_that_was_sent_here_is_removed_when_its_job_is_done(
    make: MakeJobs, library: LocalLibrary, pics: Path
) -> None:
    jobs = make()
    (jobs.incoming / "unclaimed.zip").touch()
    job = jobs.submit(JobSpec("photos", archives=(send(jobs, pics / "red.png"),)))
    assert finished(jobs, job.id).state == "done"
    jobs.close()
    assert [each.name for each in jobs.incoming.iterdir()] == ["unclaimed.zip"]
    assert list(make().incoming.iterdir()) == []
    (record,) = library.open("photos").page(offset=0, count=9)
    assert record.metadata == {"format": "png", "folder": "trip", "name": "red.png"}


def test_an_archive_goes_by_the_name_it_came_with(make: MakeJobs, pics: Path) -> None:
    jobs = make()
    archive = send(jobs, pics / "red.png")
    Path(archive.path).write_bytes(b"PK\x03\x04 torn")
    job = finished(jobs, jobs.submit(JobSpec("photos", archives=(archive,))).id)
    assert job.error == "holidays.zip is not a zip archive that can be read: pack it again."


def test_a_job_submitted_before_the_start_is_known_and_runs_once(
    make: MakeJobs, library: LocalLibrary, pics: Path
) -> None:
    jobs = make(started=False)
    job = jobs.submit(JobSpec("photos", archives=(send(jobs, pics / "red.png"),)))
    after = jobs.submit(JobSpec("photos", (str(pics),)))
    assert (jobs.get(job.id), jobs.list()) == (job, [after, job])
    jobs.start()
    assert finished(jobs, after.id).state == "done"
    assert (jobs.get(job.id).state, jobs.get(job.id).attempts) == ("done", 1)


def test_what_an_earlier_process_left_is_known_before_the_start(make: MakeJobs, pics: Path) -> None:
    left = make(started=False).submit(JobSpec("photos", (str(pics),)))
    jobs = make(started=False)
    assert jobs.list() == [left]
    assert jobs.cancel(left.id).state == "cancelled"
    jobs.start()
    after = jobs.submit(JobSpec("photos", (str(pics),)))
    assert finished(jobs, after.id).state == "done"
    assert jobs.get(left.id).state == "cancelled"


def test_an_archive_whose_job_is_not_submitted_yet_outlives_the_start(make: MakeJobs, pics: Path) -> None:
    jobs = make(started=False)
    archive = send(jobs, pics / "red.png")
    jobs.start()
    assert finished(jobs, jobs.submit(JobSpec("photos", archives=(archive,))).id).state == "done"


def test_a_job_lists_the_unusable_files_of_its_own_run(make: MakeJobs, tmp_path: Path, pics: Path) -> None:
    (pics / "bad.png").write_bytes(b"")
    for number in range(101):
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many" / f"{number}.svg").touch()
    jobs = make()
    (failure,) = finished(jobs, jobs.submit(JobSpec("photos", (str(pics),))).id).failures
    assert failure.uri == "pics/bad.png"
    job = finished(jobs, jobs.submit(JobSpec("photos", (str(tmp_path / "many"),))).id)
    assert job.progress is not None
    assert (len(job.failures), job.progress.failed) == (MOST_FAILURES, 101)
    jobs.close()
    assert make().get(job.id) == job


def test_no_path_of_the_machine_is_in_a_job_whose_folder_went(make: MakeJobs, pics: Path) -> None:
    jobs = make(started=False)
    job = jobs.submit(JobSpec("photos", (str(pics),)))
    shutil.rmtree(pics)
    jobs.start()
    job = finished(jobs, job.id)
    assert (job.state, job.error) == ("failed", 'There is nothing to read at the path that ends in "pics": check it.')


def test_a_job_whose_collection_is_deleted_is_cancelled(
    make: MakeJobs, library: LocalLibrary, held: Held, pics: Path
) -> None:
    jobs = make(lambda spec, collection: [held])
    job = jobs.submit(JobSpec("photos", (str(pics),)))
    assert held.begun.wait(30)
    library.delete("photos")
    held.go_on.set()
    job = finished(jobs, job.id)
    assert (job.state, job.error) == ("cancelled", "The collection 'photos' was deleted.")


def test_archives_of_jobs_that_nobody_can_go_on_with_are_removed(
    make: MakeJobs, library: LocalLibrary, held: Held, pics: Path
) -> None:
    jobs = make(started=False)
    other = library.create("other", model="fake", fingerprint="fake-1", dim=3).info.name
    archive = send(jobs, pics / "green.png")
    job = jobs.submit(JobSpec(other, archives=(archive,)))
    library.delete(other)
    jobs.start()
    assert finished(jobs, job.id).state == "cancelled"
    assert not Path(archive.path).exists()


def test_a_job_of_a_deleted_collection_is_not_taken_up_again(make: MakeJobs, library: LocalLibrary, pics: Path) -> None:
    jobs = make(started=False)
    other = library.create("other", model="fake", fingerprint="fake-1", dim=3).info.name
    job = jobs.submit(JobSpec(other, paths=(str(pics),)))
    jobs.cancel(job.id)
    library.delete(other)
    with pytest.raises(CollectionNotFound):
        jobs.resume(job.id)
    assert jobs.get(job.id).state == "cancelled"


def test_a_job_of_a_deleted_collection_does_not_go_on_in_another_of_its_name(
    make: MakeJobs, library: LocalLibrary, pics: Path
) -> None:
    jobs = make(started=False)
    other = library.create("other", model="fake", fingerprint="fake-1", dim=3).info.name
    job = jobs.submit(JobSpec(other, archives=(send(jobs, pics / "green.png"),)))
    library.delete(other)
    jobs.start()
    assert finished(jobs, job.id).state == "cancelled"
    library.create("other", model="fake", fingerprint="fake-1", dim=3)
    with pytest.raises(CollectionNotFound, match=r"^The collection 'other' was deleted\.$"):
        jobs.resume(job.id)


def test_a_job_that_was_cancelled_as_the_process_closed_does_not_come_back(
    make: MakeJobs, held: Held, pics: Path
) -> None:
    jobs = make(lambda spec, collection: [held])
    job = jobs.submit(JobSpec("photos", (str(pics),)))
    assert held.begun.wait(30)
    assert jobs.cancel(job.id).state == "running"
    closing = threading.Thread(target=jobs.close)
    closing.start()
    held.go_on.set()
    closing.join(30)
    assert make(started=False).get(job.id).state == "cancelled"


def test_a_job_that_was_cancelled_as_its_process_was_killed_does_not_come_back(make: MakeJobs, tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from search.job import JobSpec
from search.jobs import Jobs
class Info: read_only = False
class Collection: info = Info()
def engine(name):
    jobs.cancel(job.id)
    os.kill(os.getpid(), signal.SIGKILL)
jobs = Jobs(Path({str(tmp_path / "data" / "jobs")!r}), open_collection=lambda name: Collection(), open_engine=engine,
    open_sources=lambda spec, collection: [1], decoder=None)
job = jobs.submit(JobSpec("photos", ("/somewhere",)))
jobs.start()
jobs._thread.join()
"""
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == -9
    (job,) = make(started=False).list()
    assert (job.state, job.attempts) == ("cancelled", 1)


def kept_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "data" / "uploads").glob("??/*"))


def test_what_a_failed_archive_unpacked_goes_when_its_job_has_ended(
    make: MakeJobs, library: LocalLibrary, tmp_path: Path, pics: Path
) -> None:
    tidied = threading.Event()

    def tidy(wanted: frozenset[str]) -> None:
        library.tidy_uploads(wanted)
        if not kept_files(tmp_path):
            tidied.set()

    class Torn:
        name, root, scope = "uploads", None, None

        def files(self) -> Iterator[SourceFile | Failure]:
            library.keep_upload((pics / "red.png").read_bytes(), ".png")
            assert kept_files(tmp_path) != []
            tidied.clear()
            raise SourceError("It holds more than 2 images, the limit: pack it into several.")

    jobs = make(lambda spec, collection: [Torn()], tidy=tidy)
    job = finished(jobs, jobs.submit(JobSpec("photos", (str(pics),))).id)
    assert job.state == "failed"
    assert tidied.wait(30)


def test_what_a_killed_process_kept_and_submitted_no_job_for_goes_at_the_start(
    make: MakeJobs, library: LocalLibrary, tmp_path: Path
) -> None:
    library.keep_upload(b"unclaimed", ".png")
    tidied = threading.Event()

    def tidy(wanted: frozenset[str]) -> None:
        library.tidy_uploads(wanted)
        tidied.set()

    make(tidy=tidy)
    assert tidied.wait(30)
    assert kept_files(tmp_path) == []


def test_while_a_job_cannot_be_read_all_that_it_may_need_stays(
    make: MakeJobs, library: LocalLibrary, tmp_path: Path, pics: Path
) -> None:
    jobs = make(started=False)
    upload = Upload(library.keep_upload((pics / "red.png").read_bytes(), ".png"), "red.png")
    job = jobs.submit(JobSpec("photos", uploads=(upload,), archives=(send(jobs, pics / "green.png"),)))
    path = tmp_path / "data" / "jobs" / f"{job.id}.json"
    written = path.read_bytes()
    path.write_bytes(b"{")
    other = make(tidy=library.tidy_uploads)
    finished(other, other.submit(JobSpec("photos", (str(pics / "blue.png"),))).id)
    other.close()
    path.write_bytes(written)
    again = make()
    assert finished(again, job.id).state == "done"
    assert len(library.open("photos")) == 3


def test_tidying_waits_until_no_job_is_left_and_spares_what_one_may_need(
    make: MakeJobs, library: LocalLibrary, held: Held, pics: Path
) -> None:
    tidied: Queue[frozenset[str]] = Queue()
    jobs = make(lambda spec, _: [held], tidy=tidied.put, started=False)
    running = jobs.submit(JobSpec("photos", uploads=(Upload("aa/running.png", "r.png"),)))
    cancelled = jobs.submit(JobSpec("photos", uploads=(Upload("aa/cancelled.png", "c.png"),)))
    jobs.cancel(cancelled.id)
    jobs.start()
    held.begun.wait()
    jobs.tidy()
    assert tidied.empty()
    with jobs.taking:
        held.go_on.set()
        assert finished(jobs, running.id).state == "done"
        assert tidied.empty()
    assert tidied.get(timeout=10) == {"aa/cancelled.png"}
