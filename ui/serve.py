"""The app of `serve`, after SageMaker's container contract: its four routes and no page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from search.errors import BadQuery
from ui import api_query
from ui.api_errors import add_error_handlers
from ui.arrivals import InTime
from ui.exchange import batch_reply, metrics_response, query_body, ready_response, reply_response, workers_for
from ui.picture_urls import no_thumb_url
from ui.service import Service, service_of
from ui.telemetry import Telemetry

CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
LONGEST_ATTRIBUTES = 1024  # ASCII characters. Source: InvokeEndpoint, "CustomAttributes".

# A megabyte, the least that the platform fills with records, is minutes of searching: one at a time unless a job says
# otherwise (docs/decisions/0009-batches-and-overload.md). 6 MB is what a real-time endpoint takes as well.
EXECUTION_PARAMETERS = {"MaxConcurrentTransforms": 4, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 6}


def make_serve_app(service: Service) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    app = Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
            Route("/execution-parameters", execution_parameters, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ],
        middleware=[
            Middleware(Telemetry, counts=service.metrics, log_queries=service.log_queries),
            Middleware(InTime, arrivals=service.arrivals),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # to an address of the caller's choice
    app.state.service = service
    add_error_handlers(app, hint="there are GET /ping, POST /invocations, GET /execution-parameters and GET /metrics")
    return app


async def ping(request: Request) -> Response:
    return ready_response(service_of(request))


async def invocations(request: Request) -> Response:
    service = service_of(request)
    body = await query_body(request, service)
    if body.type == api_query.LINES_TYPE:
        read = api_query.read_invocation
        reply = await batch_reply(request, service, body, read=read, thumb_url=no_thumb_url)
    else:
        reply = await workers_for(service, body).run(api_query.invoke, service.workspace, body)
    check_size(reply, service.limits.answer_bytes)
    response = reply_response(request, reply)
    attributes = request.headers.get(CUSTOM_ATTRIBUTES, "")
    if attributes.isascii() and attributes.isprintable() and 0 < len(attributes) <= LONGEST_ATTRIBUTES:
        response.headers[CUSTOM_ATTRIBUTES] = attributes
    return response


def check_size(reply: api_query.Reply, most_bytes: int | None) -> None:
    """Raises: BadQuery for what the platform would not pass on, without a word to the caller."""
    if most_bytes is not None and len(reply.body) > most_bytes:
        raise BadQuery(
            f"The answer has {len(reply.body):,} bytes, and the platform passes {most_bytes:,} on: ask for a smaller "
            "top_k, or for fewer embeddings at once."
        )


async def execution_parameters(_: Request) -> Response:
    return JSONResponse(EXECUTION_PARAMETERS)


async def metrics(request: Request) -> Response:
    return metrics_response(service_of(request))
