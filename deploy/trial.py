"""A trial of what is to run: one instance behind an endpoint of its own, asked before any traffic shifts."""

from collections.abc import Callable
from dataclasses import replace

from deploy import endpoint
from deploy.endpoint import Aws, Say, Wait
from deploy.errors import DeployError, SmokeFailed, StackFailed
from deploy.sagemaker_requests import Wanted

# InvokeEndpoint's TargetVariant can't choose one of the two fleets of an update: both have the variant's name.


def name_of(deployment: str) -> str:
    return f"{deployment}-trial"


def run(wanted: Wanted, aws: Aws, say: Say, wait: Wait, smoke: Callable[[str], None]) -> None:
    """Ends without its endpoint, however it ends; only Ctrl-C leaves it, for the next run or `down`.

    Raises: Refused, SmokeFailed, StackFailed, Unfinished.
    """
    name, one = name_of(wanted.name), replace(wanted, section=replace(wanted.section, min_instances=1))
    remove(wanted.name, aws, say, wait)
    endpoint.make_config(one, aws, say, wait)
    try:
        endpoint.make(name, one, aws, say, wait)
        endpoint.check(name, one.config, endpoint.follow(name, aws, say, wait, after=endpoint.NOT_THERE), aws)
        smoke(name)
    except DeployError as error:
        remove(wanted.name, aws, say, wait)
        kind = SmokeFailed if isinstance(error, SmokeFailed) else StackFailed
        raise kind(f"The trial failed, and no traffic went to it: {error}") from error
    remove(wanted.name, aws, say, wait)


def remove(deployment: str, aws: Aws, say: Say, wait: Wait) -> None:
    """What a trial made, or one that was interrupted left. Raises: StackFailed, Unfinished."""
    endpoint.remove(name_of(deployment), aws, say, wait)
