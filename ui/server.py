"""The app of `ui`: the HTTP API and Gradio's page in one FastAPI app, behind one guard."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from search.errors import BadQuery
from ui import api, api_downloads, api_evaluate, api_jobs, api_library, api_marks, api_models, api_sign_in
from ui.api_errors import add_error_handlers, error_response
from ui.arrivals import InTime
from ui.behind import Behind
from ui.guard import Guard, SafeHeaders, security_headers
from ui.own_head import OwnHead
from ui.problem_pages import ProblemPages
from ui.service import JSON_BYTES, Service
from ui.telemetry import Telemetry

# What Gradio offers under its own address and the page never asks for: files in and out, other hosts, its editor.
GRADIO_DOORS = (
    "upload",
    "file",
    "proxy",
    "stream",
    "process_recording",
    "run-history",
    "custom_component",
    "vibe",
    "undo-vibe",
    "dev/",  # a stream that has no end
)


def make_app(service: Service, *, embedded_by: Sequence[str] = ()) -> FastAPI:
    """`embedded_by`: origins that may show the page in a frame."""
    app = make_api(service, embedded_by=embedded_by)
    # Without a running loop Gradio makes one for each of its locks, and leaves them open.
    asyncio.run(_mount_page(app, service))
    return app


async def _mount_page(app: FastAPI, service: Service) -> None:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # else its import asks something of the network
    import gradio as gr

    from ui.gradio_errors import GradioErrors
    from ui.page import build_page
    from ui.theme import STATIC, theme, with_own_head

    app.mount("/page", StaticFiles(directory=STATIC))
    for door in GRADIO_DOORS:
        app.add_route(f"/gradio_api/{door}{{rest:path}}", api.nowhere, methods=list(api.ANY_METHOD))
    app.add_route("/logout", api.nowhere, methods=list(api.ANY_METHOD))  # Gradio's leads to whatever Host says
    app.add_route("/monitoring{rest:path}", api.nowhere, methods=list(api.ANY_METHOD))
    app.user_middleware.append(Middleware(OwnHead, rewrite=with_own_head))  # the innermost
    page = build_page(service.workspace)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=theme(),
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        show_error=False,
        app_kwargs={"max_body_size": JSON_BYTES},
        mcp_server=True,
    )
    # A mounted page skips Gradio's check of file paths in requests without this: anybody could read the disk's images.
    page.has_launched = True
    mounted = app.routes[-1]
    assert isinstance(mounted, Mount)
    # An open page holds a stream that ends with this only, and stopping waits for it.
    app.state.end_streams = mounted.app.stop_event.set  # type: ignore[attr-defined]
    mounted.app = GradioErrors(mounted.app, routes=app.routes)


def make_api(service: Service, *, embedded_by: Sequence[str] = ()) -> FastAPI:
    """The HTTP API alone, without the page."""
    front = service.front

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    app = FastAPI(
        title="Sightline",
        description="Search images by meaning. An error is {error: {code, message, request_id}} with a fitting status.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(Behind, root_path=front.root_path, proxies=front.proxies),
            Middleware(ProblemPages),
            Middleware(Telemetry, counts=service.metrics, log_queries=service.log_queries),
            Middleware(
                SafeHeaders,
                headers=security_headers(embedded_by=embedded_by),
                is_private=service.access.users is not None,
            ),
            # Where it allows nobody, its being there keeps Gradio from adding its own, which allows everybody.
            Middleware(
                CORSMiddleware,
                allow_origins=front.origins,
                allow_methods=("GET", "POST", "DELETE"),
                allow_headers=("authorization", "content-type", "x-request-id"),
                expose_headers=("retry-after", "x-request-id"),
            ),
            Middleware(Guard, access=service.access, rate=service.rate, root_path=front.root_path),
            Middleware(InTime, arrivals=service.arrivals),
        ],
    )
    app.state.service = service
    add_error_handlers(app, hint="GET /docs lists what there is")
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    for routes in (api, api_downloads, api_library, api_models, api_jobs, api_evaluate, api_marks):
        app.include_router(routes.router)
    app.include_router(api_sign_in.me_router)
    if service.sign_in is not None:
        app.include_router(api_sign_in.router)
    app.add_route("/api/{rest:path}", api.nowhere, methods=list(api.ANY_METHOD), include_in_schema=False)
    return app


def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return error_response(BadQuery(f'"{first["loc"][-1]}" can\'t be used: {first["msg"]}.'), request.scope)
