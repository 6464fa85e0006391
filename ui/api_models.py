"""The routes that say which models there are, what one would cost to fetch, and that fetch it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from search.errors import BadQuery
from search.workspace import Workspace
from ui.api_errors import ERROR_ANSWERS
from ui.bodies import openapi_body, read_json
from ui.service import JSON_BYTES, check_change, service_of

_LONGEST_NAME = 4096

router = APIRouter(responses=ERROR_ANSWERS)


@router.get(
    "/api/models",
    summary="The models for new collections, those that were fetched, and the downloads of late.",
    description="`state` is ready, needs_export (the first use takes minutes), needs_download or unknown. "
    "`missing_bytes` is null where the hub must be asked first.",
)
async def list_models(request: Request) -> Response:
    service = service_of(request)
    return JSONResponse(await service.pictures.run(models_json, service.workspace))


@router.post(
    "/api/models",
    summary="What a model's name would download; with download true it starts (202).",
    description="Names: pocket, a folder, architecture/pretrained (ViT-B-32/laion2b_s34b_b79k), hf-hub:owner/name, "
    "onnx:owner/name (no torch needed). Without `download` the hub is asked for sizes and nothing is fetched. "
    "GET /api/models shows how far a download is.",
    openapi_extra=openapi_body(
        {"application/json": {"model": "onnx:immich-app/ViT-B-32__laion2b_s34b_b79k", "download": False}}
    ),
)
async def ask_for_model(request: Request) -> Response:
    check_change(request)
    service = service_of(request)
    name, download = _asked(await read_json(request, JSON_BYTES))
    if download:
        started = await service.changes.run(service.workspace.fetch, name)
        return JSONResponse({"download": asdict(started)}, status_code=202)
    return JSONResponse(asdict(await service.changes.run(service.workspace.model, name, look_up=True)))


@router.delete("/api/models", summary="Cancels a model's download; what came is kept for the next one.")
async def cancel_download(
    request: Request, model: Annotated[str, Query(description="Its name.", max_length=_LONGEST_NAME)]
) -> Response:
    check_change(request)
    service = service_of(request)
    return JSONResponse({"download": asdict(service.workspace.cancel_fetch(model))})


def models_json(workspace: Workspace) -> dict[str, object]:
    """Each model once: the choices first, then what else is here."""
    choices = {choice.name: {"title": choice.title, "about": choice.note} for choice in workspace.models()}
    states = {name: workspace.model(name) for name in choices}
    states |= {state.name: state for state in workspace.fetched_models() if state.name not in states}
    return {
        "models": [{**asdict(state), **choices.get(name, {})} for name, state in states.items()],
        "downloads": [asdict(download) for download in workspace.downloads()],
    }


def _asked(body: Mapping[str, object]) -> tuple[str, bool]:
    """Raises: BadQuery."""
    unknown = sorted(set(body) - {"model", "download"})
    if unknown:
        raise BadQuery(f'The request has a field "{unknown[0][:40]}"; known are model, download.')
    name, download = body.get("model"), body.get("download", False)
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise BadQuery('The request needs "model", a model\'s name.')
    if not isinstance(download, bool):
        raise BadQuery('"download" must be true or false.')
    return name, download
