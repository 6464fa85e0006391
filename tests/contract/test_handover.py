"""A command that wants to change a data folder which a server has open: the server does it, the command shows it."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from search.workspace import Workspace
from settings import Settings
from store.lock import read_holder
from tests.contract.served import open_workspace, picture
from ui.access import Access
from ui.commands import Bundled, build
from ui.readiness import Readiness
from ui.server import make_api
from ui.service import Limits, make_service


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Workspace]:
    """The workspace that a real server, which listens wider than loopback, has open for writing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        workspace = open_workspace(tmp_path)
        assert workspace.jobs
        workspace.jobs.start()
        workspace.library.announce(f"http://127.0.0.1:{listener.getsockname()[1]}")
        holder = workspace.library.holder
        assert holder
        access = Access(host="0.0.0.0", token=holder.token)
        service = make_service(workspace, access=access, limits=Limits(), readiness=Readiness(lambda: None))
        running = uvicorn.Server(uvicorn.Config(make_api(service), log_config=None))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield workspace
        running.should_exit = True
        thread.join()
        workspace.close()


def run(data_dir: Path, *arguments: str) -> Result:
    def join(settings: Settings, *, write: bool) -> Workspace:
        return open_workspace(settings.data_dir, write=write)

    settings = Settings(data_dir=data_dir, model="fake")
    app = build(
        settings,
        join,
        holder=lambda: read_holder(data_dir),
        bundled=Bundled("colours", Path(), card=lambda encoder: ""),
    )
    return CliRunner().invoke(app, arguments)


def test_index_is_done_by_the_server_and_shown_by_the_command(server: Workspace, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "sea.png").write_bytes(picture("blue"))
    (photos / "torn.png").write_bytes(b"no image")
    result = run(tmp_path, "index", str(photos), "-c", "holidays")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, '"holidays": 1 added or changed, 1 unusable.')
    assert "photos/torn.png: " in result.stderr
    assert len(server.engine("holidays").collection) == 1


def test_collections_are_changed_by_the_server(server: Workspace, tmp_path: Path) -> None:
    assert run(tmp_path, "collections", "create", "by hand").exit_code == 0
    assert [info.name for info in server.library.list()] == ["by hand", "colours"]
    assert run(tmp_path, "collections", "delete", "by hand", "--yes").exit_code == 0
    assert [info.name for info in server.library.list()] == ["colours"]


def test_what_the_server_refuses_is_said_in_its_words(server: Workspace, tmp_path: Path) -> None:
    result = run(tmp_path, "collections", "create", "colours")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "There is a collection 'colours' already; choose another name.\n"


def test_searching_needs_no_handing_over(server: Workspace, tmp_path: Path) -> None:
    assert run(tmp_path, "search", "red", "--top-k", "1").stdout.endswith("  =plain red\n")


def test_a_holder_that_serves_nothing_is_named_by_its_pid(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    holder = workspace.library.holder
    assert holder
    result = run(tmp_path, "index", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == (
        f"Process {holder.pid} has this data folder open for writing, and only one can: wait until it is done, "
        "or stop it.\n"
    )
    workspace.close()


def test_a_holder_that_does_not_answer_is_named(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    workspace.library.announce(address)
    result = run(tmp_path, "index", str(tmp_path))
    assert result.exit_code == 1
    assert f"does not answer at {address}" in result.stderr
    workspace.close()
