"""The one door to a hub of models: what a repository holds at a revision, and its files, verified, in the usual cache.

Which files make a model is decided elsewhere, and so is whether somebody agreed to a download.

Files come over plain HTTP whatever storage lies behind it, and not through the library's own download: that one begins
again after a kill, and compares sizes only.
"""

import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from search.encoders.hub_errors import Cancelled, another_file, disk_told, no_hub, offline, told, too_large, too_slow
from search.encoders.json_file import parse_json
from search.errors import DiskFull

_CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_SILENT_S = 15.0  # without a byte of a look-up
_LISTING_BYTES = 64 << 20  # a repository of a hundred thousand files
_ATTEMPTS = 6  # without a byte in between
_PASSING = (408, 429, 500, 502, 503, 504)  # of HTTP
_NO_MORE = 416
_SPARE_BYTES = 64 << 20  # of the disk, for the model's own small files


@dataclass(frozen=True, slots=True)
class Hub:
    """Where models are looked for; None means what the hub's own variables (HF_ENDPOINT, HF_HUB_CACHE) say."""

    offline: bool = False
    endpoint: str | None = None
    cache_dir: Path | None = None
    pause_s: float = 1.0  # before the first new attempt, doubled with each
    look_up_within_s: float = 60.0  # however the hub spreads its answer over time; of a config as well


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository at a commit; `digest` is its sha256, or git's sha1 of what is small and lies in git."""

    repo: str
    commit: str
    path: str
    size_bytes: int
    digest: str


def forbid_offline(hub: Hub, model: str) -> None:
    """Raises: HubUnreachable."""
    if hub.offline:
        raise offline("SIGHTLINE_OFFLINE", model)


def host_of(hub: Hub) -> str:
    from huggingface_hub import constants

    return urlsplit(hub.endpoint or constants.ENDPOINT).netloc.rpartition("@")[2] or "the hub"  # no password


def look_up(hub: Hub, repo: str, revision: str = "", *, model: str) -> list[HubFile]:
    """All files of a repository at a revision ("": its newest). Raises: ModelNotFound, ModelRefused, HubUnreachable."""
    forbid_offline(hub, model)
    with told(host_of(hub), repo, model):
        data = _within(hub, repo, model, lambda deadline: _listing(hub, repo, revision, deadline, model))
        try:
            said = parse_json(data)
            commit, siblings = str(said["sha"]), [_entry(repo, said["sha"], entry) for entry in said["siblings"] or ()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # not JSON, or not a model's
            raise no_hub(host_of(hub), repo, model) from error
    if not _DIGEST.fullmatch(commit):
        raise no_hub(host_of(hub), repo, model)
    return [file for file in siblings if file is not None]


def _listing(hub: Hub, repo: str, revision: str, deadline: float, model: str) -> bytes:
    """What the library's `model_info` reads, as it comes: that one has no limit of time or size."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, validate_repo_id  # type: ignore[attr-defined]

    validate_repo_id(repo)
    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    url, found = f"{hub.endpoint or constants.ENDPOINT}/api/models/{repo}{at}?blobs=true", bytearray()
    with get_session().stream("GET", url, headers=build_hf_headers(), timeout=_SILENT_S) as response:
        if response.is_error:
            hf_raise_for_status(response)
        for chunk in response.iter_bytes():
            found += chunk
            if time.monotonic() > deadline:
                raise too_slow(host_of(hub), repo, model, hub.look_up_within_s)
            if len(found) > _LISTING_BYTES:
                raise no_hub(host_of(hub), repo, model)
    return bytes(found)


def _entry(repo: str, commit: str, said: dict[str, Any]) -> HubFile | None:
    """None for what could not be fetched and checked."""
    digest, size, path = (
        (said.get("lfs") or {}).get("sha256") or said.get("blobId"),
        said.get("size"),
        said["rfilename"],
    )
    if not isinstance(digest, str) or not isinstance(size, int) or not isinstance(path, str):
        return None
    return HubFile(repo, commit, path, size, digest) if size >= 0 and _DIGEST.fullmatch(digest) else None


def _within(hub: Hub, repo: str, model: str, ask: Callable[[float], bytes]) -> bytes:
    """On a thread of its own, as a hub may hold even the first line of its answer back for ever."""
    answer: Future[bytes] = Future()
    deadline = time.monotonic() + hub.look_up_within_s

    def work() -> None:
        try:
            answer.set_result(ask(deadline))
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            answer.set_exception(error)

    threading.Thread(target=work, name="look-up", daemon=True).start()
    try:
        return answer.result(timeout=hub.look_up_within_s)
    except TimeoutError as error:
        raise too_slow(host_of(hub), repo, model, hub.look_up_within_s) from error


def missing_bytes(hub: Hub, file: HubFile) -> int:
    """What must still come of a file: none of it, or less than its size, where a download was begun before."""
    blob = _blob(hub, file)
    try:
        if _cached(hub, file) or blob.is_file():
            return 0
        return max(0, file.size_bytes - _partial(blob).stat().st_size)
    except OSError:  # never begun, whole by now, or where nobody may look
        return file.size_bytes


def check_disk(hub: Hub, wanted_bytes: int, *, model: str) -> None:
    """Raises: DiskFull."""
    folder = _cache(hub)
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    if wanted_bytes and wanted_bytes + _SPARE_BYTES > free_bytes:
        raise DiskFull(
            f'"{model}" takes {wanted_bytes / 1e6:,.0f} MB and the disk of the hub\'s cache has '
            f"{free_bytes / 1e6:,.0f} MB left: free some, or set HF_HUB_CACHE to a folder on another disk."
        )


def fetch(
    hub: Hub, file: HubFile, *, model: str, stop: threading.Event, arrived: Callable[[int], None] = lambda _: None
) -> Path:
    """The file in the hub's cache, its hash checked; comes over the network unless it is there.

    `arrived` is told how many bytes came, at each chunk. Raises: Cancelled, ModelError, DiskFull.
    """
    there = _cached(hub, file) or _blob(hub, file)
    with disk_told(model):
        if there.is_file():
            _verify(there.resolve(), file, model, hub)
        else:
            forbid_offline(hub, model)
            with told(host_of(hub), file.repo, model), _locked(hub, file, model, stop):
                if not there.is_file():
                    _download(hub, file, there, model=model, stop=stop, arrived=arrived)
    _show(hub, file, there)
    return there


def lies_in(hub: Hub, folder: Path) -> bool:
    """Whether the cache is there, and so no other program's."""
    return _cache(hub).resolve().is_relative_to(folder.resolve())


def drop(hub: Hub, file: HubFile) -> int:
    """Takes a file out of the cache, or what came of it; how many bytes that frees. Raises: OSError."""
    blob, freed = _blob(hub, file), 0
    _snapshot(hub, file).unlink(missing_ok=True)
    for path in (blob, _partial(blob)):
        if path.is_file():
            freed += path.stat().st_size
            path.unlink()
    return freed


def _download(
    hub: Hub, file: HubFile, blob: Path, *, model: str, stop: threading.Event, arrived: Callable[[int], None]
) -> None:
    """Goes on with what an earlier attempt left, whoever ended it."""
    from httpx2 import TransportError, UnsupportedProtocol
    from huggingface_hub.errors import HfHubHTTPError

    partial, attempt = _partial(blob), 0
    blob.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("ab", buffering=0) as out:
        if out.tell() > file.size_bytes:
            out.truncate(0)
        while (at := out.seek(0, os.SEEK_END)) < file.size_bytes:
            try:
                _transfer(hub, file, out, at, model=model, stop=stop, arrived=arrived)
                if out.seek(0, os.SEEK_END) <= at:  # there is no more
                    break
            except (TransportError, HfHubHTTPError) as error:
                refused = isinstance(error, HfHubHTTPError) and error.response.status_code not in _PASSING
                if refused or isinstance(error, UnsupportedProtocol):  # as file: is, where a hub sends us there
                    raise
                attempt = 1 if out.seek(0, os.SEEK_END) > at else attempt + 1
                if attempt >= _ATTEMPTS:
                    raise
                if stop.wait(hub.pause_s * 2 ** (attempt - 1)):
                    raise Cancelled(model) from error
        os.fsync(out.fileno())
    _verify(partial, file, model, hub)
    partial.replace(blob)


def _transfer(
    hub: Hub, file: HubFile, out: Any, at: int, *, model: str, stop: threading.Event, arrived: Callable[[int], None]
) -> None:
    """One request for what is missing, appended to `out`."""
    from huggingface_hub import constants, get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]  # documented

    url = hf_hub_url(file.repo, file.path, revision=file.commit, endpoint=hub.endpoint)
    headers = {**build_hf_headers(), "accept-encoding": "identity", **({"range": f"bytes={at}-"} if at else {})}
    timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout_s) as response:
        if at and response.status_code == _NO_MORE:
            return
        if response.is_error:
            hf_raise_for_status(response)
        if at and not (response.status_code == 206 and _starts_at(response.headers.get("content-range", ""), at)):
            arrived(-at)
            at = 0
            out.truncate(0)
        for chunk in response.iter_bytes():  # as they come: what waits for more is lost when the line breaks
            out.write(chunk)
            at += len(chunk)
            arrived(len(chunk))
            if at > file.size_bytes:
                return
            if stop.is_set():
                raise Cancelled(model)


def _starts_at(content_range: str, at: int) -> bool:
    return content_range.removeprefix("bytes ").partition("-")[0] == str(at)


def _verify(path: Path, file: HubFile, model: str, hub: Hub) -> None:
    """Deletes what is not the file that the hub named. Raises: ModelDamaged."""
    size_bytes = path.stat().st_size
    if size_bytes == file.size_bytes and _digest(path, file) == file.digest:
        return
    path.unlink()
    raise another_file(file.path, model, host_of(hub), size_bytes=size_bytes, said_bytes=file.size_bytes)


def _digest(path: Path, file: HubFile) -> str:
    if len(file.digest) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {file.size_bytes}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _cached(hub: Hub, file: HubFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.path, cache_dir=_cache(hub), revision=file.commit)
    return Path(found) if isinstance(found, str) else None


def _blob(hub: Hub, file: HubFile) -> Path:
    return _cache(hub) / f"models--{file.repo.replace('/', '--')}" / "blobs" / file.digest


def _snapshot(hub: Hub, file: HubFile) -> Path:
    return _cache(hub) / f"models--{file.repo.replace('/', '--')}" / "snapshots" / file.commit / file.path


def _show(hub: Hub, file: HubFile, there: Path) -> None:
    """Links it where the library's other users look.

    The library's own way there asks for the hash once more, and fetches what has another one, unchecked.
    """
    link = _snapshot(hub, file)
    try:
        if link.exists():
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(there, link.parent))
    except OSError:  # no links, no right, or somebody else did: we need none
        pass


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _cache(hub: Hub) -> Path:
    from huggingface_hub import constants

    return hub.cache_dir or Path(constants.HF_HUB_CACHE)


@contextmanager
def _locked(hub: Hub, file: HubFile, model: str, stop: threading.Event) -> Iterator[None]:
    """The library's own lock of that file, so that nobody fetches it beside us."""
    from filelock import FileLock, Timeout

    folder = _cache(hub) / ".locks" / f"models--{file.repo.replace('/', '--')}"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{file.digest}.lock", mode=0o664)
    while True:
        try:
            with lock.acquire(timeout=1):
                yield
            return
        except Timeout:
            if stop.is_set():
                raise Cancelled(model) from None


def read_small(hub: Hub, file: HubFile, most_bytes: int, *, model: str) -> bytes:
    """The content of a config. Raises: ModelDamaged where it is too large, HubUnreachable too slow, and as `fetch`."""
    if file.size_bytes > most_bytes:
        raise too_large(file.path, file.size_bytes, most_bytes, model)
    stop = threading.Event()

    def ask(_: float) -> bytes:
        return fetch(hub, file, model=model, stop=stop).read_bytes()

    try:
        return _within(hub, file.repo, model, ask)
    finally:
        stop.set()  # for one that goes on
