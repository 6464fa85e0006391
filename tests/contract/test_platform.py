"""How SageMaker runs `serve`: its port, its release, and no network; each shown on a process."""

import base64
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.contract.served import picture
from tests.processes import ROOT, free_port, is_ready

# In every Python process below: what would leave this machine is written down, and does not leave it.
WATCH = """
import os
import sys

def watch(event, arguments):
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else "127.0.0.1"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        host = arguments[0] if event != "socket.sendto" else arguments[1][0]
    else:
        return
    if host not in (None, "", "127.0.0.1", "::1", "localhost", b"127.0.0.1"):
        with open(os.environ["LEFT"], "a") as file:
            file.write(f"{event} {host}\\n")
        raise OSError(f"{host} is not to be reached")

sys.addaudithook(watch)
"""

# `python app.py serve`, but for where the platform unpacks a release.
SERVE = """
import os
import sys
from pathlib import Path
from app import join
from settings import read_settings
from ui.start import run_serve

run_serve(read_settings(os.environ), join, model_dir=Path(sys.argv[1]))
"""


@pytest.fixture
def isolated(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SIGHTLINE_", "AWS_", "HF_"))}
    places = {"HOME": str(tmp_path), "SIGHTLINE_DATA_DIR": str(tmp_path / "data"), "LEFT": str(tmp_path / "left")}
    return {**ours, **places, "PYTHONPATH": f"{tmp_path / 'watch'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def started(model_dir: Path, environment: dict[str, str]) -> Iterator[int]:
    """The port; it has ended with 0 when this is left."""
    port = free_port()
    environment = {**environment, "SAGEMAKER_BIND_TO_PORT": port}
    with subprocess.Popen([sys.executable, "-c", SERVE, str(model_dir)], cwd=ROOT, env=environment) as process:
        try:
            while not is_ready(int(port)):
                assert process.poll() is None, f"it ended with {process.returncode}"
                select.select([], [], [], 0.05)
            yield int(port)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def invoked(port: int, body: bytes, type: str = "application/json") -> dict[str, object]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/invocations", body, {"content-type": type})
        answer = connection.getresponse()
        told: dict[str, object] = json.loads(answer.read())
        assert answer.status == 200, told
        return told


def test_a_release_that_the_platform_unpacked_is_served_unchanged_and_nothing_leaves_the_machine(
    isolated: dict[str, str], tmp_path: Path
) -> None:
    release = tmp_path / "model"
    command = [sys.executable, "app.py", "release", "build", "gallery", str(release)]
    subprocess.run(command, cwd=ROOT, env=isolated, check=True, capture_output=True, timeout=500)
    for path in [release, *release.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [release, *release.rglob("*")]}
    image = picture("red", kind="JPEG")
    with started(release, isolated) as port:
        assert invoked(port, b"a pig", "text/plain")["collection"] == "gallery"
        assert invoked(port, image, "image/jpeg")["size"] == 1_000
        embed = {"embed": {"texts": ["a pig"], "images": [base64.b64encode(image).decode()]}}
        assert invoked(port, json.dumps(embed).encode())["model"] == "pocket"
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [release, *release.rglob("*")]} == before
    assert not (tmp_path / "left").exists()


def test_without_a_release_the_bundled_model_and_gallery_answer_and_nothing_leaves_the_machine(
    isolated: dict[str, str], tmp_path: Path
) -> None:
    with started(tmp_path / "nothing", isolated) as port:
        assert invoked(port, b"a pig", "text/plain")["collection"] == "gallery"
    assert not (tmp_path / "left").exists()


def test_what_would_leave_the_machine_is_seen(isolated: dict[str, str], tmp_path: Path) -> None:
    code = "from urllib.request import urlopen; urlopen('http://192.0.2.1', timeout=1)"
    ran = subprocess.run([sys.executable, "-c", code], env=isolated, capture_output=True, text=True, timeout=60)
    assert "192.0.2.1 is not to be reached" in ran.stderr
    assert "192.0.2.1" in (tmp_path / "left").read_text()


def test_it_listens_on_8080_unless_told_otherwise(tmp_path: Path) -> None:
    """The port is taken, by this test or by somebody else, so that the refusal names it."""
    environment = {name: value for name, value in os.environ.items() if name != "PORT"}
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass
        ran = subprocess.run(
            [sys.executable, "app.py", "serve"],
            cwd=ROOT,
            env={**environment, "SIGHTLINE_DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ran.returncode == 1
    assert "Can't listen on 127.0.0.1, port 8080 (Address already in use)" in ran.stderr
