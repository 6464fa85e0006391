"""The guide's commands are those of the command line, and its keys those of deploy.toml."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from deploy.__main__ import parser
from deploy.sections import Alarms, Cost, Deploy, Ecs, Image, Release, Sagemaker, Space

GUIDE = (Path(__file__).parents[3] / "docs" / "guide.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?:.*&& )?python -m deploy (.+)$", GUIDE, re.MULTILINE)
SECTIONS = {
    "deploy": Deploy,
    "image": Image,
    "release": Release,
    "ecs": Ecs,
    "sagemaker": Sagemaker,
    "space": Space,
    "alarms": Alarms,
    "cost": Cost,
}


def test_the_guide_shows_every_verb() -> None:
    shown = {command.split()[0] for command in COMMANDS}
    assert shown == {"plan", "up", "status", "logs", "smoke", "update", "rollback", "down", "golden", "batch"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_is_understood(command: str) -> None:
    options = parser().parse_args(shlex.split(command))
    assert options.verb == command.split()[0]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_guide_names_every_key_with_its_default(section: str) -> None:
    (row,) = re.findall(rf"^\| `\[{section}\]` \| (.+) \|$", GUIDE, re.MULTILINE)
    named = dict(re.findall(r"`([a-z][a-z0-9_]+)`(?: \(`?([^)`]*)`?[^)]*\))?", row))
    for key in fields(SECTIONS[section]):
        assert key.name in named
        if isinstance(key.default, int | float):
            assert (
                named[key.name] == f"{key.default:g}" if not isinstance(key.default, bool) else str(key.default).lower()
            )
