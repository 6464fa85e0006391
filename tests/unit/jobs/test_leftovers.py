"""Archives and originals that no job needs any more are removed, and no others."""

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

from search.errors import SourceError
from search.job import JobSpec
from search.types import Failure, SourceFile, Upload
from store.library import LocalLibrary
from tests.unit.jobs.held import Held, MakeJobs, finished, send


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


def test_an_archive_whose_job_is_not_submitted_yet_outlives_the_start(make: MakeJobs, pics: Path) -> None:
    jobs = make(started=False)
    archive = send(jobs, pics / "red.png")
    jobs.start()
    assert finished(jobs, jobs.submit(JobSpec("photos", archives=(archive,))).id).state == "done"


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
    assert tidied.wait(60)


def test_what_a_killed_process_kept_and_submitted_no_job_for_goes_at_the_start(
    make: MakeJobs, library: LocalLibrary, tmp_path: Path
) -> None:
    library.keep_upload(b"unclaimed", ".png")
    tidied = threading.Event()

    def tidy(wanted: frozenset[str]) -> None:
        library.tidy_uploads(wanted)
        tidied.set()

    make(tidy=tidy)
    assert tidied.wait(60)
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
    assert tidied.get(timeout=60) == {"aa/cancelled.png"}
