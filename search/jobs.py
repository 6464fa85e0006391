"""Indexing jobs one after another, remembered across restarts; how anything is opened is passed in."""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.engine import SearchEngine
from search.errors import CollectionNotFound, JobNotFound, ReadOnly, SearchError, SourceError
from search.images.decoder import Decoder
from search.job import Job, JobSpec, load, make_folder, save
from search.job_run import run_job
from search.progress import Progress
from search.types import Collection, Source

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3  # of a job during which the process died: it may be the job that kills it
MOST_FINISHED = 50


class Jobs:
    """Thread-safe. What `submit` returned is not lost: a job that the process did not finish goes on at `start`.

    Jobs can be submitted and asked for before it. Raises: DiskFull, StoreUnavailable where the folder can't be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        open_collection: Callable[[str], Collection],
        open_engine: Callable[[str], SearchEngine],
        open_sources: Callable[[JobSpec, Collection], Sequence[Source]],
        decoder: Decoder,
        tidy_uploads: Callable[[frozenset[str]], None] = lambda wanted: None,
    ) -> None:
        """`tidy_uploads` may remove originals that no record has, but for the wanted ones."""
        self.taking = threading.Lock()  # held from the first upload that is kept until its job is submitted
        self.incoming = folder / "incoming"  # for archives that were sent here: a job removes its own when it is done
        self._folder = folder
        self._open_collection, self._open_engine, self._open_sources = open_collection, open_engine, open_sources
        self._decoder, self._tidy_uploads = decoder, tidy_uploads
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[str] = deque()
        self._stop: dict[str, threading.Event] = {}  # of the job that runs
        self._changed = threading.Condition()  # guards all of these
        self._closing = False
        self._untidy = True
        self._is_whole = True  # every job of an earlier process is known
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._take_up()

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    def submit(self, spec: JobSpec) -> Job:
        """Raises: CollectionNotFound, ReadOnly, SourceError for a path that is none, DiskFull."""
        collection = self._open_collection(spec.collection)
        if collection.info.read_only:
            raise ReadOnly(f"The collection {spec.collection!r} can't be changed: make one of your own and add there.")
        if not self._open_sources(spec, collection):
            raise SourceError("There is nothing to index: name a folder, a file or an archive.")
        job = Job(id=secrets.token_hex(8), spec=spec, state="waiting", created_at=_now())
        with self._changed:
            save(self._folder, job)
            self._jobs[job.id] = job
            self._waiting.append(job.id)
            self._changed.notify_all()
        return job

    def get(self, id: str) -> Job:
        """Raises: JobNotFound."""
        with self._changed:
            return self._job(id)

    def list(self) -> list[Job]:
        """Newest first."""
        with self._changed:
            return sorted(self._jobs.values(), key=lambda job: job.created_at, reverse=True)

    def cancel(self, id: str) -> Job:
        """At once where it waits, soon where it runs; what is indexed stays. Raises: JobNotFound."""
        with self._changed:
            job = self._job(id)
            if job.state == "waiting":
                self._waiting.remove(id)
                return self._keep(replace(job, state="cancelled", finished_at=_now()))
            if id in self._stop:
                self._stop[id].set()
                job = self._keep(replace(job, is_unwanted=True))  # should the process end before the job does
            return job

    def resume(self, id: str) -> Job:
        """Takes up a job that was cancelled, interrupted or failed; what is indexed is not done again.

        Raises: JobNotFound, CollectionNotFound.
        """
        job = self.get(id)
        if job.error_code == CollectionNotFound.code:  # another may have its name by now; what was sent is gone
            raise CollectionNotFound(job.error or "Its collection was deleted.")
        self._open_collection(job.spec.collection)
        with self._changed:
            job = self._job(id)
            if job.state in ("cancelled", "interrupted", "failed"):
                job = self._keep(
                    replace(job, state="waiting", attempts=0, error=None, error_code=None, finished_at=None)
                )
                self._waiting.append(id)
                self._changed.notify_all()
            return job

    def tidy(self) -> None:
        """Has uploads removed that nothing needs any more, as soon as no job is left."""
        with self._changed:
            self._untidy = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stops the job that runs, which goes on at the next `start`."""
        with self._changed:
            self._closing = True
            for stop in self._stop.values():
                stop.set()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _take_up(self) -> None:
        """What was not finished when an earlier process ended."""
        make_folder(self.incoming)
        jobs, self._is_whole = load(self._folder)
        for job in sorted(jobs, key=lambda job: job.created_at):
            if job.state == "running" and job.is_unwanted:
                job = replace(job, state="cancelled", is_unwanted=False, finished_at=_now())
            elif job.state == "running":
                job = replace(job, state="waiting" if job.attempts < MOST_ATTEMPTS else "interrupted")
            self._jobs[job.id] = job
            if job.state == "waiting":
                self._waiting.append(job.id)
        self._sweep()
        self._drop_unclaimed()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting or self._untidy)
                if self._closing:
                    return
                untidy = not self._waiting
            if untidy:
                self._tidy_up()
                continue
            with self._changed:
                if not self._waiting:  # cancelled just now
                    continue
                job = self._job(self._waiting.popleft())
                stop = self._stop[job.id] = threading.Event()
                job = self._keep(
                    replace(job, state="running", started_at=_now(), attempts=job.attempts + 1, progress=None)
                )
            outcome = self._run(job, stop)
            with self._changed:
                del self._stop[job.id]
                job = self._job(job.id)
                if self._closing and outcome["state"] == "cancelled" and not job.is_unwanted:
                    outcome = {"state": "waiting", "attempts": 0}
                else:
                    outcome |= {"finished_at": _now(), "is_unwanted": False}
                job = self._keep(replace(job, **outcome))
                if job.state != "done" or job.failures:  # what it unpacked, and what is no image, is in no collection
                    self._untidy = True
                self._sweep()

    def _tidy_up(self) -> None:
        with self.taking:
            with self._changed:
                if self._waiting or self._closing:
                    return
                self._untidy = False
                if not self._is_whole:  # the job that can't be read may need any of them
                    return
                needed = [job.spec.uploads for job in self._jobs.values() if not _is_over(job)]
            try:
                self._tidy_uploads(frozenset(upload.path for uploads in needed for upload in uploads))
            except SearchError as error:
                log.warning("uploads=untidy reason=%r", str(error))

    def _run(self, job: Job, stop: threading.Event) -> dict[str, Any]:
        """What changes in the job by being run."""

        def tell(progress: Progress) -> None:
            with self._changed:
                self._jobs[job.id] = replace(self._jobs[job.id], progress=progress)

        return run_job(
            job,
            open_collection=self._open_collection,
            open_engine=self._open_engine,
            open_sources=self._open_sources,
            decoder=self._decoder,
            cancelled=stop.is_set,
            progress=tell,
        )

    def _job(self, id: str) -> Job:
        if id not in self._jobs:
            raise JobNotFound("There is no such job, or it is long finished.")
        return self._jobs[id]

    def _keep(self, job: Job) -> Job:
        self._jobs[job.id] = job
        try:
            save(self._folder, job)
        except SearchError as error:  # it is only done again, after a restart
            log.warning("job=%s state=%s not_kept=%r", job.id, job.state, str(error))
        return job

    def _drop_unclaimed(self) -> None:
        """Archives that were sent here and never became a job."""
        if not self._is_whole:
            return
        claimed = {archive.path for job in self._jobs.values() for archive in job.spec.archives}
        for path in self.incoming.iterdir():
            if str(path) not in claimed:
                with suppress(OSError):
                    path.unlink()

    def _sweep(self) -> None:
        """Forgets the oldest finished jobs, and archives that no job will need again."""
        finished = sorted((job for job in self._jobs.values() if job.is_finished), key=lambda job: job.created_at)
        over = [job for job in finished if _is_over(job)]
        for job in finished[:-MOST_FINISHED]:
            over.append(self._jobs.pop(job.id))
            with suppress(OSError):
                (self._folder / f"{job.id}.json").unlink()
        for archive in (archive for job in over for archive in job.spec.archives):
            with suppress(OSError):
                Path(archive.path).unlink()


def _is_over(job: Job) -> bool:
    """Whether it can't be taken up again."""
    return job.state == "done" or job.error_code == CollectionNotFound.code


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
