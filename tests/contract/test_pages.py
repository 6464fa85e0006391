"""Every shell command that a page shows is run as it stands, in a folder like a clone, or needs what is not here.

README's are run by test_readme, those of the guide's "Calling it" by test_guide.
"""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from deploy.config import read_config
from tests.processes import ROOT, free_port, is_ready, served_ui

# A pattern for whole commands, and what they need.
NOT_HERE = {
    r"python -m deploy (plan|up|status|logs|smoke|update|rollback|down) --target (ecs|sagemaker)( .*)?": "AWS",
    r"python -m deploy batch .*": "AWS",
    r"aws .*": "AWS",
    r"python app.py import s3://.*": "AWS",
    r"docker (build|run) [^&]*": "a container engine",
    r"python -m bench load .*": "a quiet machine for hours",
}
PASSWORD = "correct horse battery"


def shown(name: str) -> list[str]:
    """A page's commands in their order; a loop is one, and what explains a command is none of it."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8").split("## Calling it\n")[0]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    commands: list[str] = []
    for line in lines:
        if commands and commands[-1].startswith("for ") and "done" not in commands[-1]:
            commands[-1] += "\n" + line
        else:
            commands.append(re.sub(r" +# .*", "", line))
    return commands


def here(name: str) -> list[str]:
    return [command for command in shown(name) if not any(re.fullmatch(pattern, command) for pattern in NOT_HERE)]


@dataclass(frozen=True, slots=True)
class Clone:
    """A folder with the repository's files, a home of its own, and `aws` and `docker` that only note what is asked."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIGHTLINE_", "AWS_"))}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**kept, "PATH": path, "HOME": str(self.folder / "home"), **self.settings}

    def run(self, command: str, *, given: str = "") -> str:
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def run_all(self, commands: Sequence[str], address: str = "") -> list[str]:
        """What each says. Nobody can be asked for a password twice; `address`: in place of the page's."""
        said = []
        for command in commands:
            given = ""
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                self.settings[name] = self.run(f"printf %s {value}")
            elif re.search(r" user add ", command):
                command, given = f"{command} --password-stdin", f"{PASSWORD}\n"
            said.append(self.run(command.replace("127.0.0.1:7860", address), given=given))
        return said

    @contextmanager
    def running(self, command: str) -> Iterator[int]:
        """A command that serves, on a port that is free; it ends with 0."""
        port = free_port()
        process = subprocess.Popen(
            ["sh", "-ec", f"exec env {command}"],
            cwd=self.folder,
            env={**self.environment, "PORT": port},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not is_ready(int(port)):
                assert process.poll() is None, f"it ended with {process.returncode}"
                select.select([], [], [], 0.05)
            yield int(port)
        finally:
            process.terminate()
            assert process.wait(60) == 0

    def noted(self, program: str) -> list[str]:
        return (self.folder / "bin" / f"{program}.asked").read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    folder = tmp_path / "clone"
    folder.mkdir()
    rooms = ("bench", "deploy", "docs", "pocket", "search", "store", "tests", "ui")
    files = [
        path for path in ROOT.iterdir() if path.suffix in (".py", ".txt") or path.name in ("LICENSE", "Dockerfile")
    ]
    for path in [*files, ROOT / "pyproject.toml", *(ROOT / room for room in rooms)]:
        (folder / path.name).symlink_to(path)
    for place in ("bin", "home/photos"):
        (folder / place).mkdir(parents=True)
    write_program(folder / "bin" / "python", f'exec "{sys.executable}" "$@"')
    for program in ("aws", "docker"):
        write_program(folder / "bin" / program, f'echo "$@" >> "{folder}/bin/{program}.asked"')
    for number, colour in enumerate(("red", "green", "blue", "navy", "white", "black", "pink", "gold")):
        Image.new("RGB", (64, 48), colour).save(folder / "home" / "photos" / f"{number}.png")
    return Clone(folder)


def write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def found(port: int, path: str, query: str, headers: Mapping[str, str]) -> int:
    """How many hits there are."""
    request = Request(f"http://127.0.0.1:{port}{path}", query.encode(), {"content-type": "text/plain", **headers})
    with urlopen(request, timeout=60) as answer:
        return len(json.load(answer)["hits"])


def test_every_command_of_every_page_is_run_here_or_needs_what_is_not_here() -> None:
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert {name for name in pages if here(name)} == {"guide.md", "parts.md", "releases.md", "security.md"}
    commands = [command for name in pages for command in shown(name)]
    assert [pattern for pattern in NOT_HERE if not any(re.fullmatch(pattern, one) for one in commands)] == []


def test_the_commands_of_releases(clone: Clone) -> None:
    clone.run("python app.py index ~/photos --collection photos")
    *commands, serve = here("releases.md")
    clone.run_all(commands)
    assert (clone.folder / "photos-1.tar.gz").is_file()
    assert (clone.folder / "encoder.tar.gz").is_file()
    with clone.running(serve) as port:
        assert found(port, "/invocations", "a red boat", {}) == 8


def test_the_commands_of_parts(clone: Clone) -> None:
    clone.run_all(here("parts.md"))
    assert len(list((clone.folder / "parts").glob("part-*-of-0004"))) == 4
    listed = json.loads(clone.run("python app.py search boat --collection photos --top-k 20 --json"))
    assert len(listed["hits"]) == 8


def test_the_commands_of_security(clone: Clone) -> None:
    *commands, ui, curl = here("security.md")
    said = clone.run_all(commands)
    assert "ada  editor\n" in said
    (clone.settings["TOKEN"],) = [text.strip() for text in said if text.startswith("sl_")]
    with clone.running(ui) as port:
        asked = curl.replace("http://…", f"http://127.0.0.1:{port}")
        assert asked != curl
        assert len(json.loads(clone.run(asked))["hits"]) > 0


def test_the_commands_of_the_guide(clone: Clone, tmp_path: Path) -> None:
    with served_ui(tmp_path / "served") as address:
        while not is_ready(int(address.rpartition(":")[2])):
            select.select([], [], [], 0.05)
        said = clone.run_all(here("guide.md"), address)
    asked = clone.noted("aws")
    assert [line.split()[1] for line in asked] == ["create-policy", "attach-role-policy"] * 4
    policy = (clone.folder / "policy.json").read_text()
    assert json.loads(policy)["Version"] == "2012-10-17"
    assert re.findall("123456789012|eu-central-1|sightline", policy) == []
    for target in ("ecs", "sagemaker", "space"):
        image = read_config(clone.folder / "deploy.toml", target).image
        assert (image.source, image.tag) == ("sightline:0.2.0", "0.2.0")
    assert [user["name"] for user in json.loads((clone.folder / "users.json").read_text())["users"]] == ["ada"]
    assert len(json.loads((clone.folder / "golden.json").read_text())["queries"]) > 0
    assert "hf upload" in said[-1]
    assert (clone.folder / "build" / "space" / "app.py").is_file()
