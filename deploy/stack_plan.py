"""What a stack would become: its changes in words, without doing any of them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from deploy import stacks

Aws = Callable[[str], Any]


def tell(
    stack: str,
    body: str,
    wanted: dict[str, str],
    aws: Aws,
    say: stacks.Say,
    wait: stacks.Wait,
    *,
    tagged: Mapping[str, str],
) -> None:
    stacks.refuse_anothers(stack, aws)
    state = stacks.status(stack, aws)
    if state == stacks.NOT_THERE:
        tell_new(stack, body, say)
        return
    if stacks.in_progress(state) or state in (*stacks.STILLBORN, "UPDATE_ROLLBACK_FAILED"):
        say(f"{stack} is {state}: `up` would first wait for it, or ask to clear it away.")
        return
    change = stacks.propose(stack, body, wanted, aws, wait, tagged=tagged)
    if change is None:
        say(f"{stack}: nothing to change.")
        return
    stacks.discard(change, aws)
    say(f"{stack} would:")
    for line in change.changes:
        say(f"  {line}")


def tell_new(stack: str, body: str, say: stacks.Say) -> None:
    say(f"{stack} is not there and would be made, with:")
    made = r"^  (\w+):[^\n]*\n    Type: (AWS::[\w:]+)\n(    Condition: )?"
    for name, kind, condition in re.findall(made, body.partition("\nResources:")[2], re.MULTILINE):
        say(f"  {name} ({kind.removeprefix('AWS::')}){', where deploy.toml asks for it' if condition else ''}")
