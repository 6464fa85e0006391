"""What a process left undone goes on in the next one."""

import json
import subprocess
import sys
import threading
from pathlib import Path

from search.job import JobSpec
from store.library import LocalLibrary
from tests.processes import ROOT
from tests.unit.jobs.held import Held, MakeJobs, finished, send


def test_a_job_that_a_closed_process_left_goes_on(
    make: MakeJobs, library: LocalLibrary, held: Held, pics: Path
) -> None:
    jobs = make(lambda spec, collection: [held])
    first, second = (jobs.submit(JobSpec("photos", (str(pics),))) for _ in range(2))
    assert held.begun.wait(60)
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
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == -9


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


def test_a_job_that_was_cancelled_as_the_process_closed_does_not_come_back(
    make: MakeJobs, held: Held, pics: Path
) -> None:
    jobs = make(lambda spec, collection: [held])
    job = jobs.submit(JobSpec("photos", (str(pics),)))
    assert held.begun.wait(60)
    assert jobs.cancel(job.id).state == "running"
    closing = threading.Thread(target=jobs.close)
    closing.start()
    held.go_on.set()
    closing.join(60)
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
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == -9
    (job,) = make(started=False).list()
    assert (job.state, job.attempts) == ("cancelled", 1)
