"""A hub of models on this machine, as huggingface_hub speaks with one: revisions, redirects, ranges, and what breaks.

Files of more than `LFS_FROM_BYTES` lie on a second server, as on the real one. Not a fake of our code: real HTTP.
"""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LFS_FROM_BYTES = 300


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    range: str = ""
    token: str = ""


@dataclass
class Repo:
    """Its files by commit, newest commit last."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    is_gated: bool = False

    def add(self, files: Mapping[str, bytes]) -> str:
        commit = hashlib.sha1(repr(sorted(files.items())).encode() + str(len(self.commits)).encode()).hexdigest()
        self.commits[commit] = dict(files)
        return commit

    def find(self, revision: str) -> str | None:
        newest = list(self.commits)[-1]
        return newest if revision == "main" else revision if revision in self.commits else None


class HubServer:
    """`breaks`: by path, after how many bytes each next answer with it ends; `served`: what is sent in its place.

    `held`: by path, the bytes after which its next answer waits until `release` is set. `etags`: by path, the hash that
    its headers name in place of its own. `infos`: by repository, what a look-up is answered.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[Asked] = []
        self.breaks: dict[str, list[int]] = {}
        self.served: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}  # by path, how many bytes each next answer says that it has, and has
        self.held: dict[str, int] = {}
        self.etags: dict[str, str] = {}
        self.infos: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}  # by path, where its answer sends who asks
        self.statuses: dict[str, list[int]] = {}
        self.ignores_ranges = False
        self.silent: set[str] = set()  # paths that are answered nothing until `release` is set
        self.holding = threading.Event()  # set when an answer waits
        self.release = threading.Event()
        self.blobs: dict[str, tuple[str, bytes]] = {}  # by sha256: path and content
        self._servers = [self._start(_Hub), self._start(_Storage)]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def storage(self) -> str:
        return f"http://localhost:{self._servers[1].server_port}"

    def add(self, repo: str, files: Mapping[str, bytes], *, is_gated: bool = False) -> str:
        """Another commit of a repository; returns it."""
        for path, content in files.items():
            self.blobs[hashlib.sha256(content).hexdigest()] = (path, content)
        kept = self.repos.setdefault(repo, Repo())
        kept.is_gated = is_gated
        return kept.add(files)

    def add_folder(self, repo: str, folder: Path) -> str:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return self.add(repo, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})

    def contents_asked(self) -> list[Asked]:
        """The requests that content was sent for, from the storage or from the hub itself."""
        return [asked for asked in self.asked if asked.method == "GET" and not asked.path.startswith("/api/")]

    def close(self) -> None:
        self.release.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _start(self, handler: type["_Handler"]) -> "_Server":
        server = _Server(("127.0.0.1", 0), handler)
        server.hub = self
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server


@contextmanager
def serving() -> Iterator[HubServer]:
    server = HubServer()
    try:
        yield server
    finally:
        server.close()


class _Server(ThreadingHTTPServer):
    hub: HubServer
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that went away in the middle is what some tests are about


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.hub.asked.append(
            Asked(self.command, path, self.headers.get("range", ""), self.headers.get("authorization", ""))
        )
        if path in self.server.hub.silent:
            self.server.hub.release.wait(60)
        self.answer(path)

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, path: str, content: bytes, **headers: str) -> None:
        hub = self.server.hub
        content, start = hub.served.get(path, content), 0
        wanted = self.headers.get("range", "")
        if wanted and not hub.ignores_ranges:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if "Content_Range" in headers else 200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        rest = content[start:]
        if hub.cuts.get(path):
            rest = rest[: hub.cuts[path].pop(0)]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if hub.breaks.get(path):
            self.wfile.write(rest[: hub.breaks[path].pop(0)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if path in hub.held:
            first = hub.held.pop(path)
            self.wfile.write(rest[:first])
            self.wfile.flush()
            hub.holding.set()
            hub.release.wait(60)
            rest = rest[first:]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


class _Hub(_Handler):
    def answer(self, path: str) -> None:
        if path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/"))
            return
        repo_id, found, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        repo = self.server.hub.repos.get(repo_id)
        if not found or repo is None:
            self.say(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return
        if repo.is_gated:
            self.say(401, X_Error_Code="GatedRepo", X_Error_Message="Access to this model is restricted.")
            return
        commit = repo.find(revision)
        if commit is None:
            self.say(404, X_Error_Code="RevisionNotFound")
        elif file not in repo.commits[commit]:
            self.say(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        else:
            self._resolve(file, repo.commits[commit][file], commit)

    def _resolve(self, file: str, content: bytes, commit: str) -> None:
        statuses = self.server.hub.statuses.get(file)
        status = statuses.pop(0) if statuses and self.command == "GET" else 0
        if status:
            self.say(status)
            return
        if file in self.server.hub.moved:
            self.say(302, Location=self.server.hub.moved[file])
            return
        if len(content) < LFS_FROM_BYTES:
            self.send_file(file, content, ETag=f'"{_git_sha1(content)}"', X_Repo_Commit=commit)
            return
        sha256 = hashlib.sha256(content).hexdigest()
        self.say(
            302,
            Location=f"{self.server.hub.storage}/{sha256}?signature=1",
            X_Repo_Commit=commit,
            X_Linked_ETag=f'"{self.server.hub.etags.get(file, sha256)}"',
            X_Linked_Size=str(len(content)),
        )

    def _info(self, rest: str) -> None:
        repo_id, _, revision = rest.partition("/revision/")
        if repo_id in self.server.hub.infos:
            self.say(200, self.server.hub.infos[repo_id], Content_Type="application/json")
            return
        repo = self.server.hub.repos.get(repo_id)
        if repo is None:
            self.say(401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return
        commit = repo.find(revision or "main")
        if commit is None:
            self.say(404, X_Error_Code="RevisionNotFound")
            return
        with_sizes = "blobs" in parse_qs(urlsplit(self.path).query)
        siblings = [_sibling(path, content, with_sizes) for path, content in repo.commits[commit].items()]
        body = json.dumps({"id": repo_id, "sha": commit, "private": False, "siblings": siblings}).encode()
        self.say(200, body, Content_Type="application/json")


class _Storage(_Handler):
    def answer(self, path: str) -> None:
        file, content = self.server.hub.blobs[path.removeprefix("/")]
        self.send_file(file, content)


def _sibling(path: str, content: bytes, with_sizes: bool) -> dict[str, object]:
    entry: dict[str, object] = {"rfilename": path}
    if with_sizes:
        entry |= {"size": len(content), "blobId": _git_sha1(content)}
        if len(content) >= LFS_FROM_BYTES:
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 134}
    return entry


def _git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
