"""The workflows run what anyone can run, with actions pinned by hash and no stored key."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).parents[2] / ".github" / "workflows").glob("*.yml"))


def loaded(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in document["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit_and_says_which_version_that_is(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if "uses:" in line and "./.github/" not in line:
            assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_workflow_may_write_unless_a_job_says_so(path: Path) -> None:
    assert loaded(path)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_stored_secret_is_used(path: Path) -> None:
    assert "secrets." not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_value_from_outside_is_pasted_into_a_script(path: Path) -> None:
    """In the environment it is data; in the script's text it would be program."""
    assert [step["run"] for step in steps(loaded(path)) if "${{" in step.get("run", "")] == []


def test_what_is_tested_on_push_is_what_anyone_runs() -> None:
    commands = [step["run"] for step in steps(loaded(WORKFLOWS[0].with_name("test.yml"))) if "run" in step]
    assert commands == ["make check", "make test", "make image-test"]


def test_production_waits_for_staging_and_gets_the_same_image() -> None:
    jobs = loaded(WORKFLOWS[0].with_name("release.yml"))["jobs"]
    assert jobs["production"]["needs"] == ["image", "staging"]
    given = [jobs[name]["with"]["reference"] for name in ("staging", "production")]
    assert given == ["${{ needs.image.outputs.reference }}"] * 2
