"""Why a stack or a task failed: the first cause out of AWS's reports, in plain words, with a remedy."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import BARRED, code_of, each, in_words

STARTS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
MOST_CAUSES, MOST_TASKS = 4, 3
# What AWS says (a pattern) → what to do. The first that fits is told.
REMEDIES = (
    *BARRED,
    (
        r"matching platform|exec format error",
        "The image is for another processor: build it with --platform linux/amd64, under a new tag.",
    ),
    (
        r"(?s)secret.*(AccessDenied|not authorized|ResourceNotFound|can't find|kms:)",
        "The users can't be read: [ecs] users_secret_arn must name a secret that is there, under AWS's own key.",
    ),
    (
        r"manifest unknown|not found: manifest|CannotPullContainerError.*not found",
        "The image is not in the repository: push it again (`up` does), or name another digest.",
    ),
    (
        r"CannotPullContainerError|ResourceInitializationError|unable to pull",
        "The tasks reach no registry: they need a NAT gateway or a public address;"
        " look at [ecs] nat_gateway and at the subnets' routes.",
    ),
    (r"OutOfMemory|exit code 137", "The task ran out of memory: raise [ecs] memory_mb."),
    (r"exit code \d", "The program ended by itself: `logs` shows what it said last."),
    (
        r"failed ELB health checks|failed container health checks|Health checks failed"
        r"|Target\.(Timeout|ResponseCodeMismatch|FailedHealthChecks)",
        "The task runs, but /ping does not answer 200 in time: see `logs`;"
        " a large release needs a larger [ecs] start_grace_s.",
    ),
    (
        r"[Cc]apacity is unavailable|insufficient capacity",
        "Fargate has no room there just now: try again in some minutes, or with other subnets or a smaller cpu.",
    ),
    (
        r"not authorized|Access ?Denied|UnauthorizedOperation",
        "The operator's rights don't suffice: deploy/policies/ has what each target needs.",
    ),
    (
        r"(?i)service[- ]linked role",
        "AWS has just made a role that this account lacked: run the same command again in a minute.",
    ),
    (
        r"custom-named resource requires replacing",
        "AWS can't change that while it is there: `down`, then `up`, makes it anew; bucket and images stay.",
    ),
    (
        r"already exists|ResourceExistenceCheck",
        "Something of this name is left, from elsewhere or from an `up` that failed: remove it, or choose another"
        " [deploy] name.",
    ),
    (
        r"[Ll]imit ?[Ee]xceeded|[Qq]uota|maximum number of|has reached its limit",
        "The account's quota is used up: ask for more under Service Quotas in the console, or remove something.",
    ),
    (
        r"DependencyViolation|dependent object|has dependencies|mapped public address|in use by|not empty",
        "Something still uses it or lies in it; a network interface goes after some minutes. Run the same command"
        " again, and remove by hand what stays.",
    ),
    (
        r"no internet gateway|different Availability Zones",
        "Look at [ecs] load_balancer_subnets: two, in two availability zones, with a route to an internet gateway.",
    ),
    (
        r"[Cc]ircuit [Bb]reaker",
        "The new tasks did not come up, and the old ones were kept: `logs` shows what they said.",
    ),
    (r"(?i)alarm", "An alarm went off while the new tasks came up, and the old ones were kept: `status` shows which."),
    (
        r"[Cc]ertificate",
        "The certificate must be ISSUED, in this region and for the domain: look at it in ACM.",
    ),
    (
        r"CIDR|conflicts with another subnet",
        "The network collides with another one: choose another [ecs] vpc_cidr.",
    ),
    (
        r"did not stabilize|[Tt]imed? ?out",
        "It took too long: see `status` and `logs`, then run the same command again.",
    ),
)


def remedy(said: str) -> str:
    """A sentence with a leading space; empty where none is known."""
    return next((f" {what}" for pattern, what in REMEDIES if re.search(pattern, said)), "")


def in_order(causes: Sequence[str]) -> str:
    return "The cause: " + " Then: ".join(causes) if causes else "AWS gives no cause; its console may show more."


def failures(stack: str, aws: Callable[[str], Any]) -> list[str]:
    """What failed in the last operation of a stack and of those nested in it, the first cause first."""
    said: list[str] = []
    for event in each(aws("cloudformation").describe_stack_events, "StackEvents", StackName=stack):  # newest first
        is_stack = event.get("PhysicalResourceId") == event["StackId"]
        if event["ResourceStatus"].endswith("_FAILED") and not is_stack:
            said = _said(event, aws) + said
        reason = event.get("ResourceStatusReason", "")
        if is_stack and event["ResourceStatus"] in STARTS and reason == "User Initiated":
            break
    return said[:MOST_CAUSES]


def _said(event: dict[str, Any], aws: Callable[[str], Any]) -> list[str]:
    reason = event.get("ResourceStatusReason", "no reason given")
    if "cancelled" in reason:
        return []  # it only went down with the one that failed
    is_nested = event["ResourceType"] == "AWS::CloudFormation::Stack" and event.get("PhysicalResourceId")
    if is_nested and (inner := failures(event["PhysicalResourceId"], aws)):
        return inner
    short = re.sub(r"\s*\((RequestToken|Service|Status Code|SDK Attempt)[^)]*\)", "", reason).strip().rstrip(".")
    return [f"{event['LogicalResourceId']}: {short}.{remedy(reason)}"]


def tasks(cluster: str, service: str, aws: Callable[[str], Any]) -> list[str]:
    """Why the service's newest tasks stopped; AWS keeps that for an hour."""
    asked = {"cluster": cluster, "serviceName": service, "desiredStatus": "STOPPED"}
    try:
        arns = list(each(aws("ecs").list_tasks, "taskArns", **asked))
        stopped = aws("ecs").describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"] if arns else []
    except ClientError as error:
        if code_of(error) in ("ClusterNotFoundException", "ServiceNotFoundException"):
            return []
        return [unread("Why tasks stopped", error)]
    said = [
        _why(task) for task in stopped if task.get("stopCode") not in ("ServiceSchedulerInitiated", "UserInitiated")
    ]
    return list(dict.fromkeys(said))[:MOST_TASKS]


def unread(what: str, error: ClientError) -> str:
    """A cause is asked for where something failed already: what can't be read must not hide that."""
    return f"{what} can't be read: {in_words(error)}"


def _why(task: dict[str, Any]) -> str:
    parts = [task.get("stoppedReason", "no reason given").rstrip(".")]
    for container in task.get("containers", []):
        if container.get("reason"):
            parts.append(container["reason"].rstrip("."))
        if container.get("exitCode"):
            parts.append(f"{container['name']} ended with exit code {container['exitCode']}")
    said = "; ".join(dict.fromkeys(parts))
    return f"A task stopped: {said}.{remedy('; '.join(parts[1:]) or said) or remedy(said)}"


def targets(group: str, aws: Callable[[str], Any]) -> list[str]:
    """What the load balancer holds against its targets."""
    try:
        found = aws("elbv2").describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    except ClientError as error:
        return [unread("What the load balancer finds", error)]
    said = [
        f"The load balancer finds a task {health['State']}: {health.get('Description', health['Reason']).rstrip('.')}"
        f" ({health['Reason']}).{remedy(health['Reason'])}"
        for health in (entry["TargetHealth"] for entry in found)
        if health["State"] in ("unhealthy", "unavailable") and "Reason" in health
    ]
    return list(dict.fromkeys(said))
