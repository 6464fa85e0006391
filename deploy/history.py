"""What was deployed and found good, newest last, in the versioned bucket: what a roll-back goes back to."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import code_of
from deploy.errors import Refused

MOST = 20


@dataclass(frozen=True, slots=True)
class Deployment:
    template: str
    parameters: Mapping[str, str]

    def __str__(self) -> str:
        image = self.parameters.get("Image", "").rpartition("@")[2][:19]
        bucket, prefix = self.parameters.get("ReleaseBucket", ""), self.parameters.get("ReleasePrefix", "")
        return f"image {image}, " + (f"release s3://{bucket}/{prefix}" if bucket else "no release")


def read(bucket: str, target: str, aws: Callable[[str], Any]) -> list[Deployment]:
    """Raises: Refused, where somebody else wrote there."""
    try:
        body = aws("s3").get_object(Bucket=bucket, Key=_key(target))["Body"].read()
    except ClientError as error:
        if code_of(error) in ("NoSuchKey", "NoSuchBucket"):
            return []
        raise
    try:
        return [_told(entry) for entry in json.loads(body)["deployments"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(
            f"s3://{bucket}/{_key(target)} holds no list of deployments: put an earlier version back, or remove it"
            " to begin a new one."
        ) from error


def _told(entry: Any) -> Deployment:
    """Raises: LookupError, TypeError, AttributeError for what is none."""
    if not all(isinstance(text, str) for text in (entry["template"], *entry["parameters"].values())):
        raise TypeError("what is not a text")
    return Deployment(entry["template"], dict(entry["parameters"]))


def write(bucket: str, target: str, deployments: list[Deployment], aws: Callable[[str], Any]) -> None:
    body = json.dumps({"deployments": [asdict(entry) for entry in deployments[-MOST:]]}, indent=1).encode()
    aws("s3").put_object(Bucket=bucket, Key=_key(target), Body=body, ContentType="application/json")


def close(bucket: str, target: str, aws: Callable[[str], Any]) -> None:
    """After `down` there is nothing to go back to; what was written stays in the bucket's versions."""
    try:
        is_closed = not read(bucket, target, aws)
    except Refused:
        is_closed = False  # damaged: there is nothing to go back to in it either
    if not is_closed:
        write(bucket, target, [], aws)


def _key(target: str) -> str:
    return f"deployments/{target}.json"
