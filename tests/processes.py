"""Sightline as a process of its own, for the tests that look at it from outside."""

import os
import random
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*arguments: str, data_dir: Path, code: int = 0, **environment: str) -> str:
    """`python app.py ARGUMENTS`, which ends with that code; what it said."""
    done = subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "SIGHTLINE_DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def served_ui(data_dir: Path, *, log: Path | None = None, **environment: str) -> Iterator[str]:
    """`python app.py ui` on a free port; yields host:port once it answers. `log`: where its log goes."""
    with log.open("ab") if log else nullcontext(subprocess.DEVNULL) as errors:
        process = subprocess.Popen(
            [sys.executable, "app.py", "ui"],
            cwd=ROOT,
            env={**os.environ, "PORT": free_port(), "SIGHTLINE_DATA_DIR": str(data_dir), **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        said = next((line for line in process.stdout if "http://" in line), "")
        found = re.search(r"http://([\w.]+:\d+)", said)
        assert found, f"it ended with {process.wait(60)} and never said its address"
        yield found.group(1)
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


@contextmanager
def served(data_dir: Path, *, log: Path | None = None, **environment: str) -> Iterator[str]:
    """`python app.py serve`, as a container is started; yields host:port once its /ping is 200."""
    with serving_process(data_dir, log=log, **environment) as (process, port):
        yield f"127.0.0.1:{port}"
        process.terminate()
        assert process.wait(60) == 0


@contextmanager
def serving_process(
    data_dir: Path, *, log: Path | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The same, for who ends it: the process and its port."""
    port = free_port()
    with (
        log.open("ab") if log else nullcontext(subprocess.DEVNULL) as errors,
        subprocess.Popen(
            [sys.executable, "app.py", "serve"],
            cwd=ROOT,
            env={**os.environ, "PORT": port, "SIGHTLINE_DATA_DIR": str(data_dir), **environment},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        ) as process,
    ):
        try:
            while not is_ready(int(port)):
                assert process.poll() is None, f"it ended with {process.returncode}"
                select.select([], [], [], 0.05)
            yield process, int(port)
        finally:
            process.kill()


def is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


def free_port() -> str:
    """Below those that the system gives out by itself, from 32768: nobody gets it before it is bound."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return str(port)
    raise OSError("100 ports from 20000 to 32000 are taken")
