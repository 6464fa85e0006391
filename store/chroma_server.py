"""Chroma's own Rust server as a child of this process, on loopback, with a folder that may be lost at any moment."""

import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from store.chroma import Chroma, ChromaError

log = logging.getLogger(__name__)

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
STORE = "store"  # in the folder
_TRIES = 5  # ports
_BANNER = b"Connect to Chroma"  # printed once the server has found its address free

# The server runs in the interpreter that has chromadb's bindings, without its Python client. PR_SET_PDEATHSIG (1) kills
# it when the thread that started it ends; a parent that died before that is noticed by its number.
_LAUNCH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
import chromadb_rust_bindings
chromadb_rust_bindings.cli(["chroma", "run", *sys.argv[2:]])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class ChromaServer:
    """To be started, stopped and discarded by one thread, which must live as long as the server is wanted."""

    def __init__(self, folder: Path, *, next_port: Callable[[], int] = free_port) -> None:
        self._folder, self._next_port = folder, next_port
        self.on_end: Callable[[], None] = lambda: None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _marker(self) -> Path:
        """There while nothing runs on a folder that was left in order; it says how that looked."""
        return self._folder / "left-in-order"

    def start(self) -> Chroma:
        """Raises: ChromaError where it can't be started. A folder not left in order is discarded first."""
        try:
            self._prepare()
            for _ in range(_TRIES):
                if chroma := self._started(self._next_port()):
                    return chroma
        except (OSError, ImportError) as error:
            raise ChromaError(f"the server can't be started: {error}") from error
        raise ChromaError(f"the server found none of {_TRIES} ports free")

    def stop(self) -> None:
        """In order: nobody may be writing to it any more."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            if process.wait(STOP_TIMEOUT_S) == 0:
                self._marker.write_text(self._looks())
        except subprocess.TimeoutExpired:
            _kill(process)

    def discard(self) -> None:
        """Kills it, from whichever thread; the next start begins with an empty folder."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process)

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        in_order = self._marker.exists() and self._marker.read_text(errors="replace") == self._looks()
        self._marker.unlink(missing_ok=True)
        if not (in_order and self._drop_unused()):
            shutil.rmtree(self._folder)
            self._folder.mkdir()

    def _drop_unused(self) -> bool:
        """Chroma leaves the folder of a collection's index behind when that is deleted. Whether all is well."""
        folders = [path for path in (self._folder / STORE).glob("*/") if path.is_dir()]
        if not folders:
            return True
        try:
            with closing(sqlite3.connect(self._folder / STORE / "chroma.sqlite3")) as database:
                used = {id for (id,) in database.execute("SELECT id FROM segments")}
        except sqlite3.Error:
            return False
        for folder in folders:
            if folder.name not in used:
                shutil.rmtree(folder)
        return True

    def _looks(self) -> str:
        """Chroma answers from some damaged files without a word, so a changed file counts as damage."""
        files = sorted(path for path in (self._folder / STORE).rglob("*") if path.is_file())
        stats = [(str(path.relative_to(self._folder)), path.stat()) for path in files]
        lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
        return "\n".join([f"chromadb {version('chromadb')}", *lines])

    def _started(self, port: int) -> Chroma | None:
        """None where the port is taken."""
        arguments = ["--path", STORE, "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _LAUNCH, str(os.getpid()), *arguments],
            cwd=self._folder,
            env={**os.environ, "RUST_LOG": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl+C in a terminal is for us; we stop it in order
        )
        listening = threading.Event()
        threading.Thread(target=self._watch, args=(process, listening), name="chroma-watch", daemon=True).start()
        chroma, deadline = Chroma(f"http://127.0.0.1:{port}"), time.monotonic() + START_TIMEOUT_S
        listening.wait(START_TIMEOUT_S)
        while process.poll() is None and time.monotonic() < deadline:
            if chroma.is_up():
                self._process = process
                log.info("chroma=started pid=%d port=%d", process.pid, port)
                return chroma
            time.sleep(0.02)
        chroma.close()
        if process.poll() is None:
            process.kill()
            raise ChromaError(f"the server did not answer within {START_TIMEOUT_S:.0f} s")
        return None

    def _watch(self, process: subprocess.Popen[bytes], listening: threading.Event) -> None:
        """Waits passively for its banner, then for its end, which closes the pipe."""
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                if line.startswith(_BANNER):
                    listening.set()
        process.wait()
        listening.set()
        if process is self._process:
            log.warning("chroma=ended pid=%d status=%s", process.pid, process.returncode)
            self.on_end()


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
