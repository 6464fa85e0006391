"""The routes that say which models there are and what one would cost, fetch one, measure one, and make a collection."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from search.choices import RECALL_ADDRESS, RECALL_SOURCE, SKETCH_ADDRESS, SKETCH_SOURCE, ModelChoice
from search.errors import BadQuery, ModelNotDownloaded, ModelNotFound, ReadOnly
from search.models import ModelState
from search.speeds import SpeedTest
from search.workspace import Workspace
from ui.api_errors import ERROR_ANSWERS
from ui.bodies import openapi_body, read_json
from ui.service import JSON_BYTES, check_change, service_of

SOURCES = {
    "recall": {"name": RECALL_SOURCE, "address": RECALL_ADDRESS},
    "sketch": {"name": SKETCH_SOURCE, "address": SKETCH_ADDRESS},
}
_LONGEST_NAME = 4096

router = APIRouter(responses=ERROR_ANSWERS)


@router.get(
    "/api/models",
    summary="The models for new collections, those that were fetched, and the downloads of late.",
    description="`state` is ready, needs_export (the first use takes minutes), needs_download or unknown; "
    "`missing_bytes` is null where the hub must be asked first, `needs_full` true where `make full` must be run "
    "or, in a container, the image's target `full` used. "
    "`speed` was measured on this machine, null where it was not; `recall_en`, `recall_de` and `sketch` are what "
    "others published, null where they did not. `loading` is the stage of a model that is on its way into memory. "
    "`makings` are the collections that are being made.",
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
        {"application/json": {"model": "onnx:immich-app/ViT-B-32__laion2b-s34b-b79k", "download": False}}
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


@router.delete(
    "/api/models",
    summary="Cancels a model's download; what came is kept for the next one.",
    dependencies=[Depends(check_change)],  # before FastAPI looks at the name
)
async def cancel_download(
    request: Request, model: Annotated[str, Query(description="Its name.", max_length=_LONGEST_NAME)]
) -> Response:
    service = service_of(request)
    return JSONResponse({"download": asdict(service.workspace.cancel_fetch(model))})


@router.post(
    "/api/models/speed",
    status_code=202,
    summary="Measures a model that is here for five seconds, beside the searches; GET /api/models has the result.",
    openapi_extra=openapi_body({"application/json": {"model": "pocket"}}),
)
async def measure_speed(request: Request) -> Response:
    check_change(request)
    service = service_of(request)
    name = _name(await read_json(request, JSON_BYTES), known=("model",))
    return JSONResponse({"speed_test": asdict(await service.changes.run(_measure, service.workspace, name))}, 202)


@router.post(
    "/api/models/remove",
    summary="Removes a model that was fetched and that no collection was made with.",
    description="`kept_bytes` stay in the hub's cache, where other programs may use them.",
    openapi_extra=openapi_body({"application/json": {"model": "onnx:immich-app/ViT-B-32__laion2b-s34b-b79k"}}),
)
async def remove_model(request: Request) -> Response:
    check_change(request)
    service = service_of(request)
    name = _name(await read_json(request, JSON_BYTES), known=("model",))
    return JSONResponse(asdict(await service.changes.run(service.workspace.remove_model, name)))


@router.post(
    "/api/makings",
    status_code=202,
    summary="Makes a collection in the background: its model is downloaded (with download true) and loaded first.",
    openapi_extra=openapi_body(
        {
            "application/json": {
                "name": "photographs",
                "model": "onnx:immich-app/ViT-B-32__laion2b-s34b-b79k",
                "download": True,
            }
        }
    ),
)
async def start_making(request: Request) -> Response:
    check_change(request)
    service = service_of(request)
    body = await read_json(request, JSON_BYTES)
    download = _flag(body, "download")
    model = _name(body, known=("model", "name", "download"))
    name = body.get("name")
    if not isinstance(name, str):
        raise BadQuery('The request needs "name", the collection\'s.')
    making = await service.changes.run(service.workspace.makings.start, name, model=model, download=download)
    return JSONResponse({"making": asdict(making)}, status_code=202)


@router.delete("/api/makings/{name}", summary="Cancels it, or forgets one that has ended; what came is kept.")
async def cancel_making(request: Request, name: str) -> Response:
    check_change(request)
    return JSONResponse({"making": asdict(service_of(request).workspace.makings.cancel(name))})


def models_json(workspace: Workspace) -> dict[str, object]:
    """Each model once: the choices first, then what else is here, or a collection was made with, or is."""
    choices = {choice.name: choice for choice in workspace.models()}
    used: dict[str, list[str]] = {}
    for info in workspace.library.list():
        used.setdefault(info.model, []).append(info.name)
    makings = workspace.makings.list()
    named = {*used, *(making.model for making in makings if not making.is_finished)} - choices.keys()
    states = {name: workspace.model(name) for name in choices}
    states |= {state.name: state for state in workspace.fetched_models(beside={*choices, *named})}
    states |= {name: workspace.model(name) for name in sorted(named)}
    test = workspace.speeds.test if workspace.speeds else None
    return {
        "models": [
            {**_model_json(workspace, state, choices.get(name)), "collections": used.get(name, [])}
            for name, state in states.items()
        ],
        "downloads": [asdict(download) for download in workspace.downloads()],
        "makings": [asdict(making) for making in makings],
        "speed_test": asdict(test) if test else None,
        "machine": workspace.speeds.machine if workspace.speeds else "",
        "sources": SOURCES,
    }


def _model_json(workspace: Workspace, state: ModelState, choice: ModelChoice | None) -> dict[str, object]:
    loading = workspace.encoders.loading(state.name)
    told = {
        **asdict(state),
        "is_loaded": workspace.encoders.is_loaded(state.name),
        "loading": {"stage": loading.stage, "since_s": loading.since_s} if loading else None,
        "warning": workspace.encoders.warning(state.name),
        "speed": workspace.speed(state.name),
        "is_choice": choice is not None,
    }
    if choice is None:
        return told
    told |= {"title": choice.title, "about": choice.note, "languages": choice.languages}
    told |= {"about_bytes": choice.about_bytes, "memory_bytes": choice.memory_bytes}
    return told | {"recall_en": choice.recall_en, "recall_de": choice.recall_de, "sketch": choice.sketch}


def _measure(workspace: Workspace, name: str) -> SpeedTest:
    """Raises: ReadOnly, ModelNotFound, ModelError, Busy."""
    state = workspace.model(name)
    if state.state == "unknown":
        raise ModelNotFound(state.note or f'There is no model "{name[:64]}" here.')
    if state.state in ("needs_download", "needs_export"):
        raise ModelNotDownloaded(f'"{state.name}" is not ready to be measured: {state.note}', name=state.name)
    if workspace.speeds is None:
        raise ReadOnly("This server measures no models.")
    return workspace.speeds.start(name)


def _asked(body: Mapping[str, object]) -> tuple[str, bool]:
    """Raises: BadQuery."""
    return _name(body, known=("model", "download")), _flag(body, "download")


def _name(body: Mapping[str, object], *, known: tuple[str, ...]) -> str:
    """The model's. Raises: BadQuery."""
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise BadQuery(f'The request has a field "{unknown[0][:40]}"; known are {", ".join(known)}.')
    name = body.get("model")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise BadQuery('The request needs "model", a model\'s name.')
    return name


def _flag(body: Mapping[str, object], field: str) -> bool:
    value = body.get(field, False)
    if not isinstance(value, bool):
        raise BadQuery(f'"{field}" must be true or false.')
    return value
