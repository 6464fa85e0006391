"""What an indexing job is, and its small file in the data folder; runs nothing."""

import errno
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from search.errors import DiskFull, StoreUnavailable
from search.progress import Progress
from search.types import Failure, SentArchive, Upload

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
FINISHED: frozenset[State] = frozenset(("done", "failed", "cancelled", "interrupted"))


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What to index: folders, files and archives on this machine, originals that the library keeps, archives sent."""

    collection: str
    paths: tuple[str, ...] = ()
    uploads: tuple[Upload, ...] = ()
    archives: tuple[SentArchive, ...] = ()
    prune: bool = False
    kind: Literal["index"] = "index"


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    spec: JobSpec
    state: State
    created_at: str  # ISO 8601, UTC
    started_at: str | None = None
    finished_at: str | None = None
    attempts: int = 0
    is_unwanted: bool = False  # somebody cancelled it, and it has not come to its end
    progress: Progress | None = None
    gone: tuple[str, ...] = ()  # uris whose files are no more, the first thousand
    gone_count: int = 0
    removed: int = 0
    failures: tuple[Failure, ...] = ()  # of this run, the first hundred
    error: str | None = None
    error_code: str | None = None

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED


def save(folder: Path, job: Job) -> None:
    """Synced, so that a job that was taken is not lost. Raises: DiskFull, StoreUnavailable."""
    path, partial = folder / f"{job.id}.json", folder / f".{job.id}.json"
    with disk_errors():
        with partial.open("w", encoding="ascii") as file:
            json.dump(asdict(job), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(folder)


def keep_archive(sent: BinaryIO, incoming: Path) -> str:
    """The path of a copy, synced. Raises: DiskFull, StoreUnavailable."""
    path = incoming / f"{secrets.token_hex(8)}.zip"
    sent.seek(0)
    with disk_errors():
        try:
            with path.open("xb") as kept:
                shutil.copyfileobj(sent, kept, 2**20)
                kept.flush()
                os.fsync(kept.fileno())
            _sync_folder(incoming)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    return str(path)


def make_folder(folder: Path) -> None:
    """Synced. Raises: DiskFull, StoreUnavailable."""
    with disk_errors():
        folder.mkdir(parents=True, exist_ok=True)
        for each in (folder.parent, folder.parent.parent):
            _sync_folder(each)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load(folder: Path) -> tuple[list[Job], bool]:
    """The jobs, and whether every file was one that could be read."""
    jobs, is_whole = list[Job](), True
    for path in folder.glob("[!.]*.json"):
        try:
            jobs.append(_job_of(json.loads(path.read_text(encoding="ascii"))))
        except (OSError, ValueError, TypeError, KeyError) as error:
            is_whole = False
            log.error("job_file=%s unreadable=%r uploads=kept", path.name, str(error))
    return jobs, is_whole


def _job_of(told: Mapping[str, Any]) -> Job:
    spec = told["spec"]
    uploads = tuple(Upload(**upload) for upload in spec["uploads"])
    archives = tuple(SentArchive(**archive) for archive in spec["archives"])
    return Job(
        **{
            **told,
            "spec": JobSpec(**{**spec, "paths": tuple(spec["paths"]), "uploads": uploads, "archives": archives}),
            "progress": Progress(**told["progress"]) if told["progress"] else None,
            "gone": tuple(told["gone"]),
            "failures": tuple(Failure(**failure) for failure in told["failures"]),
        }
    )


@contextmanager
def disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("The disk is full: the job was not taken. Free some space and try again.") from error
        raise StoreUnavailable(f"Jobs can't be kept in the data folder: {error.strerror}.") from error
