"""`index` in a shell: a collection where there is none, the progress line, Ctrl-C, what was kept and what not."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from search.errors import EncoderMismatch, SearchError, StoreBusy
from ui.changing import Changing
from ui.job_view import JobView
from ui.terminal import live_line, plain, span

POLL_S = 0.25
FAILURES_SHOWN = 20
STOPPED_BY_CTRL_C = 130


def run_index(
    change: Changing, paths: Sequence[str], *, collection: str, model: str | None, usual_model: str, prune: bool
) -> int:
    """Returns the exit code. Raises: what the job failed of, and EncoderMismatch for another model's collection."""
    there = change.collections().get(collection)
    if there is None:
        change.create(collection, model=model or usual_model, description="")
        typer.echo(f'Made the collection "{collection}" for the model {model or usual_model}.', err=True)
    elif model not in (None, there):
        raise EncoderMismatch(
            f'The collection "{collection}" is for the model {there}, not {model}: leave out --model, or name another '
            "collection."
        )
    job = _follow(change, change.start(paths, collection=collection, prune=prune))
    if job["error"]:
        raise Failed(job["error"]["code"], job["error"]["message"])
    _sum_up(job)
    return STOPPED_BY_CTRL_C if job["state"] == "cancelled" else 0


class Failed(SearchError):
    """A job's own error, in its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def progress_line(progress: Mapping[str, Any] | None) -> str:
    """`progress`: a job's, as over HTTP."""
    if progress is None:
        return "waiting"
    if progress["phase"] == "looking":
        return f"looking: {progress['total']:,} files"
    parts = [f"{progress['done']:,} of {progress['total']:,}"]
    if progress["rate_per_s"]:
        parts.append(f"{progress['rate_per_s']:.0f} images/s")
    if progress["remaining_s"]:
        parts.append(f"{span(progress['remaining_s'])} left")
    if progress["failed"]:
        parts.append(f"{progress['failed']:,} unusable")
    return " · ".join(parts)


def _follow(change: Changing, job: JobView) -> JobView:
    """The job when it is finished; Ctrl-C cancels it and waits for that."""
    with live_line() as show:
        while not job["is_finished"]:
            try:
                show(progress_line(job["progress"]))
                time.sleep(POLL_S)
                job = change.job(job["id"])
            except KeyboardInterrupt:
                change.cancel(job["id"])
            except StoreBusy as error:
                raise StoreBusy(
                    "The server that does this stopped meanwhile. What is indexed is kept, and it goes on with the "
                    "rest as soon as `index` or `ui` is run again."
                ) from error
    return job


def _sum_up(job: JobView) -> None:
    name = job["collection"]
    progress = job["progress"] or {}
    counts = {"added or changed": "indexed", "unchanged": "unchanged", "moved": "moved", "unusable": "failed"}
    said = ", ".join(f"{progress[field]:,} {word}" for word, field in counts.items() if progress.get(field))
    typer.echo(f'"{name}": {said or "nothing to do"}.')
    if job["gone_count"] and not job["removed"]:
        typer.echo(f"{job['gone_count']:,} are no longer where they were; --prune removes them.")
    if job["removed"]:
        typer.echo(f"{job['removed']:,} that are no longer there were removed.")
    for failure in job["failures"][:FAILURES_SHOWN]:
        typer.echo(f"  {plain(failure['uri'])}: {plain(failure['message'])}", err=True)
    if progress.get("failed", 0) > FAILURES_SHOWN:
        typer.echo(f"  and {progress['failed'] - FAILURES_SHOWN:,} more, listed in the page's Library.", err=True)
    if job["state"] == "cancelled":
        typer.echo("Stopped; what was indexed is kept, and the same command goes on.")
    elif progress.get("indexed"):
        typer.echo(f'Find them: python app.py search "a red boat" --collection "{name}"')
