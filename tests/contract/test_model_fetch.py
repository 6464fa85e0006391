"""`python app.py model`, as a process of its own, on a hub of ours."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.hub_server import HubServer, serving
from tests.processes import ROOT, served_ui
from tests.unit.encoders.exports import write_export

NAME = "onnx:immich-app/small"
REPO = "immich-app/small"
DATA = "visual/model.onnx.data"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubServer]:
    with serving() as server:
        folder = write_export(tmp_path / "export", length=77, context_length=77)
        (folder / DATA).write_bytes(b"\1" * 4_000_000)
        server.add_folder(REPO, folder)
        yield server


@pytest.fixture
def environment(server: HubServer, tmp_path: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SIGHTLINE_"))},
        "HF_ENDPOINT": server.endpoint,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "SIGHTLINE_DATA_DIR": str(tmp_path / "data"),
    }


def app(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        stdin=subprocess.DEVNULL,
    )


def until(holds: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def test_a_fetch_that_was_killed_asks_only_for_the_rest(
    server: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    server.held = {DATA: 2_500_000}
    process = subprocess.Popen([sys.executable, "app.py", "model", "fetch", NAME, "--yes"], cwd=ROOT, env=environment)
    assert server.holding.wait(60)
    digest = hashlib.sha256(b"\1" * 4_000_000).hexdigest()
    partial = tmp_path / "cache" / "models--immich-app--small" / "blobs" / f"{digest}.incomplete"
    until(lambda: partial.is_file() and partial.stat().st_size >= 2_000_000)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    server.release.set()
    size, before = partial.stat().st_size, len(server.asked)
    done = app(environment, "model", "fetch", NAME, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f'Here: "{NAME}", 4 MB, every file checked.'
    asked = [asked.range for asked in server.asked[before:] if asked.path == f"/{digest}"]
    assert asked == [f"bytes={size}-"]
    assert sum(asked.path == f"/{digest}" for asked in server.asked) == 2


def test_nothing_comes_before_somebody_agreed(server: HubServer, environment: dict[str, str]) -> None:
    asked = app(environment, "model", "fetch", NAME)
    assert asked.returncode == 1
    assert asked.stdout.startswith(f'"{NAME}" from {server.endpoint.removeprefix("http://")}, revision ')
    assert asked.stdout.endswith(": 4 MB\n")
    assert asked.stderr == f"Nothing was fetched: nobody can be asked here. Add --yes to fetch {NAME}.\n"
    assert server.contents_asked() == []


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_in_a_terminal_it_asks_and_shows_how_far_it_is(
    server: HubServer, environment: dict[str, str], answer: str, code: int
) -> None:
    server.held = {DATA: 2_500_000}
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "app.py", "model", "fetch", NAME],
        cwd=ROOT,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = read_until(ours, "Download it?")
    os.write(ours, f"{answer}\n".encode())
    if answer == "y":
        said += read_until(ours, " of 4 MB · ")
        server.release.set()
    said += read_until(ours, "Aborted" if answer == "n" else "every file checked.")
    assert process.wait(60) == code
    os.close(ours)
    assert "revision" in said.partition("Download it?")[0]
    assert bool(server.contents_asked()) is (answer == "y")


def read_until(terminal: int, words: str) -> str:
    said = ""
    while words not in said:
        said += os.read(terminal, 4096).decode()
    return said


def test_a_command_whose_model_is_missing_says_how_to_get_it_and_the_list_what_is_here(
    server: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    missing = app({**environment, "SIGHTLINE_MODEL": NAME}, "collections", "create", "photos")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == (
        f'The model "{NAME}" has not been downloaded: `python app.py model fetch {NAME}` says how large it is, asks, '
        "and fetches it; or name a folder, or use the bundled model.\n"
    )
    assert server.asked == []
    assert app(environment, "model", "list").stdout == "pocket  ready\n"
    (tmp_path / "export" / DATA).unlink()
    commit = server.add_folder(REPO, tmp_path / "export")
    assert app(environment, "model", "fetch", NAME, "--yes").returncode == 0
    listed = app(environment, "model", "list").stdout.splitlines()
    where = server.endpoint.removeprefix("http://")
    assert listed == ["pocket  ready", f"{NAME}  ready  1 kB  revision {commit[:12]}  {where}"]
    made = app({**environment, "SIGHTLINE_OFFLINE": "1"}, "collections", "create", "photos", "--model", NAME)
    assert (made.returncode, made.stdout) == (0, f'Made "photos" for the model {NAME}.\n')


def test_a_model_is_removed_unless_a_collection_needs_it(
    server: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "export" / DATA).unlink()
    server.add_folder(REPO, tmp_path / "export")
    assert app(environment, "model", "fetch", NAME, "--yes").returncode == 0
    assert app(environment, "collections", "create", "photos", "--model", NAME).returncode == 0
    refused = app(environment, "model", "remove", NAME)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f'"{NAME}" stays: photos could not be searched without it. Delete that first.\n'
    assert app(environment, "collections", "delete", "photos", "--yes").returncode == 0
    removed = app(environment, "model", "remove", NAME).stdout.splitlines()
    assert removed[0].startswith(f'Removed "{NAME}": ')
    assert removed[1] == "1 kB stay in the hub's cache, where other programs may use them."
    assert app(environment, "model", "list").stdout == "pocket  ready\n"


def test_a_model_is_removed_by_the_server_that_may_be_using_it(
    server: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    hub = {name: environment[name] for name in ("HF_ENDPOINT", "HF_HUB_CACHE")}
    server.held = {DATA: 100_000}
    with served_ui(tmp_path / "data", **hub) as address:
        url = f"http://{address}/api/models"
        assert httpx.post(url, json={"model": NAME, "download": True}, timeout=60).status_code == 202
        assert server.holding.wait(60)
        busy = app(environment, "model", "remove", NAME)
        assert (busy.returncode, busy.stderr) == (1, f'"{NAME}" is being downloaded: cancel that first.\n')
        server.release.set()
        until(lambda: httpx.get(url).json()["downloads"][0]["state"] == "done")
        assert app(environment, "model", "remove", NAME).stdout.startswith(f'Removed "{NAME}": ')
        assert httpx.get(url).json()["downloads"] == []


def test_ctrl_c_stops_and_says_that_it_goes_on(server: HubServer, environment: dict[str, str]) -> None:
    server.held = {DATA: 2_500_000}
    process = subprocess.Popen(
        [sys.executable, "app.py", "model", "fetch", NAME, "--yes"],
        cwd=ROOT,
        env={**environment, "HF_HUB_DOWNLOAD_TIMEOUT": "6"},  # it looks up from a server that says nothing by then
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.holding.wait(60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "Stopped; what came is kept, and the same command goes on."
    assert process.returncode == 130


def test_a_fetch_that_fails_says_so_once(server: HubServer, environment: dict[str, str]) -> None:
    server.served = {DATA: b"\2" * 4_000_000}
    done = app(environment, "model", "fetch", NAME, "--yes")
    where = server.endpoint.removeprefix("http://")
    assert (done.returncode, done.stderr) == (
        1,
        f'The file {DATA} of "{NAME}" from {where} has another hash than the hub said; it was deleted: fetch the model '
        "again, and if that does not help, look at what stands between here and there.\n",
    )


def test_offline_one_sentence_is_all(server: HubServer, environment: dict[str, str]) -> None:
    done = app({**environment, "SIGHTLINE_OFFLINE": "1"}, "model", "fetch", NAME, "--yes")
    assert done.returncode == 1
    assert done.stderr == (
        f'"{NAME}" is not here, and SIGHTLINE_OFFLINE forbids looking for it on a network: unset it, or name a folder, '
        "or use the bundled model.\n"
    )
    assert server.asked == []


def test_a_process_that_encodes_with_a_fetched_model_imports_no_hub_and_no_torch(
    server: HubServer, environment: dict[str, str]
) -> None:
    assert app(environment, "model", "fetch", NAME, "--yes").returncode == 0
    code = (
        "import sys, os; from settings import read_settings; import app\n"
        f"workspace = app.join(read_settings(os.environ), write=False); print(workspace.encoder({NAME!r}).dim)\n"
        "print(sorted({'torch', 'open_clip', 'huggingface_hub'} & set(sys.modules))); workspace.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("3\n[]\n", "")


def test_a_page_whose_model_is_not_here_is_served_and_fetches_it_in_its_own_process(
    server: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "export" / DATA).unlink()
    server.add_folder(REPO, tmp_path / "export")
    hub = {name: environment[name] for name in ("HF_ENDPOINT", "HF_HUB_CACHE")}
    with served_ui(tmp_path / "data", SIGHTLINE_MODEL=NAME, **hub) as address:
        url = f"http://{address}/api/models"
        assert [(m["name"], m["state"]) for m in httpx.get(url).json()["models"][:2]] == [
            (NAME, "needs_download"),
            ("pocket", "ready"),
        ]
        assert server.asked == []
        assert httpx.post(url, json={"model": NAME, "download": True}, timeout=60).status_code == 202
        until(lambda: httpx.get(url).json()["downloads"][0]["state"] == "done")
        made = httpx.post(f"http://{address}/api/collections", json={"name": "photos", "model": NAME}, timeout=60)
        assert made.status_code == 201
