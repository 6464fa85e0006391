"""The one table from errors to HTTP statuses, and the body that every error has; it makes no messages."""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from search import errors
from ui.rate import TooMany
from ui.telemetry import request_id


class BadRequest(errors.SearchError):
    code = "bad_request"


class NotJson(errors.SearchError):
    code = "not_json"


class BodyTooLarge(errors.SearchError):
    code = "body_too_large"


class UnsupportedType(errors.SearchError):
    code = "unsupported_type"


class NotReady(errors.SearchError):
    code = "not_ready"


class BodyTooSlow(errors.SearchError):
    code = "body_too_slow"


class Stopping(errors.SearchError):
    code = "stopping"


class SignInUnavailable(errors.SearchError):
    code = "sign_in_unavailable"


# The nearest class of an error's ancestry decides.
STATUS: Mapping[type[errors.SearchError], int] = {
    BadRequest: 400,
    NotJson: 400,
    errors.NotSignedIn: 401,
    errors.NotAllowed: 403,
    errors.ReadOnly: 403,
    errors.CollectionNotFound: 404,
    errors.ItemNotFound: 404,
    errors.JobNotFound: 404,
    errors.ModelNotFound: 404,
    errors.ModelRefused: 403,
    errors.ModelNotDownloaded: 409,
    errors.ModelInUse: 409,
    BodyTooSlow: 408,
    errors.EncoderMismatch: 409,
    errors.CollectionExists: 409,
    errors.StoreBusy: 409,
    BodyTooLarge: 413,
    UnsupportedType: 415,
    errors.BadQuery: 422,
    errors.BadImage: 422,
    errors.SourceError: 422,
    errors.StorageNotFound: 404,
    errors.StorageConflict: 409,
    errors.StorageError: 503,  # it is the server's storage, whoever asks
    errors.CollectionError: 422,  # an unusable name
    errors.Busy: 429,
    NotReady: 503,
    SignInUnavailable: 503,
    Stopping: 503,
    errors.StoreUnavailable: 503,
    errors.ReleaseDamaged: 503,
    errors.ModelError: 503,
    errors.TimedOut: 504,
    errors.DiskFull: 507,
    errors.SearchError: 500,
}

RETRY_AFTER_S = 2

# For the OpenAPI description.
ERROR_ANSWERS: dict[int | str, dict[str, Any]] = {
    422: {"description": "What was asked for can't be used: {error: {code, message, request_id}}"},
    "4XX": {"description": "as 422, with the status that fits"},
}

_HTTP_CODES = {
    400: "bad_request",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    422: "bad_query",
    500: "internal",
    503: "busy",
}


def status_of(error: errors.SearchError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def error_response(error: errors.SearchError, scope: Scope) -> Response:
    status = status_of(error)
    retry_after_s = error.retry_after_s if isinstance(error, TooMany) else RETRY_AFTER_S
    headers = {"retry-after": str(retry_after_s)} if status in (429, 503) else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error_body(error.code, str(error), scope), status_code=status, headers=headers)


def error_body(code: str, message: str, scope: Scope) -> dict[str, dict[str, str]]:
    return {"error": {"code": code, "message": message, "request_id": request_id(scope)}}


def add_error_handlers(app: Starlette, *, hint: str) -> None:
    """`hint`: the end of a sentence that says what there is here, for who asks for what is not."""

    def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _http_error_response(request, error, hint)

    app.add_exception_handler(errors.SearchError, _on_search_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def _on_search_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.SearchError)
    return error_response(error, request.scope)


def _http_error_response(request: Request, error: HTTPException, hint: str) -> Response:
    code = _HTTP_CODES.get(error.status_code, "http_error")
    message = {
        404: f"{request.method} is not possible here, or nothing is at this address; {hint}.",
        405: f"{request.method} is not possible at this address; {hint}.",
    }.get(error.status_code, str(error.detail))
    body = error_body(code, message, request.scope)
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody is there to read it
