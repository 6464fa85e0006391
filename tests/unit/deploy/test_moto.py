"""What moto can play of AWS, for real requests: stacks, bucket, repository, an endpoint's role, history, release."""

import json
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from deploy import base, history, release, stacks
from deploy.__main__ import main
from deploy.clients import check_account, open_clients
from deploy.config import checked
from deploy.errors import Refused
from deploy.history import Deployment
from deploy.image import find
from deploy.sagemaker_values import values
from deploy.sections import Config, Image, Release
from deploy.stacks import Aws
from tests.unit.deploy.test_config import document

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..S3..BucketPolicy")  # which moto does not play


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield checked(document(), "ecs")


DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
BUCKET = "sightline-123456789012-eu-central-1"


@pytest.fixture
def made(config: Config) -> Aws:
    """moto shows no outputs of a stack that was made by a change set, so `base.make` can't read them."""
    aws = open_clients(config.deploy)
    values = {"Name": config.deploy.name}
    change = stacks.propose("sightline-base", stacks.template("base"), values, aws, lambda seconds: None)
    assert change is not None
    assert [str(line) for line in change.changes] == [
        "make Images (ECR::Repository)",
        "make Bucket (S3::Bucket)",
        "make BucketPolicy (S3::BucketPolicy)",
    ]
    stacks.execute(change, aws, [].append, lambda seconds: None)
    return aws


def test_the_base_stack_makes_an_encrypted_bucket_and_an_immutable_repository(made: Aws) -> None:
    assert stacks.status("sightline-base", made) == "CREATE_COMPLETE"
    assert stacks.parameters("sightline-base", made) == {"Name": "sightline"}
    rules = made("s3").get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (repository,) = made("ecr").describe_repositories(repositoryNames=["sightline"])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..CloudWatch..Alarm")
def test_the_endpoints_role_is_sagemakers_and_reads_releases_alone(config: Config) -> None:
    aws = open_clients(config.deploy)
    endpoint = {"sagemaker": {"batch_buckets": ["photos", "scans"]}}
    wanted = values(checked(document() | endpoint, "sagemaker"), BUCKET)
    change = stacks.propose("sightline-sagemaker", stacks.template("sagemaker"), wanted, aws, lambda seconds: None)
    assert change is not None
    stacks.execute(change, aws, [].append, lambda seconds: None)
    (role,) = aws("iam").list_roles()["Roles"]
    trust = role["AssumeRolePolicyDocument"]["Statement"]
    assert [(one["Principal"], one["Condition"]) for one in trust] == [
        ({"Service": "sagemaker.amazonaws.com"}, {"StringEquals": {"aws:SourceAccount": "123456789012"}})
    ]
    granted: dict[str, object] = {}
    for policy in ("endpoint", "batch"):
        told = aws("iam").get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]
        statements = literal_eval(str(told))["Statement"]  # of a role's own policies moto gives Python's text
        granted |= {statement["Sid"]: statement["Resource"] for statement in statements}
    assert granted["ReadTheRelease"] == [f"arn:aws:s3:::{BUCKET}/releases/*"] * 2
    assert granted["PullTheImage"] == "arn:aws:ecr:eu-central-1:123456789012:repository/sightline"
    assert granted["ReadAndWrite"] == ["arn:aws:s3:::photos/*", "arn:aws:s3:::scans/*"]
    assert granted["List"] == ["arn:aws:s3:::photos", "arn:aws:s3:::scans"]


@pytest.mark.filterwarnings("ignore:Tried to parse AWS..CloudWatch..Alarm")
def test_the_endpoints_role_is_made_within_the_boundary(config: Config) -> None:
    boundary = "arn:aws:iam::123456789012:policy/teams"
    whole = document(deploy={"permissions_boundary": boundary}) | {"sagemaker": {}}
    aws = open_clients(config.deploy)
    most = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    aws("iam").create_policy(PolicyName="teams", PolicyDocument=json.dumps(most))
    wanted = values(checked(whole, "sagemaker"), BUCKET)
    change = stacks.propose("sightline-sagemaker", stacks.template("sagemaker"), wanted, aws, lambda seconds: None)
    assert change is not None
    stacks.execute(change, aws, [].append, lambda seconds: None)
    (role,) = aws("iam").list_roles()["Roles"]
    assert aws("iam").get_role(RoleName=role["RoleName"])["Role"]["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
        "PermissionsBoundaryArn": boundary,
    }


def test_a_stack_that_is_removed_is_not_there(made: Aws) -> None:
    stacks.delete("sightline-base", made, [].append, lambda seconds: None)
    assert stacks.status("sightline-base", made) == stacks.NOT_THERE


def test_an_image_is_found_by_tag_and_by_digest(made: Aws) -> None:
    manifest = {"schemaVersion": 2, "mediaType": DOCKER, "config": {"digest": "sha256:1"}, "layers": []}
    made("ecr").put_image(repositoryName="sightline", imageManifest=json.dumps(manifest), imageTag="0.1.0")
    digest = find(Image(source="a", tag="0.1.0"), "sightline", made)
    assert digest.startswith("sha256:")
    assert find(Image(digest=digest), "sightline", made) == digest
    assert find(Image(source="a", tag="0.2.0"), "sightline", made) == ""


def test_a_release_is_uploaded_once(made: Aws, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'{"files": {}}')
    said: list[str] = []
    address = release.publish(Release(path=str(tmp_path)), BUCKET, made, said.append)
    assert release.publish(Release(path=str(tmp_path)), BUCKET, made, said.append) == address
    assert len(said) == 1
    key = f"{address.removeprefix(f's3://{BUCKET}/')}/manifest.json"
    assert made("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read() == b'{"files": {}}'


def test_before_up_there_is_nothing(config: Config) -> None:
    aws = open_clients(config.deploy)
    assert base.find(config, aws) is None
    assert find(config.image, "sightline", aws) == ""
    with pytest.raises(Refused, match="There is no sightline-base in eu-central-1: run `up` first"):
        base.there(config, aws)


def test_what_was_good_is_read_back_and_kept_to_twenty(made: Aws) -> None:
    assert history.read(BUCKET, "ecs", made) == []
    history.write(BUCKET, "ecs", [Deployment("template", {"Image": str(n)}) for n in range(25)], made)
    kept = history.read(BUCKET, "ecs", made)
    assert [entry.parameters["Image"] for entry in kept] == [str(n) for n in range(5, 25)]


def test_the_account_is_that_of_the_credentials(config: Config) -> None:
    assert check_account(config.deploy, open_clients(config.deploy)) == "123456789012"


@pytest.mark.parametrize(
    ("verb", "code", "lines"),
    [
        ("status", 0, ["sightline-base: not there", "sightline-network: not there", "sightline-ecs: not there"]),
        ("logs", 1, ["There is no log group /sightline/sightline/ecs: run `up` first."]),
        ("update", 1, ["There is no sightline-ecs in eu-central-1 to update: run `up` first."]),
        ("rollback", 1, ["There is no sightline-base in eu-central-1: run `up` first."]),
        ("down", 0, ["There is no service sightline in eu-central-1."]),
    ],
)
def test_the_commands_reach_an_empty_account(
    config: Config, verb: str, code: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(Path(__file__).parents[3] / "deploy" / "deploy.example.toml")
    assert main([verb, "--target", "ecs", "--config", file, "--yes"]) == code
    printed = capsys.readouterr()
    assert (printed.out + printed.err).splitlines() == lines
