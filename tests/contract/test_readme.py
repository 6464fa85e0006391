"""Each command and example that README shows is run, against a data folder and a home of its own."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.hub_server import serving
from tests.processes import served_ui

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [line.split("  #")[0].strip() for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
SHELL = [command for command in COMMANDS if command.startswith(".venv/bin/python app.py")]
CURL = [command for command in COMMANDS if command.startswith("curl")]
PYTHON = [block for kind, block in BLOCKS if kind == "python"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three pictures."""
    home = tmp_path_factory.mktemp("home")
    (home / "Pictures").mkdir()
    for name, colour in (("dog", "brown"), ("sea", "navy"), ("sky", "skyblue")):
        Image.new("RGB", (300, 200), colour).save(home / "Pictures" / f"{name}.jpg")
    Image.new("RGB", (300, 200), "red").save(home / "boat.jpg")
    return home


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_ui(tmp_path_factory.mktemp("served") / "data") as address:
        yield address


def run(arguments: list[str], *, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        arguments, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_of_readme_is_covered() -> None:
    assert [c for c in COMMANDS if c and not c.startswith("make ") and c not in SHELL and c not in CURL] == []
    assert (len(SHELL), len(CURL), len(PYTHON)) == (7, 1, 1)


@pytest.mark.parametrize("target", [command.split()[1] for command in COMMANDS if command.startswith("make ")])
def test_make_knows_the_target(target: str) -> None:
    run(["make", "--dry-run", target], cwd=ROOT)


@pytest.fixture
def hub() -> Iterator[str]:
    """README's model, with the bundled one behind its name."""
    with serving() as server:
        (name,) = {word for command in SHELL for word in shlex.split(command) if word.startswith("onnx:")}
        server.add_folder(name.removeprefix("onnx:"), ROOT / "pocket" / "encoder")
        yield server.endpoint


def test_the_shell_commands_work_in_their_order(home: Path, tmp_path: Path, hub: str) -> None:
    places = {"HOME": str(home), "SIGHTLINE_DATA_DIR": str(tmp_path / "data"), "HF_HUB_CACHE": str(tmp_path / "hub")}
    for command in SHELL:
        words = command.replace(".venv/bin/python", sys.executable)
        words += " --yes" * (" model fetch " in command)  # nobody can be asked here
        assert run(["sh", "-c", words], cwd=ROOT, HF_ENDPOINT=hub, **places).strip(), command


def test_what_readme_searches_for_in_the_gallery_is_found_first(tmp_path: Path) -> None:
    asked = [words for command in SHELL if (words := shlex.split(command))[2] == "search"]
    wishes = {words[3]: words for words in asked if "--collection" not in words}
    assert list(wishes) == ["a guitar on the beach", "a castle"]
    for wish, words in wishes.items():
        found = run([sys.executable, *words[1:]], cwd=ROOT, SIGHTLINE_DATA_DIR=str(tmp_path))
        best = json.loads(found)["hits"][0]["caption"] if "--json" in words else found.splitlines()[0]
        assert " ".join(wish.split()[:2]) in best


@pytest.mark.parametrize("command", CURL)
def test_the_curl_example_finds_images(command: str, address: str, home: Path) -> None:
    hits = json.loads(run(["sh", "-c", command.replace("localhost:7860", address)], cwd=home))["hits"]
    assert len(hits) == 3
    assert "pig" in hits[0]["caption"]


@pytest.mark.parametrize("example", PYTHON)
def test_the_python_example_finds_images(example: str, address: str, home: Path) -> None:
    lines = run([sys.executable, "-c", example.replace("localhost:7860", address)], cwd=home).splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5"]
