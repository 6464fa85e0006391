"""What `ui` and `serve` do alike with a request: take a query in, send a reply out, say whether they are ready."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from search import shipped_item
from ui.api_errors import NotReady
from ui.api_query import IMAGE_TYPES, LINES_TYPE, QUERY_TYPES, Body, Reply, check_type
from ui.batches import BATCH_BYTES, Read, answer_lines
from ui.bodies import content_type, read_body
from ui.picture_urls import ThumbUrl
from ui.service import Service
from ui.telemetry import note_work, request_id
from ui.workers import Workers


async def query_body(request: Request, service: Service) -> Body:
    check_type(content_type(request), QUERY_TYPES)
    most_bytes = service.limits.query_bytes
    if content_type(request) == LINES_TYPE:
        most_bytes = min(most_bytes, BATCH_BYTES)
    data = await read_body(request, most_bytes)
    accepted = (entry.partition(";")[0].strip() for entry in request.headers.get("accept", "").split(","))
    wanted = set(accepted)
    csv, item = "text/csv" in wanted, shipped_item.TYPE in wanted
    return Body(data, content_type(request), request.query_params, wants_csv=csv, wants_item=item)


def workers_for(service: Service, body: Body) -> Workers:
    """What may hold a picture is not decoded where words are searched for; an escape may spell anything."""
    may_hold_picture = body.type in IMAGE_TYPES or b"image" in body.data or b"\\" in body.data
    return service.examples if may_hold_picture else service.searches


async def batch_reply(request: Request, service: Service, body: Body, *, read: Read, thumb_url: ThumbUrl) -> Reply:
    return await service.batches.run(
        answer_lines,
        service.workspace,
        body.data,
        read=read,
        thumb_url=thumb_url,
        limits=service.limits.batch,
        request_id=request_id(request.scope),
    )


def metrics_response(service: Service) -> Response:
    return Response(service.metrics.text(), headers={"content-type": service.metrics.content_type})


def reply_response(request: Request, reply: Reply) -> Response:
    note_work(request.scope, reply.work)
    return Response(reply.body, media_type=reply.type)


def ready_response(service: Service) -> Response:
    if not service.readiness.is_ready:
        raise NotReady(f"Not ready: {service.readiness.reason}.")
    return JSONResponse({"ready": True})
