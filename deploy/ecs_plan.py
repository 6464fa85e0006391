"""What `up` would do on ECS: the changes of each stack in words, without doing any of them."""

from collections.abc import Callable
from typing import Any

from deploy import base, image, regions, release, stack_plan, stacks
from deploy.base import Base
from deploy.ecs_values import given_network, network_name, network_values, section, stack_name, values
from deploy.sections import Config

Aws = Callable[[str], Any]


def tell(config: Config, account: str, aws: Aws, say: stacks.Say, wait: stacks.Wait) -> None:
    name, region = config.deploy.name, config.deploy.region
    made = base.find(config, aws) or Base(f"{regions.registry(account, region)}/{name}", f"{name}-{account}-{region}")
    stack_plan.tell(
        base.stack_name(config), stacks.template("base"), {"Name": name}, aws, say, wait, tagged=config.tags
    )
    network = given_network(section(config))
    if not network:
        stack = network_name(config)
        stack_plan.tell(stack, stacks.template("network"), network_values(config), aws, say, wait, tagged=config.tags)
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
        stacks.refuse_anothers(stack_name(config), aws)
        stack_plan.tell_new(stack_name(config), stacks.template("service"), say)
        return
    uri = f"{made.repository}@{digest}" if digest else f"{made.repository}:{config.image.tag}"
    wanted = values(config, made, network, uri, address)
    stack_plan.tell(stack_name(config), stacks.template("service"), wanted, aws, say, wait, tagged=config.tags)
