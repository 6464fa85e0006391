"""The routes that bring images in: uploads, folders in place, and the jobs that index them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.requests import Request

from search.errors import BadQuery, ImageTooLarge, NotAllowed, ReadOnly, SearchError
from search.job import Job, JobSpec, keep_archive
from search.jobs import Jobs
from search.types import ZIP_STARTS, SentArchive, Upload
from search.workspace import Workspace
from ui.access import caller_of
from ui.api_errors import ERROR_ANSWERS, UnsupportedType
from ui.api_query import collection_name
from ui.bodies import content_type, limited, openapi_body, read_json
from ui.job_view import job_json
from ui.service import JSON_BYTES, Service, check_change, service_of

MAX_FILES = 1_000  # in one upload; an archive or a folder in place takes more
MAX_PATHS = 100

_LONGEST_NAME = 255  # characters

router = APIRouter(responses=ERROR_ANSWERS)


@router.post(
    "/api/images",
    status_code=202,
    summary="Adds uploaded images and zip archives to a collection; they are kept when this is answered.",
    description=f"At most {MAX_FILES} files. The job indexes them; `refused` names those that were not taken.",
    openapi_extra=openapi_body({"multipart/form-data": {"file": "(the image's bytes)"}}),
    dependencies=[Depends(check_change)],  # before FastAPI looks at the collection
)
async def add_images(request: Request, collection: str) -> Response:
    service = service_of(request)
    if content_type(request) != "multipart/form-data":
        raise UnsupportedType("Send the images as multipart/form-data, each as a file.")
    async with limited(request, service.limits.upload_bytes).form(max_files=MAX_FILES, max_fields=10) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        answer = await service.changes.run(_take, service, files, collection)
    return JSONResponse(answer, status_code=202)


@router.post(
    "/api/jobs",
    status_code=202,
    summary="Indexes folders, files and archives of the server's machine, or s3://bucket/prefix, in place.",
    openapi_extra=openapi_body(
        {"application/json": {"paths": ["/home/me/photos"], "collection": "photos", "prune": False}}
    ),
)
async def start_job(request: Request) -> Response:
    check_change(request)
    service = service_of(request)
    body = await read_json(request, JSON_BYTES)
    unknown = sorted(set(body) - {"paths", "collection", "prune"})
    if unknown:
        raise BadQuery(f'The request has a field "{unknown[0][:40]}"; known are paths, collection, prune.')
    prune = body.get("prune", False)
    if not isinstance(prune, bool):
        raise BadQuery('"prune" must be true or false.')
    name = collection_name(body.get("collection"))
    if name is None:
        raise BadQuery('The request needs "collection", the name of the collection to add to.')
    spec = JobSpec(name, paths=_paths(request, service, body.get("paths")), prune=prune)
    job = await service.changes.run(_jobs(service.workspace).submit, spec)
    return JSONResponse({"job": job.id}, status_code=202)


@router.get(
    "/api/jobs", summary="The jobs there are, newest first; one is superseded where a newer one indexes the same."
)
async def list_jobs(request: Request) -> Response:
    kept = service_of(request).workspace.jobs
    jobs = kept.list() if kept else []
    return JSONResponse(
        {
            "jobs": [
                {**job_json(job), "is_superseded": any(newer.spec == job.spec for newer in jobs[:at])}
                for at, job in enumerate(jobs)
            ]
        }
    )


@router.get("/api/jobs/{id}", summary="How far a job is.")
async def show_job(request: Request, id: str) -> Response:
    return JSONResponse(job_json(_jobs(service_of(request).workspace).get(id)))


@router.delete("/api/jobs/{id}", summary="Cancels a job; what it has indexed stays.")
async def cancel_job(request: Request, id: str) -> Response:
    check_change(request)
    service = service_of(request)
    job: Job = await service.changes.run(_jobs(service.workspace).cancel, id)
    return JSONResponse(job_json(job))


@router.post(
    "/api/jobs/{id}/resume",
    status_code=202,
    summary="Goes on with a job that failed or was cancelled or interrupted; what it has indexed is not done again.",
)
async def resume_job(request: Request, id: str) -> Response:
    check_change(request)
    service = service_of(request)
    job: Job = await service.changes.run(_jobs(service.workspace).resume, id)
    return JSONResponse(job_json(job), status_code=202)


@dataclass(frozen=True, slots=True)
class _Taken:
    uploads: tuple[Upload, ...]
    refused: tuple[tuple[str, SearchError], ...]


def _take(service: Service, files: Sequence[UploadFile], collection: str) -> dict[str, object]:
    """Keeps the files and starts the job that indexes them. Raises: the first file's error where none is usable."""
    jobs = _jobs(service.workspace)
    name = collection_name(collection) or ""
    service.workspace.library.open(name)  # before anything is kept for a collection that is none
    archives: list[SentArchive] = []
    with jobs.taking:
        try:
            taken = _keep(service, jobs, files, archives)
            if not taken.uploads and not archives:
                raise (
                    taken.refused[0][1]
                    if taken.refused
                    else BadQuery("The request holds no file: attach at least one.")
                )
            job = jobs.submit(JobSpec(name, uploads=taken.uploads, archives=tuple(archives)))
        except BaseException:  # no job will need what was kept
            for archive in archives:
                Path(archive.path).unlink(missing_ok=True)
            jobs.tidy()
            raise
    refused = [{"name": name, "code": error.code, "message": str(error)} for name, error in taken.refused]
    return {"job": job.id, "refused": refused}


def _keep(service: Service, jobs: Jobs, files: Sequence[UploadFile], archives: list[SentArchive]) -> _Taken:
    """Archives are added to those given, so that they are known whatever happens to the next file."""
    uploads: list[Upload] = []
    refused: list[tuple[str, SearchError]] = []
    for number, file in enumerate(files, 1):
        name = _name(file.filename or f"file {number}")
        if file.file.read(4) in ZIP_STARTS:
            archives.append(SentArchive(keep_archive(file.file, jobs.incoming), name))
            continue
        try:
            service.workspace.decoder.check_size(file.size or 0, name=name)
        except ImageTooLarge as error:
            refused.append((name, error))
            continue
        file.file.seek(0)
        uploads.append(Upload(service.workspace.library.keep_upload(file.file.read(), Path(name).suffix), name))
    return _Taken(tuple(uploads), tuple(refused))


def _paths(request: Request, service: Service, value: object) -> tuple[str, ...]:
    """Absolute paths and addresses in S3 that the caller may name. Raises: BadQuery, NotAllowed."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_PATHS:
        raise BadQuery(f'"paths" must be a list of 1 to {MAX_PATHS} paths.')
    caller = caller_of(request.scope)
    paths = []
    for entry in value:
        if not isinstance(entry, str) or "\0" in entry or len(entry) > 4_096:
            raise BadQuery('Each of "paths" must be a text of at most 4,096 characters.')
        in_s3 = entry.startswith("s3://")
        if not in_s3 and not Path(entry).is_absolute():
            raise BadQuery('Each of "paths" must be an absolute path, such as /home/me/photos, or s3://bucket/prefix.')
        access = service.access
        if not (access.may_name_address(caller, entry) if in_s3 else access.may_name_path(caller, Path(entry))):
            raise NotAllowed("That path may not be indexed from another machine: SIGHTLINE_SOURCES lists what may be.")
        paths.append(entry)
    return tuple(paths)


def _jobs(workspace: Workspace) -> Jobs:
    if workspace.jobs is None:
        raise ReadOnly("This server only reads its data folder: nothing can be added through it.")
    return workspace.jobs


def _name(sent: str) -> str:
    """A file name as text that can be kept; what is hostile in it is shown escaped, wherever it is shown."""
    return sent.replace("\\", "/").replace("\0", "")[-_LONGEST_NAME:].encode("utf-8", "replace").decode()
