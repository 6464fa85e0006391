"""CloudFormation stacks: changed by change sets that are shown first, waited for, resumed, explained when they fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import ClientError

from deploy import tags
from deploy.causes import failures, in_order, remedy
from deploy.clients import THROTTLED, code_of, each
from deploy.errors import Refused, StackFailed, Unfinished

TEMPLATES = Path(__file__).parent / "templates"
CHANGE_SET = "sightline-deploy"  # one name: what an interrupted run left is found and replaced
POLL_S = 5.0
LONGEST_S = 3_600.0
LONGEST_TO_BEGIN_S = 60.0
NOT_THERE = ""
OURS = "Sightline"  # in the description of every template
NO_TAGS: Mapping[str, str] = MappingProxyType({})
STILLBORN = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")

Say = Callable[[str], None]
Ask = Callable[[str, str], bool]
Wait = Callable[[float], None]
Aws = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Change:
    action: str  # Add, Modify, Remove, Import, Dynamic
    logical_id: str
    kind: str
    replacement: str = ""  # True, False, Conditional

    def __str__(self) -> str:
        verb = {"Add": "make", "Modify": "change", "Remove": "remove"}.get(self.action, self.action.lower())
        replaced = {"True": ", by a new one", "Conditional": ", perhaps by a new one"}.get(self.replacement, "")
        return f"{verb} {self.logical_id} ({self.kind.removeprefix('AWS::')}){replaced}"


@dataclass(frozen=True, slots=True)
class ChangeSet:
    stack: str
    arn: str
    is_new: bool  # the stack is not there yet
    changes: tuple[Change, ...]


def template(name: str) -> str:
    return (TEMPLATES / f"{name}.yaml").read_text(encoding="utf-8")


def refuse_anothers(stack: str, aws: Aws) -> None:
    """An update of somebody else's would replace all that is in it. Raises: Refused."""
    found = describe(stack, aws)
    if found and not _is_ours(found):
        raise Refused(
            f"There is a stack {stack} that is not Sightline's ({found.get('Description') or 'without a description'}):"
            " it was left alone; choose another [deploy] name."
        )


def _is_ours(found: dict[str, Any]) -> bool:
    """By its template's description, or where AWS tells none, by a parameter; one that was only proposed is empty."""
    if "Description" in found:
        return OURS in found["Description"]
    named = {entry["ParameterKey"] for entry in found.get("Parameters", [])}
    return "Name" in named or found["StackStatus"] == "REVIEW_IN_PROGRESS"


def describe(stack: str, aws: Aws) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = aws("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def status(stack: str, aws: Aws) -> str:
    found = describe(stack, aws)
    return found["StackStatus"] if found else NOT_THERE


def outputs(stack: str, aws: Aws) -> dict[str, str]:
    """Empty where there is no such stack of ours, or none that was ever finished."""
    found = describe(stack, aws) or {}
    if not found or not _is_ours(found):
        return {}
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def parameters(stack: str, aws: Aws) -> dict[str, str]:
    found = describe(stack, aws) or {}
    return {entry["ParameterKey"]: entry.get("ParameterValue", "") for entry in found.get("Parameters", [])}


def settle(stack: str, aws: Aws, say: Say, ask: Ask, wait: Wait) -> None:
    """Waits for what goes on already, and clears away what would refuse every change. Raises: Refused, StackFailed."""
    refuse_anothers(stack, aws)
    state = status(stack, aws)
    if in_progress(state):
        say(f"{stack}: {state} since an earlier run; waiting for its end.")
        state = follow(stack, aws, say, wait)
    if state in STILLBORN:
        _remove_stillborn(stack, state, aws, say, ask, wait)
    elif state == "UPDATE_ROLLBACK_FAILED":
        _free(stack, aws, say, ask, wait)


def in_progress(state: str) -> bool:
    return state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS"


def _remove_stillborn(stack: str, state: str, aws: Aws, say: Say, ask: Ask, wait: Wait) -> None:
    what = "its removal failed" if state == "DELETE_FAILED" else "it was never finished"
    say(f"{stack} is {state}: {what}, and AWS changes no such stack.")
    for line in failures(stack, aws):
        say(f"  {line}")
    if not ask("What is left of it has to go first. Remove it?", "yes"):
        raise Refused(f"Nothing was changed: {stack} is {state} and stays in the way.")
    delete(stack, aws, say, wait)


def _free(stack: str, aws: Aws, say: Say, ask: Ask, wait: Wait) -> None:
    say(f"{stack} is UPDATE_ROLLBACK_FAILED: a change failed, and so did going back from it.")
    for line in failures(stack, aws):
        say(f"  {line}")
    if not ask("When the cause is mended, AWS can try again to go back. Try now?", "yes"):
        raise Refused(f"Nothing was changed: {stack} is UPDATE_ROLLBACK_FAILED and takes no change.")
    before = _event_ids(stack, aws)
    aws("cloudformation").continue_update_rollback(StackName=stack)
    state = follow(stack, aws, say, wait, before=before)
    if state != "UPDATE_ROLLBACK_COMPLETE":
        raise StackFailed(
            f"{stack} is still {state}: {in_order(failures(stack, aws))} Mend that, or skip the resource in the"
            " console (Stack actions, Continue update rollback), then run this again."
        )


def propose(
    stack: str, body: str, values: Mapping[str, str], aws: Aws, wait: Wait, *, tagged: Mapping[str, str] = NO_TAGS
) -> ChangeSet | None:
    """What would change; None where nothing would. A stack keeps its tags where none are given.

    Raises: StackFailed, Refused.
    """
    refuse_anothers(stack, aws)
    is_new = status(stack, aws) in (NOT_THERE, "REVIEW_IN_PROGRESS")
    request: dict[str, Any] = {
        "StackName": stack,
        "ChangeSetName": CHANGE_SET,
        "ChangeSetType": "CREATE" if is_new else "UPDATE",
        "TemplateBody": body,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in sorted(values.items())],
        "Capabilities": ["CAPABILITY_IAM"],
    }
    if tagged:
        request["Tags"] = tags.pairs(tagged)
    try:
        arn = aws("cloudformation").create_change_set(**request)["Id"]
    except ClientError as error:
        if code_of(error) != "AlreadyExistsException":
            raise
        aws("cloudformation").delete_change_set(StackName=stack, ChangeSetName=CHANGE_SET)
        arn = aws("cloudformation").create_change_set(**request)["Id"]
    found = _drawn_up(stack, arn, aws, wait)
    if found["Status"] == "FAILED":
        discard(ChangeSet(stack, arn, is_new, ()), aws)
        reason = found.get("StatusReason", "")
        if "didn't contain changes" in reason or "No updates are to be performed" in reason:
            return None
        raise StackFailed(f"{stack} can't be changed so: {reason}{remedy(reason)}")
    return ChangeSet(stack, arn, is_new, tuple(_changes(arn, aws)))


def _drawn_up(stack: str, arn: str, aws: Aws, wait: Wait) -> dict[str, Any]:
    waited_s = 0.0
    while True:
        found: dict[str, Any] = aws("cloudformation").describe_change_set(ChangeSetName=arn)
        if found["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            return found
        if waited_s >= LONGEST_S:
            raise Unfinished(f"The change set of {stack} is still {found['Status']}: run the same command later.")
        wait(POLL_S)
        waited_s += POLL_S


def _changes(arn: str, aws: Aws) -> list[Change]:
    return [
        Change(
            change["ResourceChange"]["Action"],
            change["ResourceChange"]["LogicalResourceId"],
            change["ResourceChange"]["ResourceType"],
            change["ResourceChange"].get("Replacement", ""),
        )
        for change in each(aws("cloudformation").describe_change_set, "Changes", ChangeSetName=arn)
        if "ResourceChange" in change
    ]


def discard(change: ChangeSet, aws: Aws) -> None:
    """Removes a change set, and the empty stack that one for a new stack brings with it: never one that runs.

    Another run may have replaced this change set by its own, and made the stack, while a question was open.
    """
    if not change.is_new:
        aws("cloudformation").delete_change_set(ChangeSetName=change.arn)
    elif status(change.stack, aws) == "REVIEW_IN_PROGRESS":
        aws("cloudformation").delete_stack(StackName=change.stack)


def execute(change: ChangeSet, aws: Aws, say: Say, wait: Wait, *, look: Callable[[], list[str]] = list) -> None:
    """`look` is asked once, when the first resource fails: what it sees may be gone at the end.

    Raises: StackFailed, Unfinished.
    """
    before, token = _event_ids(change.stack, aws), change.arn.split("/")[-1]
    try:
        aws("cloudformation").execute_change_set(ChangeSetName=change.arn, ClientRequestToken=token)
    except ClientError as error:
        if code_of(error) in ("ChangeSetNotFound", "ChangeSetNotFoundException", "InvalidChangeSetStatus"):
            raise Refused(
                f"{change.stack}: another run took the place of this change: run the same command again, which waits"
                " for the other."
            ) from error
        raise
    seen: list[str] = []
    state = follow(change.stack, aws, say, wait, before=before, failed=lambda: seen.extend(look()))
    if state not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        causes = failures(change.stack, aws) + seen
        raise StackFailed(f"{change.stack} failed and is {state}. {in_order(causes)}")


def follow(
    stack: str,
    aws: Aws,
    say: Say,
    wait: Wait,
    *,
    before: set[str] | None = None,
    failed: Callable[[], None] = lambda: None,
) -> str:
    """Waits for the end of what goes on, telling each step; returns the last status.

    `before`: the events from before it was begun; an end counts only after a newer one, because AWS's answers may be
    seconds old. Raises: Unfinished.
    """
    told = set(before) if before is not None else _event_ids(stack, aws)
    waited_s, has_failed = 0.0, False
    while True:
        try:
            state = status(stack, aws)
            for event in reversed([event for event in _events(stack, aws) if event["EventId"] not in told]):
                told.add(event["EventId"])
                if event["ResourceStatus"].endswith(("_COMPLETE", "_FAILED")):
                    say(f"  {event['LogicalResourceId']}: {event['ResourceStatus']}")
                if event["ResourceStatus"].endswith("_FAILED") and not has_failed:
                    has_failed = True
                    failed()
        except ClientError as error:
            if code_of(error) not in THROTTLED:
                raise
            state = "THROTTLED_IN_PROGRESS"
        has_begun = before is None or state == NOT_THERE or told > before or waited_s >= LONGEST_TO_BEGIN_S
        if has_begun and not in_progress(state) and state != "REVIEW_IN_PROGRESS":
            return state
        if waited_s >= LONGEST_S:
            raise Unfinished(f"{stack} is still {state} after an hour; the same command waits on.")
        wait(POLL_S)
        waited_s += POLL_S


def _event_ids(stack: str, aws: Aws) -> set[str]:
    return {event["EventId"] for event in _events(stack, aws)}


def _events(stack: str, aws: Aws) -> list[dict[str, Any]]:
    """The newest hundred, newest first; none where there is no such stack."""
    try:
        events: list[dict[str, Any]] = aws("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    except ClientError as error:
        if code_of(error) == "ValidationError":
            return []
        raise
    return events


def delete(stack: str, aws: Aws, say: Say, wait: Wait) -> bool:
    """Waits first for what goes on already; false where none of ours was there. Raises: StackFailed, Unfinished."""
    if not (found := describe(stack, aws)) or not _is_ours(found):
        return False
    if in_progress(state := status(stack, aws)):
        say(f"{stack}: {state} since an earlier run; waiting for its end.")
        state = follow(stack, aws, say, wait)
    if state == NOT_THERE:
        return True
    before = _event_ids(stack, aws)
    aws("cloudformation").delete_stack(StackName=stack)
    if (state := follow(stack, aws, say, wait, before=before)) != NOT_THERE:
        raise StackFailed(f"{stack} could not be removed and is {state}. {in_order(failures(stack, aws))}")
    return True
