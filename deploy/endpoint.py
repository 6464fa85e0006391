"""A SageMaker endpoint on its way: what is there, made, shifted to, waited for, and why it failed in plain words."""

import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from deploy.causes import unread
from deploy.clients import BARRED, DENIED, EXPIRED, THROTTLED, code_of
from deploy.errors import DeployError, Refused, StackFailed, Unfinished
from deploy.sagemaker_requests import (
    Request,
    Wanted,
    alarm_names,
    container,
    endpoint,
    endpoint_config,
    is_ours,
    model,
    tags_of,
)

POLL_S = 15.0
LONGEST_S = 3 * 3_600.0
PATIENCE_S = 120.0  # with what AWS has taken and does not know of yet
NOT_THERE = ("", "")
NOT_YET = re.compile(r"Could not (assume role|access model data)")  # of a role that IAM has not spread yet
LOG_LINES = 15
MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")

Aws = Callable[[str], Any]
Say = Callable[[str], None]
Wait = Callable[[float], None]

# What FailureReason says (a pattern) → what to do. The first that fits is told.
REMEDIES = (
    *BARRED,
    (r"manifest media type",
     "SageMaker takes no OCI image: build it with --provenance=false --output type=docker, under a new tag."),
    (r"exec format error",
     "The image is for another processor: build it with --platform linux/amd64, under a new tag."),
    (r"AccessDenied|not authorized",
     "The endpoint's role lacks a right: run `up`, which brings its template up to date."),
    (r"[Ii]nsufficient ?[Ii]nstance ?[Cc]apacity|insufficient capacity|Unable to provision",
     "AWS has none of these instances left there just now: try again later, or set another [sagemaker] instance_type."),
    (r"ResourceLimitExceeded|service limit|quota",
     "The account's quota for this instance is used up: ask for more under Service Quotas, or take another one."),
    (r"did not pass the ping health check|health check",
     "The container came up, but /ping was not 200 in time: its log says why; a large release needs a larger"
     " [sagemaker] start_timeout_s."),
    (r"ModelData|model data|download",
     "The release could not be fetched: is it in the bucket, and may the role read it?"),
    (r"ECR|image .*(not exist|not found|pull)|pull.*image",
     "The image could not be fetched: push it again (`up` does)."),
    (r"[Aa]larm",
     "An alarm on the new instances rang while they took traffic: `logs` shows what went wrong."),
    (r"out of memory|OutOfMemory|MemoryError",
     "The container ran out of memory: take a larger [sagemaker] instance_type."),
    (r"[Cc]annot update in-progress endpoint",
     "Another run is under way: run the same command again, which waits for it."),
)  # fmt: skip


def remedy(said: str) -> str:
    return next((f" {what}" for pattern, what in REMEDIES if re.search(pattern, said)), "")


def find(name: str, aws: Aws) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = aws("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return found


def is_missing(error: ClientError) -> bool:
    return code_of(error) in ("ValidationException", "ResourceNotFound") and bool(
        re.search(r"Could not find|does not exist|not found", str(error))
    )


def is_there_already(error: ClientError) -> bool:
    return bool(re.search(r"already exist", str(error)))


def make_model(wanted: Wanted, aws: Aws, say: Say, wait: Wait) -> None:
    """Raises: Refused, where one of this name is there with other content."""
    try:
        _patiently(lambda: aws("sagemaker").create_model(**model(wanted)), wait)
        say(f"Model {wanted.model}: made.")
    except ClientError as error:
        if not is_there_already(error):
            raise _in_words(error) from error
        there = aws("sagemaker").describe_model(ModelName=wanted.model)
        held = there.get("PrimaryContainer", {})
        if any(held.get(key) != value for key, value in container(wanted).items()):
            raise Refused(
                f"There is a model {wanted.model} with another content (image {held.get('Image')}), which was not made"
                " by this command: delete it, or choose another [deploy] name."
            ) from error


def make_config(wanted: Wanted, aws: Aws, say: Say, wait: Wait) -> None:
    try:
        _patiently(lambda: aws("sagemaker").create_endpoint_config(**endpoint_config(wanted)), wait)
        say(f"Endpoint configuration {wanted.config}: made.")
    except ClientError as error:
        if not is_there_already(error):
            raise _in_words(error) from error


def make(name: str, wanted: Wanted, aws: Aws, say: Say, wait: Wait) -> None:
    """Begins an endpoint. Raises: Refused."""
    try:
        _patiently(lambda: aws("sagemaker").create_endpoint(**endpoint(name, wanted)), wait)
        say(f"Endpoint {name}: being made; this takes some minutes.")
    except ClientError as error:
        if not is_there_already(error):  # or else the call before this one came through
            raise _in_words(error) from error


def tag(wanted: Wanted, aws: Aws) -> None:
    """One that was made earlier gets the tags of now; a new one has them already."""
    if wanted.tags and (found := find(wanted.name, aws)):
        aws("sagemaker").add_tags(ResourceArn=found["EndpointArn"], Tags=tags_of(wanted))


def shift(request: Request, aws: Aws, say: Say, wait: Wait) -> None:
    """Begins an update. Raises: Refused."""
    try:
        _patiently(lambda: aws("sagemaker").update_endpoint(**request), wait)
    except ClientError as error:
        raise _in_words(error) from error
    say(f"Endpoint {request['EndpointName']}: to {request['EndpointConfigName']}.")


def _patiently(call: Callable[[], Any], wait: Wait) -> None:
    """AWS may not know yet of what was made a moment ago, such as a role: it is asked again. Raises: ClientError."""
    waited_s = 0.0
    while True:
        try:
            call()
            return
        except ClientError as error:
            if not (is_missing(error) or NOT_YET.search(str(error))) or waited_s >= PATIENCE_S:
                raise
        wait(POLL_S)
        waited_s += POLL_S


def _in_words(error: ClientError) -> DeployError | ClientError:
    if code_of(error) in (*DENIED, *EXPIRED):
        return error  # of who deploys, not of the endpoint
    said = str(error.response["Error"].get("Message", ""))
    if hint := remedy(f"{code_of(error)} {said}"):
        return Refused(f"{error.operation_name} was refused: {said.rstrip('.')}.{hint}")
    return error


def remove(name: str, aws: Aws, say: Say, wait: Wait) -> None:
    """Raises: StackFailed, Unfinished."""
    found = follow(name, aws, say, wait)  # one on its way can't be deleted
    if found is None:
        return
    aws("sagemaker").delete_endpoint(EndpointName=name)
    if (left := follow(name, aws, say, wait, after=seen(found))) is not None:
        raise StackFailed(f"{name} could not be removed and is {left['EndpointStatus']}: run the same command again.")
    say(f"Endpoint {name}: removed.")


def refuse_anothers(name: str, aws: Aws, *, of: str = "") -> None:
    """An endpoint of ours runs on a configuration of ours, whose name says so. `of`: the deployment, where the name is
    another. Raises: Refused.
    """
    runs = (find(name, aws) or {}).get("EndpointConfigName", "")
    if runs and not is_ours(runs, of or name):
        raise Refused(
            f"There is an endpoint {name} on {runs}, which this command did not make: it was left alone. Choose another"
            f" [deploy] name; if the endpoint is the deployment's own, give it back a configuration {of or name}-…."
        )


def seen(found: dict[str, Any] | None) -> tuple[str, str]:
    """Status and configuration."""
    return (found["EndpointStatus"], found.get("EndpointConfigName", "")) if found else NOT_THERE


def follow(name: str, aws: Aws, say: Say, wait: Wait, *, after: tuple[str, str] | None = None) -> dict[str, Any] | None:
    """Waits for the end of what goes on, telling each stage; None where it is gone.

    `after`: what was seen before it was begun; the same again is an old answer, for a while. Raises: Unfinished.
    """
    waited_s, told = 0.0, ""
    while True:
        try:
            found = find(name, aws)
            state = found["EndpointStatus"] if found else ""
            stage = f"{state}{_stage(found)}"
        except ClientError as error:
            if code_of(error) not in THROTTLED:
                raise
            found, state, stage = None, "Updating", told
        if state not in MOVING and (seen(found) != after or waited_s >= PATIENCE_S):
            return found
        if found and state in MOVING:
            after = None  # it has begun
        if stage != told:
            say(f"  {name}: {stage}")
            told = stage
        if waited_s >= LONGEST_S:
            raise Unfinished(f"{name} is still {state} after {LONGEST_S / 3_600:g} hours; the same command waits on.")
        wait(POLL_S)
        waited_s += POLL_S


def _stage(found: dict[str, Any] | None) -> str:
    pending = (found or {}).get("PendingDeploymentSummary", {}).get("ProductionVariants", [{}])
    states = [entry["Status"] for entry in pending[0].get("VariantStatus", [])] if pending else []
    return f" ({states[-1]})" if states else ""


def check(name: str, config: str, found: dict[str, Any] | None, aws: Aws) -> None:
    """Whether it ended as it should: one that was taken back is InService as well, on what ran before.

    Raises: StackFailed.
    """
    if found is None:
        raise StackFailed(f"{name} is gone: somebody deleted it meanwhile. `up` makes it again.")
    state, runs = found["EndpointStatus"], found.get("EndpointConfigName", "")
    if state == "InService" and runs == config:
        return
    reason = found.get("FailureReason", "").strip().rstrip(".")
    why = f" AWS says: {reason}.{remedy(reason)}" if reason else " AWS gives no reason."
    if state == "InService":
        try:
            rang = ringing(alarm_names(config), aws)
        except ClientError as error:
            rang = [unread("which alarm it is", error)]
        alarm = f" In ALARM: {', '.join(rang)}." if rang else ""
        raise StackFailed(
            f"{name} was taken back to {runs}, which serves as before; {config} did not pass.{why}{alarm}"
        )
    if state == "UpdateRollbackFailed":
        raise StackFailed(
            f"{name} is UpdateRollbackFailed: the update failed, and so did taking it back; it may serve both.{why}"
            " `rollback` or `update` puts one configuration in place again."
        )
    log = "".join(f"\n  {line}" for line in last_lines(name, aws))
    raise StackFailed(f"{name} is {state}.{why}" + (f" Its log ends with:{log}" if log else " Its log is empty."))


def ringing(names: tuple[str, ...], aws: Aws) -> list[str]:
    found = aws("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
    return [alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM"]


def last_lines(name: str, aws: Aws) -> list[str]:
    """Of the container, as it started; none where nothing was logged."""
    group = log_group(name)
    try:
        streams = aws("logs").describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True, limit=1
        )
        if not streams["logStreams"]:
            return []
        stream = streams["logStreams"][0]["logStreamName"]
        events = aws("logs").get_log_events(logGroupName=group, logStreamName=stream, limit=LOG_LINES)["events"]
    except ClientError as error:
        return [] if code_of(error) == "ResourceNotFoundException" else [unread("What it says", error)]
    return [event["message"].rstrip() for event in events]


def log_group(name: str) -> str:
    """SageMaker's own name for it."""
    return f"/aws/sagemaker/Endpoints/{name}"
