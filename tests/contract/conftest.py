"""A workspace of four colours and the app of `ui` over it, for the tests of one module."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from search.workspace import Workspace
from tests.contract.in_process import serve
from tests.contract.served import open_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path_factory.mktemp("data"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[TestClient]:
    assert workspace.jobs is not None
    workspace.jobs.start()
    with serve(workspace) as client:
        yield client
