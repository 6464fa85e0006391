"""What the image is built from: every version it installs is named, and its own is the project's."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.processes import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def requirements(name: str) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


PINS = {canonicalize_name(pin.name): str(pin.specifier) for pin in requirements("constraints.txt")}
DIRECT = [*requirements("requirements-serve.txt"), *requirements("requirements.txt")]


def reached(wanted: list[Requirement]) -> Iterator[str]:
    """Names of all that these need where they are installed, over any number of steps."""
    seen: set[tuple[str, str]] = set()
    while wanted:
        one = wanted.pop()
        name = canonicalize_name(one.name)
        for extra in ["", *one.extras]:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            yield name
            try:
                needs = [Requirement(text) for text in requires(name) or []]
            except PackageNotFoundError:  # for hardware that this machine lacks
                continue
            wanted += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]


def test_the_image_is_started_as_the_platforms_start_it() -> None:
    """What follows `docker run IMAGE` takes CMD's place, and signals reach Python itself."""
    lines = re.findall(r"^(ENTRYPOINT|CMD|STOPSIGNAL|USER) (.*)$", DOCKERFILE, re.MULTILINE)
    assert lines == [("ENTRYPOINT", '["python", "app.py"]'), ("CMD", '["ui"]')]
    assert 'com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"' in DOCKERFILE


def test_each_pin_names_one_version() -> None:
    assert [name for name, version in PINS.items() if not re.fullmatch(r"==[\w.!]+", version)] == []


def test_the_pins_are_those_of_the_requirements() -> None:
    assert {one.name: str(one.specifier) for one in DIRECT} == {
        one.name: PINS.get(canonicalize_name(one.name)) for one in DIRECT
    }, "run `make lock`"


def test_whatever_the_requirements_need_is_pinned_as_well() -> None:
    foreign = ("nvidia-", "cuda-", "triton", "colorama")  # of torch's builds for GPUs, which name them exactly
    lacking = {name for name in reached(list(DIRECT)) if name not in PINS and not name.startswith(foreign)}
    assert lacking == set(), "run `make lock`"


def test_the_image_is_of_the_projects_version_unless_its_build_says_otherwise() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [project["version"]]


def test_every_installation_in_the_image_is_constrained_and_leaves_no_cache() -> None:
    installs = re.findall(r"pip install(?:[^\n]*\\\n)*[^\n]*", DOCKERFILE)
    assert len(installs) == 2
    for install in installs:
        assert "-c /tmp/constraints.txt" in install
        assert "--no-cache-dir" in install
