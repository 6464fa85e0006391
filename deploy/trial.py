"""A trial of what is to run: one instance behind an endpoint of its own, asked before any traffic shifts."""

from collections.abc import Callable
from dataclasses import replace

from deploy import endpoint
from deploy.clients import told
from deploy.endpoint import Aws, Say, Wait
from deploy.errors import DeployError, SmokeFailed, StackFailed
from deploy.sagemaker_requests import Wanted

# InvokeEndpoint's TargetVariant can't choose one of the two fleets of an update: both have the variant's name.

PAID = "costs an instance until the next `update`, or `down`, removes it"


def name_of(deployment: str) -> str:
    return f"{deployment}-trial"


def run(wanted: Wanted, aws: Aws, say: Say, wait: Wait, smoke: Callable[[str], None]) -> None:
    """Ends without its endpoint, or says that it is left: by Ctrl-C, or where it can't be removed.

    Raises: Refused, SmokeFailed, StackFailed, Unfinished.
    """
    name, one = name_of(wanted.name), replace(wanted, section=replace(wanted.section, min_instances=1))
    endpoint.refuse_anothers(name, aws, of=wanted.name)
    remove(wanted.name, aws, say, wait)
    endpoint.make_config(one, aws, say, wait)
    try:
        with told():
            endpoint.make(name, one, aws, say, wait)
            endpoint.check(name, one.config, endpoint.follow(name, aws, say, wait, after=endpoint.NOT_THERE), aws)
            smoke(name)
    except KeyboardInterrupt:
        say(f"{name} stays and {PAID}.")
        raise
    except DeployError as error:
        kind = SmokeFailed if isinstance(error, SmokeFailed) else StackFailed
        left = _left(wanted.name, aws, say, wait)
        raise kind(f"The trial failed, and no traffic went to it: {error}{left}") from error
    if left := _left(wanted.name, aws, say, wait):
        raise StackFailed(f"The trial went well, and no traffic has shifted yet.{left}")


def _left(deployment: str, aws: Aws, say: Say, wait: Wait) -> str:
    """Removes the trial; what is said where that fails, "" where it does not."""
    try:
        with told():
            remove(deployment, aws, say, wait)
    except DeployError as error:
        return f" {name_of(deployment)} could not be removed and {PAID}. ({error})"
    return ""


def remove(deployment: str, aws: Aws, say: Say, wait: Wait) -> None:
    """What a trial made, or one that was interrupted left. Raises: StackFailed, Unfinished."""
    endpoint.remove(name_of(deployment), aws, say, wait)
