"""What every target in an account stands on: the repository and the bucket, made once and never removed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy import stacks
from deploy.errors import Refused
from deploy.sections import Config


@dataclass(frozen=True, slots=True)
class Base:
    repository: str  # the registry's host, / and the deployment's name
    bucket: str


def stack_name(config: Config) -> str:
    return f"{config.deploy.name}-base"


def find(config: Config, aws: Callable[[str], Any]) -> Base | None:
    found = stacks.outputs(stack_name(config), aws)
    return Base(found["Repository"], found["Bucket"]) if "Bucket" in found else None


def there(config: Config, aws: Callable[[str], Any]) -> Base:
    """Raises: Refused."""
    if found := find(config, aws):
        return found
    raise Refused(f"There is no {stack_name(config)} in {config.deploy.region}: run `up` first.")


def make(config: Config, aws: Callable[[str], Any], say: stacks.Say, ask: stacks.Ask, wait: stacks.Wait) -> Base:
    """Makes it where it is not, and brings it to the template. Raises: Refused, StackFailed, Unfinished."""
    values = {"Name": config.deploy.name}
    bring(stack_name(config), stacks.template("base"), values, aws, say, ask, wait, tagged=config.tags)
    return there(config, aws)


def bring(
    stack: str,
    body: str,
    values: dict[str, str],
    aws: Callable[[str], Any],
    say: stacks.Say,
    ask: stacks.Ask,
    wait: stacks.Wait,
    *,
    tagged: Mapping[str, str],
    look: Callable[[], list[str]] = list,
) -> bool:
    """A stack to a template and parameters: shown, agreed to, executed; whether anything changed.

    Raises: Refused, StackFailed, Unfinished.
    """
    stacks.settle(stack, aws, say, ask, wait)
    change = stacks.propose(stack, body, values, aws, wait, tagged=tagged)
    if change is None:
        say(f"{stack}: nothing to change.")
        return False
    say(f"{stack}:")
    for line in change.changes:
        say(f"  {line}")
    agreed = False
    try:
        agreed = ask("Do this?", "yes")
    finally:  # where nobody can be asked, and at Ctrl-C, too
        if not agreed:
            stacks.discard(change, aws)
    if not agreed:
        raise Refused("Nothing was changed.")
    stacks.execute(change, aws, say, wait, look=look)
    return True
