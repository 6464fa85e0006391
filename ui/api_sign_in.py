"""The routes that sign in and out, and say who is signed in and what they may do."""

import re
from urllib.parse import unquote, urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from search.errors import NotAllowed, SearchError
from ui.access import caller_of, check_same_site
from ui.api_errors import ERROR_ANSWERS, UnsupportedType, error_response
from ui.bodies import content_type, limited
from ui.cookies import COOKIE, LASTS_S
from ui.service import Service, service_of, why_no_change
from ui.sign_in_page import POLICY, sign_in_page

FORM_BYTES = 16 * 2**10

# A path of this server and nothing that a browser takes for another's: //host, /\host, control characters.
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")

router = APIRouter(responses=ERROR_ANSWERS)
me_router = APIRouter(responses=ERROR_ANSWERS)


@me_router.get(
    "/api/me", summary="Who is signed in, whether they may change things (if not, why), and whether marks are kept."
)
async def me(request: Request) -> Response:
    service, caller = service_of(request), caller_of(request.scope)
    why_not = why_no_change(request)
    name, role = (caller.signed_in.name, caller.signed_in.role) if caller.signed_in else (None, None)
    told = {
        "name": name,
        "role": role,
        "may_change": why_not is None,
        "why_not": why_not,
        "marks": service.events is not None,
    }
    return JSONResponse(told, headers={"cache-control": "no-store"})


@router.get("/sign-in", include_in_schema=False)
async def ask(request: Request, next: str = "/") -> Response:
    if caller_of(request.scope).signed_in is not None:
        return _to(service_of(request), next)
    return _page(next)


@router.post("/sign-in", include_in_schema=False)
async def sign_in(request: Request) -> Response:
    service, caller = service_of(request), caller_of(request.scope)
    if service.sign_in is None:
        raise HTTPException(404)
    if content_type(request) != "application/x-www-form-urlencoded":
        raise UnsupportedType("Send name and password as a form; a program signs in with a token.")
    async with limited(request, FORM_BYTES).form(max_files=0, max_fields=5) as form:
        name, password, next = (_text(form, field) for field in ("name", "password", "next"))
    try:
        check_same_site(caller)
        session = await service.sign_in.session(name, password, address=caller.address)
        if session is None:
            raise NotAllowed(
                "That name and password do not fit. Check both; whoever runs this server can set another password."
            )
    except SearchError as error:
        answer = error_response(error, request.scope)
        page = _page(next, name=name, problem=str(error), status=answer.status_code)
        page.headers.update({key: value for key, value in answer.headers.items() if key == "retry-after"})
        return page
    answer = _to(service, next)
    _keep(answer, request, service, session, lasts_s=LASTS_S)
    return answer


@router.post("/sign-out", include_in_schema=False)
async def sign_out(request: Request) -> Response:
    service = service_of(request)
    answer = RedirectResponse(f"{service.front.root_path}/sign-in", status_code=303)
    _keep(answer, request, service, "", lasts_s=0)
    return answer


def sign_in_address(request: Request, root_path: str) -> str:
    """Where a browser is sent that is not signed in, to come back here afterwards."""
    here = request.url.path.removeprefix(root_path) + (f"?{request.url.query}" if request.url.query else "")
    asked = f"?{urlencode({'next': here})}" if request.method == "GET" and here != "/" else ""
    return f"{root_path}/sign-in{asked}"


def is_local(next: str) -> bool:
    """Clean as well: a dot or nothing between slashes would lead out of the path that we are served under."""
    segments = unquote(re.split("[?#]", next, maxsplit=1)[0]).split("/")
    return bool(_LOCAL.fullmatch(next)) and ".." not in segments and "." not in segments and "" not in segments[1:-1]


def _to(service: Service, next: str) -> RedirectResponse:
    return RedirectResponse(service.front.root_path + (next if is_local(next) else "/"), status_code=303)


def _page(next: str, *, name: str = "", problem: str = "", status: int = 200) -> HTMLResponse:
    shown = sign_in_page(next=next if is_local(next) else "/", name=name, problem=problem)
    return HTMLResponse(shown, status, {"cache-control": "no-store", "content-security-policy": POLICY})


def _keep(answer: Response, request: Request, service: Service, session: str, *, lasts_s: int) -> None:
    is_secure = request.url.scheme == "https"
    path = service.front.root_path or "/"
    answer.set_cookie(COOKIE, session, max_age=lasts_s, path=path, secure=is_secure, httponly=True, samesite="lax")


def _text(form: FormData, field: str) -> str:
    value = form.get(field)
    return value if isinstance(value, str) else ""
