"""Chroma over its HTTP API: one collection's rows told, asked and counted; it starts no server.

Not chromadb's own client: that waits without limit for a server that hangs, sends loopback requests to a proxy that the
environment names, raises plain `Exception`, and costs a second and 50 MB to import
(docs/decisions/0002-catalog-and-chroma.md).
"""

import base64
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from search.types import Embedding, Embeddings

API = "/api/v2/tenants/default_tenant/databases/default_database/collections"
SETTINGS = {"hnsw": {"space": "cosine", "ef_construction": 100, "max_neighbors": 16, "ef_search": 400}}  # facts: 0002
QUERY_TIMEOUT_S = 2.0  # an exact scan of a million rows takes less
CALL_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 60.0

# No answer (RuntimeError: closed meanwhile), no JSON, or JSON of another form: any server may be at that address.
_UNUSABLE = (httpx.HTTPError, httpx.InvalidURL, RuntimeError, ValueError, LookupError, TypeError, AttributeError)

T = TypeVar("T")


class ChromaError(Exception):
    """Chroma did not answer, or answered with an error. Never reaches a person: searches go on without it."""


class ChromaLacks(ChromaError):
    """What was asked for is not there."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A Chroma collection: `key` names this very one, the token says which catalog state it belongs to."""

    key: str
    token: str


class Chroma:
    """A connection pool to one server. Thread-safe."""

    def __init__(self, url: str) -> None:
        local = any(host in url for host in ("//127.0.0.1", "//localhost", "//[::1]"))
        self._http = httpx.Client(base_url=url, timeout=CALL_TIMEOUT_S, trust_env=not local)

    def close(self) -> None:
        self._http.close()

    def is_up(self) -> bool:
        try:
            self._call("GET", "/api/v2/heartbeat", timeout_s=QUERY_TIMEOUT_S)
        except ChromaError:
            return False
        return True

    def names(self) -> list[str]:
        return self._call("GET", API, read=lambda answer: [str(one["name"]) for one in answer])

    def find(self, name: str) -> Kept | None:
        try:
            return self._call("GET", f"{API}/{quote(name)}", read=_kept)
        except ChromaLacks:
            return None

    def create(self, name: str, *, token: str) -> Kept:
        return self._call(
            "POST", API, {"name": name, "metadata": {"token": token}, "configuration": SETTINGS}, read=_kept
        )

    def delete(self, name: str) -> None:
        with suppress(ChromaLacks):
            self._call("DELETE", f"{API}/{quote(name)}")

    def count(self, kept: Kept) -> int:
        return self._call("GET", f"{API}/{kept.key}/count", read=int)

    def upsert(self, kept: Kept, seqs: Sequence[int], embeddings: Embeddings) -> None:
        packed = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in embeddings]
        body = {"ids": [str(seq) for seq in seqs], "embeddings": packed}
        self._call("POST", f"{API}/{kept.key}/upsert", body, timeout_s=WRITE_TIMEOUT_S)

    def remove(self, kept: Kept, seqs: Sequence[int]) -> None:
        body = {"ids": [str(seq) for seq in seqs]}
        self._call("POST", f"{API}/{kept.key}/delete", body, timeout_s=WRITE_TIMEOUT_S)

    def nearest(self, kept: Kept, vector: Embedding, *, count: int) -> list[int]:
        """Sequence numbers, best first."""
        return self._call(
            "POST",
            f"{API}/{kept.key}/query",
            {"query_embeddings": [vector.tolist()], "n_results": count, "include": []},
            read=lambda answer: [int(id) for id in answer["ids"][0]],
            timeout_s=QUERY_TIMEOUT_S,
        )

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        read: Callable[[Any], T] = lambda answer: answer,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> T:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._http.request(method, path, content=content, headers=headers, timeout=timeout_s)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise ChromaLacks(f"{method} {path}: not there")
            answer.raise_for_status()
            return read(answer.json())
        except _UNUSABLE as error:
            raise ChromaError(f"{method} {path}: {type(error).__name__}: {error}") from error


def _kept(answer: Any) -> Kept:
    return Kept(str(answer["id"]), str((answer["metadata"] or {}).get("token", "")))
