"""How a running Sightline is asked from outside: over HTTP, or as a SageMaker endpoint; what it says is not judged."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from deploy.clients import DENIED, EXPIRED, code_of, in_words
from deploy.errors import SmokeFailed

TIMEOUT_S = 60  # an endpoint may take as long


@dataclass(frozen=True, slots=True)
class Said:
    body: dict[str, Any]
    took_ms: float


Asker = Callable[[Mapping[str, object]], Said]  # takes a body of /invocations. Raises: SmokeFailed.


def over_http(address: str, *, token: str = "") -> Asker:
    """`ui` or `serve`, whichever is there. `token`: one of `token add`, where sign-in is on. Raises: SmokeFailed."""
    if not re.match(r"https?://\S+$", address):
        raise SmokeFailed(f"{address!r} is no address: expected one such as https://images.example.com.")
    address = address.rstrip("/")
    is_ui = _status(f"{address}/healthz") == 200
    if (ping := _status(f"{address}/ping")) != 200:
        raise SmokeFailed(f"{address}/ping answered {ping}, not 200: it is not ready; `logs` says why.")

    def ask(body: Mapping[str, object]) -> Said:
        path, sent = "/invocations", body
        if is_ui:
            path, sent = ("/api/embed", body["embed"]) if "embed" in body else ("/api/search", body)  # type: ignore[assignment]
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        began = time.perf_counter()
        data = _read(urllib.request.Request(f"{address}{path}", json.dumps(sent).encode(), headers))
        return _said(data, body, address, (time.perf_counter() - began) * 1e3)

    return ask


def thumbnail(address: str, path: str, *, token: str = "") -> bytes:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return _read(urllib.request.Request(f"{address.rstrip('/')}{path}", headers=headers))


def of_endpoint(name: str, aws: Callable[[str], Any]) -> Asker:
    """What only keeps us from asking, such as credentials that have expired, says nothing of the endpoint: Refused."""

    def ask(body: Mapping[str, object]) -> Said:
        kind, began = "application/json", time.perf_counter()
        try:
            answer = aws("sagemaker-runtime").invoke_endpoint(
                EndpointName=name, ContentType=kind, Accept=kind, Body=json.dumps(body).encode()
            )
            data = answer["Body"].read()
        except ClientError as error:
            if code_of(error) in (*EXPIRED, *DENIED):
                raise in_words(error) from error
            said = error.response.get("OriginalMessage") or error.response["Error"].get("Message", "")
            raise SmokeFailed(f"The endpoint {name} answered {code_of(error)}: {str(said)[:300]}") from error
        except (ReadTimeoutError, ConnectionClosedError, ResponseStreamingError, IncompleteReadError) as error:
            raise SmokeFailed(f"The endpoint {name} did not answer: {str(error).rstrip('.')}.") from error
        return _said(data, body, f"The endpoint {name}", (time.perf_counter() - began) * 1e3)

    return ask


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the address that was named and to no other."""

    def redirect_request(self, *asked: Any) -> None:
        return None


def _open(request: urllib.request.Request) -> Any:
    """Raises: SmokeFailed, where another address is answered with; and what urlopen raises."""
    try:
        return urllib.request.build_opener(_NoRedirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if where := error.headers.get("location") if 300 <= error.code < 400 else "":
            raise SmokeFailed(f"{request.full_url} sends elsewhere, to {where[:300]}: name that address.") from error
        raise


def _status(url: str) -> int:
    try:
        with _open(urllib.request.Request(url)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SmokeFailed(
            f"{url} can't be reached ({error}): is the address right, and is Sightline served there? On ECS: does the"
            " name point to the load balancer (`status` names it), and does the certificate fit?"
        ) from error


def _read(request: urllib.request.Request) -> bytes:
    try:
        with _open(request) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        said = error.read(2_000).decode(errors="replace")
        hint = " Set DEPLOY_TOKEN to a token that may search." if error.code == 401 else ""
        raise SmokeFailed(f"{request.full_url} answered {error.code}: {said[:300]}{hint}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SmokeFailed(f"{request.full_url} did not answer: {error}.") from error


def _said(data: bytes, asked: Mapping[str, object], who: str, took_ms: float) -> Said:
    """Raises: SmokeFailed, where the answer is not of the form that the HTTP contract has."""
    try:
        found = json.loads(data)
        if "embed" in asked:
            is_ours = isinstance(found["fingerprint"], str) and len(found["embeddings"]["texts"][0]) > 0
        else:
            is_ours = all(isinstance(hit["id"], str) and {"score", "thumb"} <= hit.keys() for hit in found["hits"])
    except (ValueError, LookupError, TypeError, AttributeError):
        is_ours = False
    if not is_ours:
        raise SmokeFailed(f"{who} answers in another form than Sightline does: look at the address.")
    return Said(found, took_ms)
