"""The pool of decoder processes: hostile bytes go out, pixels and a thumbnail come back; decodes nothing itself."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from search.errors import Busy, ImageTooLarge, SearchError, UnreadableImage, UnsupportedFormat, shown
from search.images.open import MAX_PIXELS
from search.images.worker import Message, receive, send
from search.types import Pixels, Preprocess

INDEXING_DEADLINE_S = 20.0  # 200 megapixels on a busy machine, niced
REENCODING_DEADLINE_S = 10.0
MEMORY_BYTES = 3 * 2**30  # of addresses; 200 megapixels need up to 1.9 GB
_START_S = 20.0  # a busy machine takes its time; measured 0.25 s
_FOLDERS_WAIT_S = 60.0  # nobody waits for one picture of a folder; other workers may hang to their deadlines
_MOST_REPLY_BYTES = 64 * 2**20
_CLOSING = "Pictures are no longer read: the program is closing."
_ERRORS: dict[str, type[SearchError]] = {e.code: e for e in (UnreadableImage, ImageTooLarge, UnsupportedFormat)}


@dataclass(frozen=True, slots=True)
class Decoded:
    pixels: Pixels  # (h, w, 3) at the encoder's size
    thumbnail: bytes  # WebP
    width: int  # px, upright
    height: int
    format: str  # lower case
    taken_at: str | None


class Decoder:
    """Two lanes of processes, started when first needed: a person's query never waits behind a folder. Thread-safe."""

    def __init__(self, *, workers: int, max_bytes: int = 50 * 2**20, memory_bytes: int = MEMORY_BYTES) -> None:
        self.workers = workers
        self.max_bytes = max_bytes
        self._queries = _Lane(max(1, min(workers, 2)), niceness=0, memory_bytes=memory_bytes)
        self._folders = _Lane(workers, niceness=10, memory_bytes=memory_bytes)

    def decode(
        self, data: bytes, *, preprocess: Preprocess, name: str, deadline_s: float, background: bool = False
    ) -> Decoded:
        """`background`: in the niced lane that indexing uses. Raises: BadImage, Busy."""
        name = shown(name)
        self.check_size(len(data), name=name)
        lane = self._folders if background else self._queries
        wanted = {"preprocess": asdict(preprocess), "name": name}
        wait_s = _FOLDERS_WAIT_S if background else deadline_s / 2
        header, blobs = lane.run(data, wanted, deadline_s=deadline_s, wait_s=wait_s)
        try:
            return _decoded(header, blobs, preprocess)
        except (ValueError, KeyError, TypeError) as error:
            raise _died(name) from error

    def reencode(
        self, data: bytes, *, px: int, name: str = "The image", deadline_s: float = REENCODING_DEADLINE_S
    ) -> bytes:
        """WebP with a long edge of at most px, upright, pixels only. Raises: BadImage, Busy."""
        name = shown(name)
        self.check_size(len(data), name=name)
        _, blobs = self._queries.run(data, {"px": px, "name": name}, deadline_s=deadline_s, wait_s=deadline_s / 2)
        if len(blobs) != 1:
            raise _died(name)
        return bytes(blobs[0])

    def check_size(self, size_bytes: int, *, name: str) -> None:
        """Raises: ImageTooLarge, for callers that know the size before they read."""
        if size_bytes > self.max_bytes:
            raise ImageTooLarge(
                f"{shown(name)} has {size_bytes / 2**20:,.0f} MB; the limit is {self.max_bytes // 2**20} MB"
                " (SIGHTLINE_MAX_IMAGE_MB): make it smaller."
            )

    def start(self) -> None:
        """Starts a process for queries now, so that the first of them doesn't wait for it. Raises: Busy."""
        self._queries.start()

    @property
    def pids(self) -> list[int]:
        """Of the processes there are."""
        return [*self._queries.pids, *self._folders.pids]

    @property
    def restarts(self) -> int:
        """Processes that a picture ended, since the start: each is replaced when it is needed."""
        return self._queries.restarts + self._folders.restarts

    def close(self) -> None:
        """Ends the processes; what they are at is lost."""
        self._queries.close()
        self._folders.close()


class _Lane:
    """Workers of one kind: each serves one caller at a time, one that dies or hangs is replaced."""

    def __init__(self, size: int, *, niceness: int, memory_bytes: int) -> None:
        self._limits = (niceness, memory_bytes)
        self._idle: list[_Worker | None] = [None] * size  # None: to be started
        self._waiting: deque[Future[_Worker | None]] = deque()  # first come, first served
        self._alive: set[_Worker] = set()
        self._lock = threading.Lock()  # guards all of these
        self._closed = False
        self.restarts = 0

    def run(self, data: bytes, wanted: Mapping[str, Any], *, deadline_s: float, wait_s: float) -> Message:
        """Raises: the worker's BadImage, UnreadableImage where it died or hung, Busy where none becomes free."""
        asked_at = time.monotonic()
        idle = self._idle_one(wait_s)
        waited_s = time.monotonic() - asked_at  # without starting a process, which is not the picture's fault
        left_s = max(deadline_s - waited_s, deadline_s / 2)
        healthy: _Worker | None = None
        worker = self._living(idle)
        try:
            header, blobs = worker.ask(data, wanted, deadline_s=left_s)
            healthy = worker
        except TimeoutError as error:
            raise UnreadableImage(
                f"{wanted['name']} took longer to read than the {deadline_s:g} s it may: save it smaller or again."
            ) from error
        except (OSError, EOFError, ValueError, RecursionError) as error:
            raise _died(wanted["name"]) from error
        finally:
            if healthy is None:
                self._end(worker)
                with self._lock:
                    self.restarts += 1
            self._give_back(healthy)
        if "error" in header:
            raise _ERRORS.get(str(header["error"]), UnreadableImage)(str(header.get("message"))[:1000])
        return header, blobs

    def start(self) -> None:
        self._give_back(self._living(self._idle_one(_START_S)))

    @property
    def pids(self) -> list[int]:
        with self._lock:
            return [worker.pid for worker in self._alive]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            alive = list(self._alive)
        for worker in alive:
            self._end(worker)

    def _idle_one(self, within_s: float) -> "_Worker | None":
        with self._lock:
            if self._closed:
                raise Busy(_CLOSING)
            if self._idle:
                return self._idle.pop()
            turn: Future[_Worker | None] = Future()
            self._waiting.append(turn)
        try:
            return turn.result(within_s)
        except TimeoutError as error:
            with self._lock:
                if turn.done():  # just now
                    return turn.result()
                self._waiting.remove(turn)
            raise Busy("Too many pictures are being read at once: try again in a moment.") from error

    def _give_back(self, worker: "_Worker | None") -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set_result(worker)
            else:
                self._idle.append(worker)

    def _living(self, worker: "_Worker | None") -> "_Worker":
        """The same, or a new one in place of none or a dead one."""
        if worker is not None:
            if worker.is_alive:
                return worker
            self._end(worker)
        try:
            worker = _Worker(*self._limits)
        except (OSError, EOFError, ValueError) as error:
            self._give_back(None)
            raise Busy("Pictures can't be read right now, no process for it starts: try again in a moment.") from error
        with self._lock:
            self._alive.add(worker)
            closed = self._closed
        if closed:
            self._end(worker)
            self._give_back(None)
            raise Busy(_CLOSING)
        return worker

    def _end(self, worker: "_Worker") -> None:
        with self._lock:
            self._alive.discard(worker)
        worker.end()


class _Worker:
    """One process and the socket to it. Not thread-safe. Raises: OSError, EOFError or ValueError where none starts."""

    def __init__(self, niceness: int, memory_bytes: int) -> None:
        self._link, theirs = socket.socketpair()
        with theirs, ExitStack() as undo:
            undo.callback(self._link.close)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "search.images.worker", str(niceness), str(memory_bytes)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
            undo.callback(self.end)
            theirs.close()  # so that its death is seen here
            receive(self._link, most_bytes=0, within_s=_START_S)
            undo.pop_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, data: bytes, wanted: Mapping[str, Any], *, deadline_s: float) -> Message:
        """Raises: TimeoutError, OSError, EOFError, ValueError; the worker is of no use after any of them."""
        asked_at = time.monotonic()
        self._link.settimeout(deadline_s)
        send(self._link, {**wanted, "deadline_s": deadline_s}, [data])
        left_s = deadline_s - (time.monotonic() - asked_at)
        return receive(self._link, most_bytes=_MOST_REPLY_BYTES, within_s=left_s)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._link.close()


def _decoded(header: Mapping[str, Any], blobs: Sequence[bytearray], preprocess: Preprocess) -> Decoded:
    """What an intruder in the worker can't bend. Raises: ValueError, KeyError, TypeError."""
    pixels, thumbnail = blobs
    width, height, taken_at = header["width"], header["height"], header["taken_at"]
    if not 1 <= int(width) * int(height) <= MAX_PIXELS or min(int(width), int(height)) < 1:
        raise ValueError("no size")
    return Decoded(
        pixels=np.frombuffer(pixels, np.uint8).reshape(*preprocess.size, 3),
        thumbnail=bytes(thumbnail),
        width=int(width),
        height=int(height),
        format="".join(filter(str.isalnum, str(header["format"])[:10])),
        taken_at=None if taken_at is None else datetime.fromisoformat(taken_at).isoformat(),
    )


def _died(name: str) -> UnreadableImage:
    return UnreadableImage(f"{name} could not be read: the decoder stopped on it. Save it again in another format.")


def _environment() -> dict[str, str]:
    """What Python needs to be found and to find packages as here; no secrets, one thread for numpy."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG") if name in os.environ}
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, places)), "OPENBLAS_NUM_THREADS": "1"}
