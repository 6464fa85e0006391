"""The service on Fargate: its deployment watched to the end, its roll-back recognised, its state in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from deploy.causes import in_order, targets, tasks
from deploy.clients import THROTTLED, code_of
from deploy.errors import StackFailed, Unfinished

POLL_S = 10.0
LONGEST_S = 1_800.0
LONGEST_DRAIN_S = 300.0
ALARMS = ("errors", "latency", "unhealthy", "cpu", "memory")  # of the template
Aws = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the service is: the outputs of its stack."""

    cluster: str
    service: str
    task_definition: str
    target_group: str
    address: str
    log: str


def place(found: dict[str, str]) -> Place:
    return Place(
        found["Cluster"],
        found["Service"],
        found["TaskDefinition"],
        found["TargetGroup"],
        found["Address"],
        found["Log"],
    )


def watch(where: Place, aws: Aws, say: Callable[[str], None], wait: Callable[[float], None]) -> None:
    """Waits until every task is of the stack's task definition. Raises: StackFailed, Unfinished."""
    waited_s, drained_s, last = 0.0, 0.0, ""
    while True:
        service = _service(where, aws)
        if service is not None:
            primary = _primary(service)
            _refuse_failure(where, service, primary, aws)
            if (line := _progress(service)) != last:
                say(f"  {line}")
                last = line
            if primary.get("rolloutState") == "COMPLETED":
                if not any(entry["runningCount"] for entry in service["deployments"] if entry is not primary):
                    return
                if drained_s >= LONGEST_DRAIN_S:
                    say(
                        "  Old tasks are still finishing what they answer; AWS ends them. Traffic goes to the new ones."
                    )
                    return
                drained_s += POLL_S
        if waited_s >= LONGEST_S:
            causes = tasks(where.cluster, where.service, aws) + targets(where.target_group, aws)
            raise Unfinished(
                f"The deployment of {where.service} is not done after {LONGEST_S / 60:.0f} minutes ({last})."
                f" {in_order(causes)} The same command waits on."
            )
        wait(POLL_S)
        waited_s += POLL_S


def _service(where: Place, aws: Aws) -> dict[str, Any] | None:
    """None while AWS throttles. Raises: StackFailed."""
    try:
        found = aws("ecs").describe_services(cluster=where.cluster, services=[where.service])
    except ClientError as error:
        if code_of(error) in THROTTLED:
            return None
        if code_of(error) == "ClusterNotFoundException":
            raise _gone(where) from error
        raise
    there = [entry for entry in found["services"] if entry.get("status", "ACTIVE") == "ACTIVE"]
    if not there:  # AWS tells of a service that was deleted for a while: INACTIVE, and without deployments
        raise _gone(where)
    service: dict[str, Any] = there[0]
    return service


def _gone(where: Place) -> StackFailed:
    """The stack does not know of it, so that `up` finds nothing to change."""
    return StackFailed(
        f"The service {where.service} is gone from the cluster {where.cluster}: somebody deleted it, though not its"
        " stack. `down` removes the rest, and `up` makes it anew."
    )


def _primary(service: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in service["deployments"] if entry["status"] == "PRIMARY")


def _refuse_failure(where: Place, service: dict[str, Any], primary: dict[str, Any], aws: Aws) -> None:
    """A roll-back makes the old task definition PRIMARY again, and looks like success but for that."""
    failed = [entry for entry in service["deployments"] if entry.get("rolloutState") == "FAILED"]
    went_back = primary["taskDefinition"] != where.task_definition
    if not failed and not went_back:
        return
    reasons = [entry["rolloutStateReason"].rstrip(".") + "." for entry in failed if entry.get("rolloutStateReason")]
    causes = tasks(where.cluster, where.service, aws) + targets(where.target_group, aws)
    what = "ECS took the deployment back" if went_back else "The deployment failed"
    mend = " The stack still names what failed: `rollback` puts it in line with what runs." if went_back else ""
    raise StackFailed(f"{what}: {' '.join(reasons)} {in_order(causes)}{mend}".replace("  ", " "))


def _progress(service: dict[str, Any]) -> str:
    primary = _primary(service)
    old = sum(entry["runningCount"] for entry in service["deployments"] if entry is not primary)
    line = f"{primary['runningCount']} of {primary['desiredCount']} new tasks run" + (
        f", {old} old ones" if old else ""
    )
    message = next((event["message"] for event in service.get("events", [])[:1]), "")
    return f"{line}; {message}" if "unable to" in message else line


def describe(where: Place, aws: Aws, say: Callable[[str], None]) -> None:
    service = _service(where, aws)
    if service is None:
        say("AWS throttles its answers just now.")
        return
    say(f"Tasks: {service['runningCount']} run, {service['desiredCount']} are wanted, {service['pendingCount']} start.")
    for entry in service["deployments"]:
        state, reason = entry.get("rolloutState", "under way"), entry.get("rolloutStateReason", "")
        say(f"Deployment {entry['status']}: {state}{reason and ', ' + reason}")
    health = aws("elbv2").describe_target_health(TargetGroupArn=where.target_group)["TargetHealthDescriptions"]
    states = [entry["TargetHealth"]["State"] for entry in health]
    say("Load balancer: " + (", ".join(f"{states.count(s)} {s}" for s in sorted(set(states))) or "no targets") + ".")
    for line in tasks(where.cluster, where.service, aws) + targets(where.target_group, aws):
        say(line)


def alarms(name: str, aws: Aws) -> list[str]:
    """The names of the deployment's alarms that are in ALARM."""
    mine = [f"{name}-{kind}" for kind in ALARMS]  # others' names may begin as this one's, too
    found = aws("cloudwatch").describe_alarms(AlarmNames=mine, StateValue="ALARM")
    return sorted(entry["AlarmName"] for entry in found["MetricAlarms"])
