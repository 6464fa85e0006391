"""Jobs run one after another and say what they did."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from search.engine import SearchEngine
from search.errors import CollectionNotFound, DiskFull, JobNotFound, ReadOnly, SourceError
from search.images.decoder import Decoder
from search.job import JobSpec
from search.job_run import MOST_FAILURES
from search.jobs import Jobs
from search.kept_images import KeptImages
from search.types import Failure, SourceFile, Upload
from store.library import LocalLibrary
from tests.fakes import FakeEncoder
from tests.unit.jobs.held import Held, MakeJobs, finished, send


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
    assert held.begun.wait(60)
    assert (jobs.get(first.id).state, jobs.get(second.id).state) == ("running", "waiting")
    held.go_on.set()
    assert finished(jobs, second.id).state == "done"
    assert jobs.get(first.id).state == "done"


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_soon(make: MakeJobs, held: Held, pics: Path) -> None:
    jobs = make(lambda spec, collection: [held])
    first, second = (jobs.submit(JobSpec("photos", (str(pics),))) for _ in range(2))
    assert held.begun.wait(60)
    assert jobs.cancel(second.id).state == "cancelled"
    jobs.cancel(first.id)
    held.go_on.set()
    assert finished(jobs, first.id).state == "cancelled"
    assert jobs.cancel(first.id).state == "cancelled"


def test_a_cancelled_job_can_be_taken_up_again(make: MakeJobs, library: LocalLibrary, held: Held, pics: Path) -> None:
    jobs = make(lambda spec, collection: [held])
    job = jobs.submit(JobSpec("photos", (str(pics),)))
    assert held.begun.wait(60)
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
    assert held.begun.wait(60)
    library.delete("photos")
    held.go_on.set()
    job = finished(jobs, job.id)
    assert (job.state, job.error) == ("cancelled", "The collection 'photos' was deleted.")


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
