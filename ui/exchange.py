"""What `ui` and `serve` do alike with a request: take a query in, send a reply out, say whether they are ready."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ui.api_errors import NotReady
from ui.api_query import Body, Reply
from ui.bodies import content_type, read_body
from ui.service import Service
from ui.telemetry import note_steps


async def query_body(request: Request, service: Service) -> Body:
    data = await read_body(request, service.limits.query_bytes)
    accepted = (entry.partition(";")[0].strip() for entry in request.headers.get("accept", "").split(","))
    return Body(data, content_type(request), request.query_params, wants_csv="text/csv" in accepted)


def reply_response(request: Request, reply: Reply) -> Response:
    note_steps(request.scope, reply.steps_ms)
    return Response(reply.body, media_type=reply.type)


def ready_response(service: Service) -> Response:
    if not service.readiness.is_ready:
        raise NotReady(f"Not ready: {service.readiness.reason}.")
    return JSONResponse({"ready": True})
