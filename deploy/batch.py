"""A Batch Transform job: a bucket's pictures through the same image, its output for `import`."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy import base, endpoint, image, release, sagemaker_values, stacks
from deploy.clients import THROTTLED, check_account, code_of, each
from deploy.errors import BadConfig, Refused, StackFailed, Unfinished
from deploy.sagemaker_requests import Request, Wanted, tags_of
from deploy.sections import Config

POLL_S = 30.0
LONGEST_S = 48 * 3_600.0
ITEM = "application/vnd.sightline.item+json"  # docs/architecture.md, "HTTP contract": one record and its embedding
PAYLOAD_MB = 6  # as /execution-parameters
CONCURRENT = 4
TIMEOUT_S, RETRIES = 60, 3

Aws = Callable[[str], Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Batch:
    source: str  # s3://… of a prefix, or of a manifest that ends with .manifest
    out: str  # s3://…
    instance_type: str
    instances: int = 1


def request(wanted: Wanted, batch: Batch, job: str) -> Request:
    kind = "ManifestFile" if batch.source.endswith(".manifest") else "S3Prefix"
    return {
        "TransformJobName": job,
        "ModelName": wanted.model,
        "MaxConcurrentTransforms": CONCURRENT,
        "MaxPayloadInMB": PAYLOAD_MB,
        "BatchStrategy": "SingleRecord",
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": TIMEOUT_S, "InvocationsMaxRetries": RETRIES},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": batch.source}},
            "ContentType": "image/jpeg",  # of every object; what each is, its first bytes say
            "CompressionType": "None",
            "SplitType": "None",
        },
        "TransformOutput": {"S3OutputPath": batch.out, "Accept": ITEM, "AssembleWith": "None"},
        "TransformResources": {"InstanceType": batch.instance_type, "InstanceCount": batch.instances},
        "Tags": tags_of(wanted),
    }


def check(config: Config, batch: Batch, bucket: str) -> None:
    """Raises: BadConfig."""
    section = sagemaker_values.section(config)
    for uri in (batch.source, batch.out):
        held, _, key = uri.removeprefix("s3://").partition("/")
        if not uri.startswith("s3://") or not held:
            raise BadConfig(f"{uri!r}: expected s3://bucket/prefix.")
        if held not in section.batch_buckets and not (held == bucket and key.startswith("batch/")):
            raise BadConfig(
                f"{uri}: the endpoint's role may not reach it; add {held!r} to [sagemaker] batch_buckets, or use"
                f" s3://{bucket}/batch/…."
            )
    if not batch.source.endswith(".manifest") and f"{batch.out.rstrip('/')}/".startswith(batch.source):
        raise BadConfig(f"{batch.out} is below {batch.source}: expected another place, or the next job embeds it, too.")
    if not re.fullmatch(r"ml\.[a-z0-9-]+\.[a-z0-9]+", batch.instance_type):
        raise BadConfig(f"--instance-type {batch.instance_type}: expected an instance such as ml.c7i.large.")
    given = config.release.path or config.release.uri
    if given and not given.endswith(
        ".tar.gz"
    ):  # CreateModel, "ModelDataSource": not in conjunction with transform jobs
        raise BadConfig("[release] is a folder: expected a model.tar.gz, all that Batch Transform takes.")


def run(config: Config, batch: Batch, aws: Aws, say: Say, wait: Callable[[float], None]) -> None:
    """Uses what `up` has pushed. Raises: BadConfig, Refused, StackFailed, Unfinished."""
    check_account(config.deploy, aws)
    made = base.there(config, aws)
    check(config, batch, made.bucket)
    role = stacks.outputs(sagemaker_values.stack_name(config), aws).get("Role")
    if not role:
        raise Refused(f"There is no {sagemaker_values.stack_name(config)} in {config.deploy.region}: run `up` first.")
    wanted = Wanted(
        config.deploy.name,
        image.publish(config.image, made.repository, aws, say, _no_push),
        release.publish(config.release, made.bucket, aws, say),
        role,
        sagemaker_values.section(config),
        config.tags,
    )
    endpoint.make_model(wanted, aws, say, wait)
    if job := _under_way(wanted, batch, aws):
        say(f"Transform job {job}: under way since an earlier run; waiting for its end.")
    else:
        job = f"{config.deploy.name}-batch-{secrets.token_hex(6)}"
        aws("sagemaker").create_transform_job(**request(wanted, batch, job))
        say(f"Transform job {job}: begun.")
    _follow(job, aws, say, wait)
    say("Done. Take its output into a collection with:")
    source = "s3://BUCKET/PREFIX" if batch.source.endswith(".manifest") else batch.source
    say(f"  python app.py import {batch.out} --collection NAME --source {source}")


def _no_push(program: Any, given: str) -> str:
    raise BadConfig("The image is not in the repository yet: run `up --target sagemaker` first.")


def under_way(deployment: str, aws: Aws) -> list[str]:
    """The names of the deployment's jobs that have not ended."""
    asked = {"NameContains": f"{deployment}-batch-", "StatusEquals": "InProgress"}
    found = each(aws("sagemaker").list_transform_jobs, "TransformJobSummaries", **asked)
    return [str(job["TransformJobName"]) for job in found if job["TransformJobName"].startswith(f"{deployment}-batch-")]


def _under_way(wanted: Wanted, batch: Batch, aws: Aws) -> str:
    """A job that does the same already; "" where none does."""
    for name in under_way(wanted.name, aws):
        there, same = aws("sagemaker").describe_transform_job(TransformJobName=name), request(wanted, batch, name)
        if (there["ModelName"], _ends(there)) == (wanted.model, _ends(same)):
            return name
    return ""


def _ends(job: Request) -> tuple[str, str]:
    """Where it reads and writes."""
    return job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"], job["TransformOutput"]["S3OutputPath"]


def _follow(job: str, aws: Aws, say: Say, wait: Callable[[float], None]) -> None:
    waited_s, told = 0.0, ""
    while True:
        try:
            found = aws("sagemaker").describe_transform_job(TransformJobName=job)
            state = found["TransformJobStatus"]
        except ClientError as error:
            if code_of(error) not in THROTTLED:
                raise
            state = told
        if state == "Completed":
            return
        if state in ("Failed", "Stopped"):
            reason = found.get("FailureReason", "no reason given").rstrip(".")
            raise StackFailed(f"The job {job} is {state}: {reason}.{endpoint.remedy(reason)}")
        if state != told:
            say(f"  {job}: {state}")
            told = state
        if waited_s >= LONGEST_S:
            raise Unfinished(
                f"The job {job} is still {state} after {LONGEST_S / 3_600:g} hours; the same command waits on."
            )
        wait(POLL_S)
        waited_s += POLL_S
