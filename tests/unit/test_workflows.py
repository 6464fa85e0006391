"""The workflows run what anyone can run, with actions pinned by hash and no stored key."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
DEPLOY = RELEASE.with_name("deploy.yml")


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


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_runs_with_rights_for_what_a_stranger_sent(path: Path) -> None:
    """A pull request from a fork runs as itself: `pull_request` gives it no rights, these two would."""
    assert not {"pull_request_target", "workflow_run"} & set(loaded(path)[True])  # "on" is true in YAML 1.1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_ends_and_leaves_no_token_in_the_repositorys_folder(path: Path) -> None:
    document = loaded(path)
    assert [name for name, job in document["jobs"].items() if "steps" in job and "timeout-minutes" not in job] == []
    checkouts = [step for step in steps(document) if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(checkouts)


def test_only_the_image_is_written_and_only_a_deployment_becomes_somebody_at_aws() -> None:
    given = {(path.stem, name): job.get("permissions", {}) for path in WORKFLOWS for name, job in jobs_of(path)}
    may_write = {job: {what for what, how in rights.items() if how == "write"} for job, rights in given.items()}
    assert {job: rights for job, rights in may_write.items() if rights} == {
        ("release", "image"): {"packages"},
        ("release", "staging"): {"id-token"},
        ("release", "production"): {"id-token"},
        ("deploy", "deploy"): {"id-token"},
    }
    (job,) = [job for _, job in jobs_of(DEPLOY)]
    assert job["environment"] == "${{ inputs.environment }}"  # whose reviewers approve, and whose variables it gets
    assert [with_environment(job) for _, job in jobs_of(RELEASE) if "deploy.yml" in job.get("uses", "")] == [
        "staging",
        "production",
    ]


def jobs_of(path: Path) -> list[tuple[str, dict[str, Any]]]:
    return list(loaded(path)["jobs"].items())


def with_environment(job: dict[str, Any]) -> str:
    return str(job["with"]["environment"])


def test_aws_is_reached_by_a_role_and_no_key() -> None:
    (step,) = [step for step in steps(loaded(DEPLOY)) if "configure-aws-credentials" in step.get("uses", "")]
    assert set(step["with"]) == {"role-to-assume", "aws-region", "audience"}
    assert step["with"]["audience"] == "${{ vars.AWS_AUDIENCE || 'sts.amazonaws.com' }}"  # China has another one


def test_a_tag_that_is_released_is_a_version_and_no_program() -> None:
    assert loaded(RELEASE)[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}


@pytest.mark.parametrize(
    ("tag", "version", "said"),
    [
        ("v1.2.3", "1.2.3", ""),
        (
            "v1.2.4",
            "1.2.3",
            'The tag is v1.2.4, and pyproject.toml says version = "1.2.3": tag this commit v1.2.3, or ',
        ),
        ("v1.2.3", "1.2.30", 'The tag is v1.2.3, and pyproject.toml says version = "1.2.30": tag this commit v1.2.30,'),
    ],
)
def test_a_tag_is_the_version_of_its_commit_or_nothing_is_released(
    tmp_path: Path, tag: str, version: str, said: str
) -> None:
    jobs = loaded(RELEASE)["jobs"]
    assert (jobs["test"]["needs"], jobs["image"]["needs"]) == ("version", "test")
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    told = re.sub(r'^version = ".*"$', f'version = "{version}"', text, flags=re.MULTILINE)
    (tmp_path / "pyproject.toml").write_text(told, encoding="utf-8")
    (script,) = [step["run"] for step in jobs["version"]["steps"] if "run" in step]
    environment = {"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == (1 if said else 0)
    assert done.stdout.startswith(f"::error::{said}" if said else "")
    assert bool(done.stdout) == bool(said)


def test_an_image_is_tested_scanned_and_listed_before_it_is_published() -> None:
    image = loaded(RELEASE)["jobs"]["image"]
    done = [step.get("uses", step.get("run", "")).split("@")[0] for step in image["steps"]]
    order = [next(n for n, what in enumerate(done) if part in what) for part in ("image-test", "scan", "sbom", "push")]
    assert order == sorted(order)
    settings = {done[n].rpartition("/")[2]: image["steps"][n].get("with", {}) for n in order}
    scan, listing = settings["scan-action"], settings["sbom-action"]
    assert (scan["fail-build"], scan["severity-cutoff"]) == (True, "high")
    assert (listing["format"], listing["upload-release-assets"]) == ("cyclonedx-json", False)
    assert scan["image"] == listing["image"] == "sightline-test:serve"


def test_dependabot_keeps_packages_actions_and_the_base_image() -> None:
    updates = loaded(ROOT / ".github" / "dependabot.yml")["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["pip", "github-actions", "docker"]


def test_a_deployment_is_planned_updated_and_smoked() -> None:
    commands = [step["run"] for step in steps(loaded(DEPLOY)) if "python -m deploy" in step.get("run", "")]
    assert commands == [
        'python -m deploy plan --target "$TARGET"',
        'python -m deploy update --target "$TARGET" --yes',
        'python -m deploy smoke --target "$TARGET"',
    ]


def test_production_waits_for_staging_and_gets_the_same_image() -> None:
    jobs = loaded(RELEASE)["jobs"]
    assert jobs["production"]["needs"] == ["image", "staging"]
    given = [jobs[name]["with"]["reference"] for name in ("staging", "production")]
    assert given == ["${{ needs.image.outputs.reference }}"] * 2
