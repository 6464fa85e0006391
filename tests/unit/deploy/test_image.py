"""An image is pushed once by what is there to push it, and named by its digest."""

from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from deploy.errors import Refused
from deploy.image import choose, publish, pushes
from deploy.sagemaker_values import processor
from deploy.sections import Image, Sagemaker
from tests.deploy_fakes import ACCOUNT, REGION

REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sightline"
DIGEST = "sha256:" + "a" * 64
IMAGE = Image(source="sightline:0.1.0", tag="0.1.0")
FOUND = {"imageDetails": [{"imageDigest": DIGEST}]}
ASKED = {"repositoryName": "sightline", "imageIds": [{"imageTag": "0.1.0"}]}


class Programs:
    """Those that are installed; what was run, with what it was given."""

    def __init__(self, *installed: str) -> None:
        self.installed = installed
        self.processor = "amd64"
        self.ran: list[tuple[list[str], str]] = []

    def __call__(self, program: Sequence[str], given: str) -> str:
        if program[0] not in self.installed:
            raise Refused(f"{program[0]} is not installed.")
        self.ran.append((list(program), given))
        return f'"architecture":"{self.processor}"\n' if "inspect" in program else ""


@pytest.fixture
def ecr() -> Iterator[Any]:
    client = boto3.client("ecr", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def test_a_tag_that_is_there_is_not_pushed_again(ecr: Any) -> None:
    client, stubber = ecr
    stubber.add_response("describe_images", FOUND, ASKED)
    said: list[str] = []
    programs = Programs("docker")
    assert publish(IMAGE, REPOSITORY, lambda service: client, said.append, programs) == f"{REPOSITORY}@{DIGEST}"
    assert programs.ran == []
    assert said == ["The image 0.1.0 is in the repository already: nothing is pushed, and a new image needs a new tag."]


@pytest.mark.parametrize("missing", ["ImageNotFoundException", "RepositoryNotFoundException"])
def test_a_new_tag_is_pushed_and_the_token_is_on_no_command_line(ecr: Any, missing: str) -> None:
    client, stubber = ecr
    stubber.add_client_error("describe_images", missing, expected_params=ASKED)
    granted = {"authorizationData": [{"authorizationToken": "QVdTOnNlY3JldA=="}]}  # AWS:secret
    stubber.add_response("get_authorization_token", granted, {})
    stubber.add_response("describe_images", FOUND, ASKED)
    programs = Programs("docker")
    assert publish(IMAGE, REPOSITORY, lambda service: client, [].append, programs) == f"{REPOSITORY}@{DIGEST}"
    assert programs.ran == [
        (["docker", "info"], ""),
        (["docker", "image", "inspect", "--format", '"architecture":"{{.Architecture}}"', "sightline:0.1.0"], ""),
        (["docker", "login", "--username", "AWS", "--password-stdin", REPOSITORY.split("/")[0]], "secret"),
        (["docker", "tag", "sightline:0.1.0", f"{REPOSITORY}:0.1.0"], ""),
        (["docker", "push", "--quiet", f"{REPOSITORY}:0.1.0"], ""),
    ]


def test_a_digest_that_is_not_there_is_refused(ecr: Any) -> None:
    client, stubber = ecr
    asked = {"repositoryName": "sightline", "imageIds": [{"imageDigest": DIGEST}]}
    stubber.add_client_error("describe_images", "ImageNotFoundException", expected_params=asked)
    with pytest.raises(Refused, match=r"^There is no image sha256:a+ in .*: look at \[image\] digest"):
        publish(Image(digest=DIGEST), REPOSITORY, lambda service: client, [].append, Programs())


@pytest.mark.parametrize("engine", ["docker", "buildah", "skopeo"])
def test_an_image_for_another_processor_takes_no_tag(ecr: Any, engine: str) -> None:
    client, stubber = ecr
    stubber.add_client_error("describe_images", "ImageNotFoundException", expected_params=ASKED)
    programs = Programs(engine)
    programs.processor = "arm64"
    with pytest.raises(Refused) as refused:
        publish(IMAGE, REPOSITORY, lambda service: client, [].append, programs)
    assert str(refused.value) == (
        "[image] source = 'sightline:0.1.0' is made for arm64, and what is to run it is amd64: build it again with"
        " --platform linux/amd64."
    )
    assert len(programs.ran) == 2


@pytest.mark.parametrize(
    ("kind", "memory_mb", "wanted"),
    [
        ("ml.c7i.large", 0, "amd64"),
        ("ml.g4dn.xlarge", 0, "amd64"),
        ("ml.c7g.large", 0, "arm64"),
        ("ml.m6gd.large", 0, "arm64"),
        ("ml.c7g.large", 2048, "amd64"),
    ],
)
def test_an_instance_says_which_processor_it_has(kind: str, memory_mb: int, wanted: str) -> None:
    assert processor(Sagemaker(instance_type=kind, serverless_memory_mb=memory_mb)) == wanted


@pytest.mark.parametrize(("installed", "chosen"), [(("skopeo", "buildah"), "buildah"), (("skopeo",), "skopeo")])
def test_the_first_that_is_there_is_chosen(installed: tuple[str, ...], chosen: str) -> None:
    assert choose("auto", Programs(*installed)) == chosen


def test_without_any_the_person_is_told_what_to_install() -> None:
    with pytest.raises(Refused, match="install docker, buildah or skopeo"):
        choose("auto", Programs())


def test_what_deploy_toml_names_is_not_replaced_by_another() -> None:
    with pytest.raises(Refused, match="Nothing here can push an image"):
        choose("docker", Programs("buildah"))


@pytest.mark.parametrize(
    ("engine", "ran"),
    [
        ("buildah", ["buildah", "push", "--quiet", "--format", "v2s2", "a:1", "docker://b:2"]),
        ("skopeo", ["skopeo", "copy", "--quiet", "--format", "v2s2", "containers-storage:a:1", "docker://b:2"]),
    ],
)
def test_others_than_docker_push_without_a_second_tag_in_the_form_that_sagemaker_takes(
    engine: str, ran: list[str]
) -> None:
    assert pushes(engine, "a:1", "b:2") == [ran]
