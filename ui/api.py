"""The routes that everybody may use: search, embed, pictures, health; what they answer is made elsewhere."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from search.errors import ItemNotFound, SourceError
from search.types import Collection, Record
from ui import api_query
from ui.api_errors import ERROR_ANSWERS
from ui.bodies import content_type, openapi_body, read_body, read_json
from ui.docs_page import docs_html
from ui.exchange import batch_reply, metrics_response, query_body, ready_response, reply_response, workers_for
from ui.picture_urls import thumb_url
from ui.service import Service, service_of

FOR_GOOD = "private, max-age=31536000, immutable"  # the address names the content
FOR_A_MINUTE = "private, max-age=60"

ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

CollectionName = Annotated[str | None, Query(description="The collection; without it the default one.")]
Version = Annotated[str | None, Query(description="Of the content: an answer to it may be kept for good.")]

_SEARCH_EXAMPLE = {
    "query": [{"text": "boat"}, {"id": "an item's id", "weight": 0.7}, {"text": "people", "weight": -0.5}],
    "top_k": 20,
    "where": {"year": {"gte": 2020}},
}

router = APIRouter(responses=ERROR_ANSWERS)


@router.get("/healthz", summary="Whether the process is alive.")
async def healthz() -> Response:
    return JSONResponse({"alive": True})


@router.get("/ping", summary="Whether it has made a real embedding and a real search lately.")
async def ping(request: Request) -> Response:
    return ready_response(service_of(request))


@router.get("/metrics", summary="Counts and times of this process, in Prometheus' text form.")
async def metrics(request: Request) -> Response:
    return metrics_response(service_of(request))


@router.post(
    "/api/search",
    summary="The images that fit words, pictures, items of the collection, or all of these.",
    description="A string is parsed as on the page; a list is literal. A text or a picture can be the whole body, with "
    "top_k, offset and collection in the address.\n\nAccept: text/csv gives rows. application/jsonlines is many "
    "requests, one a line: one line answers each, in order, an error too.",
    openapi_extra=openapi_body(
        {
            "application/json": _SEARCH_EXAMPLE,
            "application/jsonlines": '{"query": "a red boat"}\n{"query": "a cat", "top_k": 5}\n',
            "text/plain": "a red boat -people",
            "image/jpeg": "",
        }
    ),
)
async def search(request: Request) -> Response:
    service = service_of(request)
    body = await query_body(request, service)
    address = partial(_thumb_url, service.front.root_path)
    if body.type == api_query.LINES_TYPE:
        reply = await batch_reply(request, service, body, read=api_query.read_search, thumb_url=address)
    else:
        workers = workers_for(service, body)
        reply = await workers.run(api_query.search, service.workspace, body, thumb_url=address)
    return reply_response(request, reply)


@router.post(
    "/api/embed",
    summary="The embeddings of texts and pictures (base64).",
    openapi_extra=openapi_body({"application/json": {"texts": ["a red boat"], "images": [], "collection": "gallery"}}),
)
async def embed(request: Request) -> Response:
    service = service_of(request)
    body = await read_json(request, service.limits.query_bytes)
    workers = service.examples if body.get("images") else service.searches
    return reply_response(request, await workers.run(api_query.embed, service.workspace, body))


@router.get("/thumb/{id}", summary="An image's thumbnail, WebP.")
async def thumb(request: Request, id: str, collection: CollectionName = None, v: Version = None) -> Response:
    service = service_of(request)
    data = await service.pictures.run(_thumbnail, service, id, collection)
    return _picture(request, data, "image/webp", for_good=v is not None)


@router.get("/image/{id}", summary="An image, upright, re-encoded and stripped of all that is not pixels; WebP.")
async def image(
    request: Request,
    id: str,
    px: Annotated[int, Query(ge=16, le=4096, description="The longest side.")] = 1600,
    collection: CollectionName = None,
    v: Version = None,
) -> Response:
    service = service_of(request)
    data = await service.pictures.run(_image, service, id, collection, px)
    return _picture(request, data, "image/webp", for_good=v is not None)


@router.post(
    "/api/query-images",
    summary="Holds a picture for queries, which then name it by its hash.",
    openapi_extra=openapi_body({"image/jpeg": ""}),
)
async def keep_query_image(request: Request, collection: CollectionName = None) -> Response:
    service = service_of(request)
    api_query.check_type(content_type(request), api_query.IMAGE_TYPES)
    data = await read_body(request, service.limits.image_bytes)
    kept = await service.examples.run(service.workspace.keep_image, data, name="The picture", collection=collection)
    thumb = f"data:image/webp;base64,{b64encode(kept.thumbnail).decode()}"
    return JSONResponse({"hash": kept.hash, "thumb": thumb, "width": kept.width, "height": kept.height})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    return HTMLResponse(docs_html(request.app.openapi()))


async def nowhere(request: Request) -> Response:
    """For what is no route under /api/: typed, instead of the page's answer."""
    if allowed := methods_at(request.app.routes, request.scope):
        raise HTTPException(405, headers={"allow": ", ".join(allowed)})
    raise HTTPException(404)


def methods_at(routes: Sequence[BaseRoute], scope: Scope) -> list[str]:
    """Those by which an address can be asked for; none where nothing is there."""
    real = [r for r in routes if not isinstance(r, Mount) and getattr(r, "endpoint", None) is not nowhere]
    return [
        method
        for method in ANY_METHOD
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in real)
    ]


def _thumb_url(root_path: str, collection: str, record: Record) -> str:
    return f"{root_path}/{thumb_url(collection, record)}"


def _collection(service: Service, name: str | None) -> Collection:
    return service.workspace.open(api_query.collection_name(name))


def _thumbnail(service: Service, id: str, collection: str | None) -> bytes:
    """The one that is kept; where it was lost, made of the original."""
    from search.images.thumbnail import THUMB_PX

    data = _collection(service, collection).thumbnail(id)
    return _image(service, id, collection, THUMB_PX) if data is None else data


def _image(service: Service, id: str, collection: str | None, px: int) -> bytes:
    try:
        with _collection(service, collection).original(id) as original:
            data = original.read(service.limits.image_bytes + 1)  # the decoder says that one more is too large
    except SourceError as error:
        raise ItemNotFound(str(error)) from error
    return service.workspace.decoder.reencode(data, px=px)


def _picture(request: Request, data: bytes, media_type: str, *, for_good: bool) -> Response:
    tag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    headers = {"cache-control": FOR_GOOD if for_good else FOR_A_MINUTE, "etag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)
