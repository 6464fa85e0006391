"""What `up` would do on ECS: the changes of each stack in words, without doing any of them."""

import re
from collections.abc import Callable
from typing import Any

from deploy import base, image, release, stacks
from deploy.base import Base
from deploy.ecs_values import given_network, network_name, network_values, section, stack_name, values
from deploy.sections import Config

Aws = Callable[[str], Any]


def tell(config: Config, account: str, aws: Aws, say: stacks.Say, wait: stacks.Wait) -> None:
    name, region = config.deploy.name, config.deploy.region
    made = base.find(config, aws) or Base(
        f"{account}.dkr.ecr.{region}.amazonaws.com/{name}", f"{name}-{account}-{region}"
    )
    tell_stack(base.stack_name(config), stacks.template("base"), {"Name": name}, aws, say, wait)
    network = given_network(section(config))
    if not network:
        stack = network_name(config)
        tell_stack(stack, stacks.template("network"), network_values(config), aws, say, wait)
        network = stacks.outputs(stack, aws)
    digest = image.find(config.image, name, aws)
    if not digest:
        say(f"Image: {config.image.source} would be pushed as {made.repository}:{config.image.tag}.")
    reads = section(config).mode == "readers"
    address = config.release.uri if reads else ""
    if config.release.path and reads:
        address, missing = release.compare(config.release, made.bucket, aws)
        say(f"Release: {address}, {len(missing)} files would be uploaded.")
    if not network:
        _tell_new(stack_name(config), stacks.template("service"), say)
        return
    uri = f"{made.repository}@{digest}" if digest else f"{made.repository}:{config.image.tag}"
    wanted = values(config, made, network, uri, address)
    tell_stack(stack_name(config), stacks.template("service"), wanted, aws, say, wait)


def tell_stack(stack: str, body: str, wanted: dict[str, str], aws: Aws, say: stacks.Say, wait: stacks.Wait) -> None:
    state = stacks.status(stack, aws)
    if state == stacks.NOT_THERE:
        _tell_new(stack, body, say)
        return
    if stacks.in_progress(state) or state in (*stacks.STILLBORN, "UPDATE_ROLLBACK_FAILED"):
        say(f"{stack} is {state}: `up` would first wait for it, or ask to clear it away.")
        return
    change = stacks.propose(stack, body, wanted, aws, wait)
    if change is None:
        say(f"{stack}: nothing to change.")
        return
    stacks.discard(change, aws)
    say(f"{stack} would:")
    for line in change.changes:
        say(f"  {line}")


def _tell_new(stack: str, body: str, say: stacks.Say) -> None:
    say(f"{stack} is not there and would be made, with:")
    for name, kind in re.findall(
        r"^  (\w+):[^\n]*\n    Type: (AWS::[\w:]+)", body.partition("\nResources:")[2], re.MULTILINE
    ):
        say(f"  {name} ({kind.removeprefix('AWS::')})")
