"""One indexing job run to its end: its sources in turn, and what comes of it; queues and keeps no job."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from search.engine import SearchEngine
from search.errors import CollectionNotFound, SearchError
from search.images.decoder import Decoder
from search.indexing import Report, index
from search.job import Job, JobSpec, State
from search.progress import Progress
from search.types import Collection, Source

log = logging.getLogger(__name__)

MOST_GONE = 1_000
MOST_FAILURES = 100  # told with a job; the collection lists all


def run_job(
    job: Job,
    *,
    open_collection: Callable[[str], Collection],
    open_engine: Callable[[str], SearchEngine],
    open_sources: Callable[[JobSpec, Collection], Sequence[Source]],
    decoder: Decoder,
    cancelled: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> dict[str, Any]:
    """What changes in the job by being run; errors are part of that."""
    try:
        engine = open_engine(job.spec.collection)
        sources = open_sources(job.spec, engine.collection)
        report = _index_all(sources, engine, decoder, prune=job.spec.prune, cancelled=cancelled, progress=progress)
    except SearchError as error:
        if _is_deleted(job.spec.collection, open_collection):
            log.info("job=%s state=cancelled collection=deleted", job.id)
            said = f"The collection {job.spec.collection!r} was deleted."
            return {"state": "cancelled", "error": said, "error_code": CollectionNotFound.code}
        log.warning("job=%s state=failed code=%s reason=%r", job.id, error.code, str(error))
        return {"state": "failed", "error": str(error), "error_code": error.code}
    except Exception:
        log.exception("job=%s state=failed", job.id)
        return {"state": "failed", "error": "A defect stopped it; the log says more.", "error_code": "error"}
    state: State = "cancelled" if report.cancelled else "done"
    log.info(
        "job=%s state=%s indexed=%d unchanged=%d moved=%d failed=%d gone=%d removed=%d seconds=%.1f",
        *(job.id, state, report.indexed, report.unchanged, report.moved, len(report.failures)),
        *(len(report.gone), report.removed, report.seconds),
    )
    return {
        "state": state,
        "gone": report.gone[:MOST_GONE],
        "gone_count": len(report.gone),
        "removed": report.removed,
        "failures": report.failures[:MOST_FAILURES],
    }


def _index_all(
    sources: Sequence[Source],
    engine: SearchEngine,
    decoder: Decoder,
    *,
    prune: bool,
    cancelled: Callable[[], bool],
    progress: Callable[[Progress], None],
) -> Report:
    report = Report()
    before: Progress | None = None  # of the sources that are done
    latest: Progress | None = None

    def tell(now: Progress) -> None:
        nonlocal latest
        latest = now if before is None else _sum(before, now)
        progress(latest)

    for source in sources:
        report = report.plus(
            index(
                engine.collection,
                engine.encoder,
                decoder,
                source,
                progress=tell,
                cancelled=cancelled,
                prune=prune,
            )
        )
        before = latest
        if report.cancelled:
            break
    return report


def _is_deleted(collection: str, open_collection: Callable[[str], Collection]) -> bool:
    try:
        open_collection(collection)
    except CollectionNotFound:
        return True
    except SearchError:
        return False
    return False


def _sum(before: Progress, now: Progress) -> Progress:
    """Of a job's sources so far; rate and remaining time are those of the one that runs."""
    return replace(
        now,
        total=before.total + now.total,
        done=before.done + now.done,
        indexed=before.indexed + now.indexed,
        unchanged=before.unchanged + now.unchanged,
        moved=before.moved + now.moved,
        failed=before.failed + now.failed,
    )
