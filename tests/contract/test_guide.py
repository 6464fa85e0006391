"""Each example of the guide, "Calling it", run as it stands against real processes; only the address is put in."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, is_ready, served, served_ui
from tests.runtime_server import aws_environment, sagemaker_runtime

SECTION = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split("## Calling it\n")[1]
EXAMPLES = re.findall(r"```(sh|python)\n(.*?)```", SECTION, re.DOTALL)
SHELL, PYTHON, GRADIO, BOTO3 = (code for _, code in EXAMPLES)
LINES = re.compile(r"(?:[123] [0-9a-f]+ \d\.\d+\n){3}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_ui(tmp_path_factory.mktemp("ui")) as address:
        while not is_ready(int(address.rpartition(":")[2])):
            select.select([], [], [], 0.05)
        yield address


def ran(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def put_in(code: str, address: str) -> str:
    assert "localhost:7860" in code
    return code.replace("localhost:7860", address)


def test_there_is_an_example_of_each_kind() -> None:
    assert [kind for kind, _ in EXAMPLES] == ["sh", "python", "python", "python"]
    assert ("curl" in SHELL, "urllib" in PYTHON, "gradio_client" in GRADIO, "boto3" in BOTO3) == (True,) * 4


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
def test_curl(page: str, tmp_path: Path) -> None:
    answer = json.loads(ran(["sh", "-c", put_in(SHELL, page)], tmp_path))
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3]


def test_python(page: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "images" / "green.jpg", tmp_path / "boat.jpg")
    assert LINES.fullmatch(ran([sys.executable, "-c", put_in(PYTHON, page)], tmp_path))


def test_gradio_client(page: str, tmp_path: Path) -> None:
    assert LINES.fullmatch(ran([sys.executable, "-c", put_in(GRADIO, page)], tmp_path))


def test_boto3(tmp_path: Path) -> None:
    with served(tmp_path / "data") as container, sagemaker_runtime({"sightline": container}) as runtime:
        said = ran([sys.executable, "-c", BOTO3], tmp_path, **aws_environment(runtime))
    assert LINES.match(said)
    assert said.splitlines()[3:] == ["2 embeddings"]
