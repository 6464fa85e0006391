"""The route that takes marks: what people did with the images that a search found."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from search.errors import BadQuery
from ui.api_errors import ERROR_ANSWERS
from ui.api_library import texts
from ui.api_query import collection_name
from ui.bodies import openapi_body, read_json
from ui.events import ACTIONS, Mark
from ui.service import JSON_BYTES, service_of

LONGEST = 200  # characters of an id

router = APIRouter(responses=ERROR_ANSWERS)


@router.post(
    "/api/marks",
    status_code=202,
    summary="Notes what was done with an image that a search found, where SIGHTLINE_EVENTS is set.",
    description="`request_id` is the header X-Request-Id of the search's answer.",
    openapi_extra=openapi_body({"application/json": {"id": "an item's id", "action": "open", "request_id": "…"}}),
)
async def mark(request: Request) -> Response:
    events = service_of(request).events
    given = texts(
        await read_json(request, JSON_BYTES), required=("id", "action"), optional=("request_id", "collection")
    )
    if given["action"] not in ACTIONS:
        raise BadQuery(f'"action" is one of {", ".join(ACTIONS)}.')
    for name in ("id", "request_id"):
        if len(given.get(name, "")) > LONGEST:
            raise BadQuery(f'"{name}" has at most {LONGEST} characters.')
    if not given["id"]:
        raise BadQuery('The request needs "id", a text.')
    collection = collection_name(given.get("collection") or None) or ""
    if events is not None:
        events.marked(Mark(given["id"], given["action"], given.get("request_id", ""), collection))
    return JSONResponse({"kept": events is not None}, status_code=202)
