"""A Sightline process under measurement: started on a free port with a data folder of its own, stopped at the end."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
START_LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: psutil.Process
    start_s: float  # from the command to the first 200 of /ping

    def memory_mb(self) -> float:
        """Proportional set size of the process and its children, so that shared pages count once."""
        family = [self.process, *self.process.children(recursive=True)]
        return float(sum(member.memory_full_info().pss for member in family)) / 2**20

    def has_loaded(self, library: str) -> bool:
        """Whether a shared library of this name is mapped into the process."""
        return any(library in Path(mapped.path).name for mapped in self.process.memory_maps())


@contextmanager
def running(duty: str, data_dir: Path, **settings: str) -> Iterator[Server]:
    port = _free_port()
    environment = {
        **os.environ,
        "SIGHTLINE_DATA_DIR": str(data_dir),
        "PORT": str(port),
        **{f"SIGHTLINE_{name.upper()}": value for name, value in settings.items()},
    }
    started = time.perf_counter()
    with (data_dir.parent / f"{data_dir.name}-{duty}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py", duty], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for_ping(url, process)
        yield Server(url, psutil.Process(process.pid), time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for_ping(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} answered no 200 on /ping within {START_LIMIT_S} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
