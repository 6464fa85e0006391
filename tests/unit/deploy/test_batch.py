"""A transform job: its exact request, whom it may reach, and its end."""

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from deploy import batch, sagemaker
from deploy.batch import Batch
from deploy.config import checked
from deploy.errors import BadConfig, Refused, StackFailed
from deploy.sagemaker_requests import Wanted
from deploy.sections import Config, Sagemaker
from tests.deploy_fakes import FakeEngine, Stack
from tests.unit.deploy.sagemaker_fake import SagemakerAws
from tests.unit.deploy.test_config import document

WANTED = Wanted("sightline", "image@sha256:" + "a" * 64, "", "arn:aws:iam::123456789012:role/a-role", Sagemaker())
JOB = Batch("s3://photos/2024/", "s3://photos/embedded", "ml.c7i.large", instances=2)


def configured(**sections: Any) -> Config:
    whole = document(image={"source": "sightline:0.1.0", "tag": "a"}, **sections)
    return checked(whole | {"sagemaker": {"batch_buckets": ["photos"]}}, "sagemaker")


@pytest.fixture
def running() -> SagemakerAws:
    aws = SagemakerAws()
    more: Any = {"wait": aws.wait, "run": FakeEngine(aws), "smoke": lambda: None}
    sagemaker.up(configured(), aws, lambda line: None, lambda question, wanted: True, **more)
    aws.calls.clear()
    return aws


def test_the_request_is_exactly_this() -> None:
    request = batch.request(WANTED, JOB, "sightline-batch-1")
    assert request == {
        "TransformJobName": "sightline-batch-1",
        "ModelName": WANTED.model,
        "MaxConcurrentTransforms": 4,
        "MaxPayloadInMB": 6,
        "BatchStrategy": "SingleRecord",
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 3},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://photos/2024/"}},
            "ContentType": "image/jpeg",
            "CompressionType": "None",
            "SplitType": "None",
        },
        "TransformOutput": {
            "S3OutputPath": "s3://photos/embedded",
            "Accept": "application/vnd.sightline.item+json",
            "AssembleWith": "None",
        },
        "TransformResources": {"InstanceType": "ml.c7i.large", "InstanceCount": 2},
        "Tags": [{"Key": "sightline", "Value": "sightline"}],
    }
    client = boto3.client("sagemaker", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        stub.add_response("create_transform_job", {"TransformJobArn": "a" * 20}, request)
        client.create_transform_job(**request)


def test_a_manifest_is_told_from_a_prefix() -> None:
    source = Batch("s3://photos/some.manifest", "s3://photos/out", "ml.c7i.large")
    asked = batch.request(WANTED, source, "j")["TransformInput"]["DataSource"]["S3DataSource"]
    assert asked == {"S3DataType": "ManifestFile", "S3Uri": "s3://photos/some.manifest"}


def test_it_is_waited_for_and_says_what_to_run_next(running: SagemakerAws) -> None:
    running.job_courses = [("InProgress", ""), ("InProgress", ""), ("Completed", "")]
    said: list[str] = []
    batch.run(configured(), JOB, running, said.append, running.wait)
    assert running.jobs[0]["ModelName"] in running.models
    assert said[-1] == "  python app.py import s3://photos/embedded --collection NAME --source s3://photos/2024/"


def test_an_interrupted_run_is_waited_for_and_not_begun_twice(running: SagemakerAws) -> None:
    running.job_courses = [("InProgress", "")] * 5 + [("Completed", "")]
    running.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        batch.run(configured(), JOB, running, lambda line: None, running.wait)
    said: list[str] = []
    batch.run(configured(), JOB, running, said.append, running.wait)
    assert len(running.jobs) == 1
    assert f"Transform job {running.jobs[0]['TransformJobName']}: under way since an earlier run" in said[1]


def test_another_job_is_not_taken_for_this_one(running: SagemakerAws) -> None:
    running.job_courses = [("InProgress", "")] * 5 + [("Completed", "")]
    running.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        batch.run(configured(), replace(JOB, source="s3://photos/2023/"), running, lambda line: None, running.wait)
    batch.run(configured(), JOB, running, lambda line: None, running.wait)
    assert len(running.jobs) == 2


def test_throttling_while_waiting_ends_no_job(running: SagemakerAws) -> None:
    running.job_courses = [("InProgress", ""), ("Completed", "")]
    running.throttled.update({"describe_transform_job": 3})
    batch.run(configured(), JOB, running, lambda line: None, running.wait)


def test_before_up_there_is_no_role_to_run_as() -> None:
    aws = SagemakerAws()
    aws.stacks["sightline-base"] = Stack("CREATE_COMPLETE", outputs=aws.outputs("sightline-base"))
    with pytest.raises(Refused, match=r"^There is no sightline-sagemaker in eu-central-1: run `up` first\.$"):
        batch.run(configured(), JOB, aws, lambda line: None, aws.wait)


def test_a_job_that_fails_says_why_and_what_to_do(running: SagemakerAws) -> None:
    running.job_courses = [("InProgress", ""), ("Failed", "CapacityError: Unable to provision requested ML capacity")]
    with pytest.raises(StackFailed, match=r"is Failed: CapacityError: .*none of these instances left"):
        batch.run(configured(), JOB, running, lambda line: None, running.wait)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("photos/2024", "expected s3://bucket/prefix"),
        ("s3://secrets/a", "add 'secrets' to [sagemaker] batch_buckets, or use s3://b/batch/"),
        ("s3://b/releases/", "add 'b' to [sagemaker] batch_buckets"),
    ],
)
def test_a_bucket_that_the_role_may_not_reach_is_refused_before_the_job(source: str, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        batch.check(configured(), Batch(source, "s3://photos/out", "ml.c7i.large"), "b")
    assert said in str(refused.value)


def test_the_deployments_own_bucket_is_reached_below_batch() -> None:
    batch.check(configured(), Batch("s3://b/batch/in/", "s3://b/batch/out", "ml.c7i.large"), "b")


@pytest.mark.parametrize("out", ["s3://photos/2024/embedded", "s3://photos/2024", "s3://photos/2024/"])
def test_an_output_that_the_next_job_would_read_is_refused(out: str) -> None:
    with pytest.raises(BadConfig, match=r"is below s3://photos/2024/: expected another place, or the next job embeds"):
        batch.check(configured(), replace(JOB, out=out), "b")


def test_an_instance_that_is_none_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"^--instance-type c7i\.large: expected an instance such as ml\.c7i\.large\.$"):
        batch.check(configured(), replace(JOB, instance_type="c7i.large"), "b")


def test_a_release_in_a_folder_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"expected a model\.tar\.gz, all that Batch Transform takes"):
        batch.check(configured(release={"uri": "s3://photos/releases/1"}), JOB, "b")


def test_an_image_that_was_never_pushed_is_refused(running: SagemakerAws) -> None:
    running.images.clear()
    with pytest.raises(BadConfig, match="run `up --target sagemaker` first"):
        batch.run(configured(), JOB, running, lambda line: None, running.wait)
