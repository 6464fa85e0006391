"""What `ui` and `serve` do alike with a request: take a query in, send a reply out, say whether they are ready."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ui.api_errors import NotReady
from ui.api_query import IMAGE_TYPES, QUERY_TYPES, Body, Reply, check_type
from ui.bodies import content_type, read_body
from ui.service import Service
from ui.telemetry import note_steps
from ui.workers import Workers


async def query_body(request: Request, service: Service) -> Body:
    check_type(content_type(request), QUERY_TYPES)
    data = await read_body(request, service.limits.query_bytes)
    accepted = (entry.partition(";")[0].strip() for entry in request.headers.get("accept", "").split(","))
    return Body(data, content_type(request), request.query_params, wants_csv="text/csv" in accepted)


def workers_for(service: Service, body: Body) -> Workers:
    """What may hold a picture is not decoded where words are searched for; an escape may spell anything."""
    may_hold_picture = body.type in IMAGE_TYPES or b"image" in body.data or b"\\" in body.data
    return service.examples if may_hold_picture else service.searches


def reply_response(request: Request, reply: Reply) -> Response:
    note_steps(request.scope, reply.steps_ms)
    return Response(reply.body, media_type=reply.type)


def ready_response(service: Service) -> Response:
    if not service.readiness.is_ready:
        raise NotReady(f"Not ready: {service.readiness.reason}.")
    return JSONResponse({"ready": True})
