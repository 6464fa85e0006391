"""The routes that list, make and delete collections."""

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from search.errors import BadQuery, CollectionNotFound
from search.types import CopyState
from search.workspace import Summary, Workspace
from ui.api_errors import ERROR_ANSWERS
from ui.api_query import collection_name
from ui.bodies import read_json
from ui.service import JSON_BYTES, check_change, service_of, why_no_change

router = APIRouter(responses=ERROR_ANSWERS)


@router.get("/api/collections", summary="The collections, the models for new ones, and what the caller may do.")
async def list_collections(request: Request) -> Response:
    service = service_of(request)
    workspace = service.workspace
    summaries = await service.pictures.run(workspace.collections)
    why_not = why_no_change(request)
    return JSONResponse(
        {
            "collections": [summary_json(summary) for summary in summaries],
            "default": workspace.default,
            "models": [{"name": m.name, "title": m.title, "note": m.note} for m in workspace.models()],
            "may_change": why_not is None,
            "why_not": why_not,
            "copy": copy_json(workspace.library.copy_state),
            "limits": {"image_bytes": service.limits.image_bytes, "upload_bytes": service.limits.upload_bytes},
        }
    )


@router.get("/api/collections/{name}", summary="One collection, its fields for filters, its unusable files.")
async def show_collection(request: Request, name: str) -> Response:
    service = service_of(request)
    return JSONResponse(await service.pictures.run(_collection_json, service.workspace, name))


@router.post("/api/collections", status_code=201, summary="Makes an empty collection for one model.")
async def create_collection(request: Request) -> Response:
    check_change(request)
    service = service_of(request)
    wanted = texts(await read_json(request, JSON_BYTES), required=("name", "model"), optional=("description",))
    info = await service.changes.run(
        service.workspace.create, wanted["name"], model=wanted["model"], description=wanted.get("description", "")
    )
    return JSONResponse({"name": info.name, "model": info.model, "fingerprint": info.fingerprint}, status_code=201)


@router.delete("/api/collections/{name}", summary="Deletes a collection; originals left in place stay where they are.")
async def delete_collection(request: Request, name: str) -> Response:
    check_change(request)
    service = service_of(request)
    await service.changes.run(service.workspace.delete, name)
    return JSONResponse({"deleted": name})


def texts(body: Mapping[str, object], *, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, str]:
    """The body's fields, all of them texts. Raises: BadQuery."""
    for name in body:
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise BadQuery(f'The request has a field "{name[:40]}"; known are {known}.')
    for name in required:
        if body.get(name) is None:
            raise BadQuery(f'The request needs "{name}", a text.')
    checked = {name: value for name, value in body.items() if isinstance(value, str) and len(value) <= 2_000}
    for name in body:
        if name not in checked:
            raise BadQuery(f'"{name}" must be a text of at most 2,000 characters.')
    return checked


def summary_json(summary: Summary) -> dict[str, object]:
    info = summary.info
    return {
        "name": info.name,
        "model": info.model,
        "fingerprint": info.fingerprint,
        "dim": info.dim,
        "count": summary.count,
        "created_at": info.created_at,
        "read_only": info.read_only,
        "description": info.description,
        "note": summary.note,
        "health": dict(summary.health),
    }


def copy_json(state: CopyState | None) -> dict[str, object] | None:
    """How far the copy elsewhere is behind; None where there is none."""
    if state is None:
        return None
    return {"to": state.place, "copied_at": state.copied_at, "age_s": state.age_s, "problem": state.problem}


def _collection_json(workspace: Workspace, name: str) -> dict[str, object]:
    collection = workspace.library.open(collection_name(name) or "")
    summary = next((summary for summary in workspace.collections() if summary.info.name == name), None)
    if summary is None:  # deleted meanwhile
        raise CollectionNotFound(f"There is no collection {name[:64]!r}.")
    failures = [{"uri": f.uri, "code": f.code, "message": f.message} for f in collection.failures()]
    return {**summary_json(summary), "fields": collection.fields(), "failures": failures}
