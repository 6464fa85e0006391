"""What an indexing job is over HTTP and in a shell; it names no path of this machine."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from search.job import Job

JobView = Mapping[str, Any]


def job_json(job: Job) -> dict[str, object]:
    return {
        "id": job.id,
        "collection": job.spec.collection,
        "state": job.state,
        "is_finished": job.is_finished,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "progress": asdict(job.progress) if job.progress else None,
        "gone": list(job.gone),
        "gone_count": job.gone_count,
        "removed": job.removed,
        "failures": [asdict(failure) for failure in job.failures],
        "error": {"code": job.error_code, "message": job.error} if job.error else None,
    }
