"""What `up` would do on SageMaker: the changes of its stacks, and what the endpoint would go to."""

from collections.abc import Callable
from typing import Any

from deploy import base, endpoint, image, regions, release, stack_plan, stacks
from deploy.base import Base
from deploy.sagemaker_requests import Wanted
from deploy.sagemaker_values import capacity, section, shift, stack_name, values
from deploy.sections import Config

Aws = Callable[[str], Any]


def tell(config: Config, account: str, aws: Aws, say: stacks.Say, wait: stacks.Wait) -> None:
    name, region = config.deploy.name, config.deploy.region
    made = base.find(config, aws) or Base(f"{regions.registry(account, region)}/{name}", f"{name}-{account}-{region}")
    stack_plan.tell(
        base.stack_name(config), stacks.template("base"), {"Name": name}, aws, say, wait, tagged=config.tags
    )
    template = stacks.template("sagemaker")
    stack_plan.tell(stack_name(config), template, values(config, made.bucket), aws, say, wait, tagged=config.tags)
    if not (digest := image.find(config.image, name, aws)):
        say(f"Image: {config.image.source} would be pushed as {made.repository}:{config.image.tag}.")
    address = config.release.uri
    if config.release.path:
        address, missing = release.compare(config.release, made.bucket, aws)
        say(f"Release: {address}, {len(missing)} files would be uploaded.")
    role = stacks.outputs(stack_name(config), aws).get("Role", "")
    known = Wanted(name, f"{made.repository}@{digest}", address, role, section(config)) if digest and role else None
    _tell_endpoint(config, known, aws, say)


def _tell_endpoint(config: Config, wanted: Wanted | None, aws: Aws, say: stacks.Say) -> None:
    """`wanted`: None where image or role are not there, so that the configuration has no name yet."""
    name = config.deploy.name
    endpoint.refuse_anothers(name, aws)
    found = endpoint.find(name, aws)
    if found is None:
        say(f"Endpoint {name} is not there and would be made, {capacity(section(config))}.")
        return
    state, runs = found["EndpointStatus"], found.get("EndpointConfigName", "nothing")
    if wanted and runs == wanted.config:
        say(f"Endpoint {name} ({state}): nothing to change.")
        return
    to = wanted.config if wanted else "a new configuration"
    say(f"Endpoint {name} ({state}) would go from {runs} to {to}: {shift(section(config))}.")
