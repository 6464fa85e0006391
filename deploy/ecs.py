"""The target `ecs`: the page and the API on Fargate behind a load balancer, one verb a function."""

from collections.abc import Callable

from deploy import base, causes, ecs_plan, fargate, history, image, prices, release, stacks
from deploy import logs as log_group
from deploy.clients import check_account, told
from deploy.ecs_values import (
    given_network,
    network_name,
    network_values,
    section,
    stack_name,
    values,
    within_boundary,
)
from deploy.errors import DeployError, Refused, SmokeFailed, StackFailed
from deploy.history import Deployment
from deploy.sections import Config
from deploy.stacks import Ask, Aws, Say, Wait

TARGET = "ecs"
Smoke = Callable[[], None]


def plan(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait) -> None:
    account = check_account(config.deploy, aws)
    ecs_plan.tell(config, account, aws, say, wait)
    _tell_who(config, say)
    prices.tell(prices.of_ecs(config), config.deploy.region, aws, say)


def up(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait, run: image.Run, smoke: Smoke) -> None:
    check_account(config.deploy, aws)
    made = base.make(config, aws, say, ask, wait)
    history.read(made.bucket, TARGET, aws)  # a damaged one is found before anything else changes
    pushed = image.publish(config.image, made.repository, aws, say, run)
    address = release.publish(config.release, made.bucket, aws, say) if section(config).mode == "readers" else ""
    network = _make_network(config, aws, say, ask, wait)  # what costs by the hour comes when the rest is there
    wanted = Deployment(stacks.template("service"), values(config, made, network, pushed, address))
    _warn_of_alarms(config, aws, say, ask)
    try:
        where = _deploy(config, wanted, aws, say, ask, wait)
    except (Refused, StackFailed) as error:
        raise type(error)(f"{error}{_alone(config, aws)}") from error
    say(f"It runs behind {where.address}; {section(config).domain} must point there (a CNAME or an alias record).")
    _tell_who(config, say)
    _prove(config, made.bucket, wanted, aws, say, wait, smoke)


def update(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait, run: image.Run, smoke: Smoke) -> None:
    if stacks.status(stack_name(config), aws) == stacks.NOT_THERE:
        raise Refused(f"There is no {stack_name(config)} in {config.deploy.region} to update: run `up` first.")
    up(config, aws, say, ask, wait=wait, run=run, smoke=smoke)


def rollback(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait, run: image.Run, smoke: Smoke) -> None:
    check_account(config.deploy, aws)
    bucket = base.there(config, aws).bucket
    if stacks.status(stack_name(config), aws) == stacks.NOT_THERE:
        raise Refused(f"There is no {stack_name(config)} in {config.deploy.region} to take back: run `up` first.")
    good = _good(config, bucket, aws)
    stacks.settle(stack_name(config), aws, say, ask, wait)
    runs = within_boundary(config, stacks.parameters(stack_name(config), aws))
    if good and runs == dict(good[-1].parameters):
        good = good[:-1]  # that is what runs: back to the one before
    if not good:
        raise Refused("There is nothing to go back to: no earlier deployment was found good.")
    say(f"Back to {good[-1]}.")
    _deploy(config, good[-1], aws, say, ask, wait)
    history.write(bucket, TARGET, good, aws)
    smoke()
    say("It runs as before, and answers as it should.")


def status(config: Config, aws: Aws, say: Say, ask: Ask) -> None:
    check_account(config.deploy, aws)
    for stack in (base.stack_name(config), network_name(config), stack_name(config)):
        say(f"{stack}: {stacks.status(stack, aws) or 'not there'}")
    found = stacks.outputs(stack_name(config), aws)
    if "Service" not in found:
        return
    where = fargate.place(found)
    say(f"Runs {Deployment('', stacks.parameters(stack_name(config), aws))}.")
    fargate.describe(where, aws, say)
    say(f"Alarms: {', '.join(fargate.alarms(config.deploy.name, aws)) or 'none'}.")
    say(f"Address: https://{section(config).domain} (points to {where.address})")


def logs(config: Config, aws: Aws, say: Say, ask: Ask, *, since_s: float, follow: bool, wait: Wait) -> None:
    log_group.show(f"/sightline/{config.deploy.name}/ecs", aws, say, since_s=since_s, follow=follow, wait=wait)


def down(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait) -> None:
    """Never the bucket, never the images."""
    where = f"{config.deploy.region}, account {check_account(config.deploy, aws)},"
    name = config.deploy.name
    if not ask(f"This ends the service {name} in {where} and removes its load balancer and log.", name):
        raise Refused("Nothing was removed.")
    removed = [stacks.delete(stack, aws, say, wait) for stack in (stack_name(config), network_name(config))]
    say("The service is gone." if any(removed) else f"There is no service {name} in {config.deploy.region}.")
    if kept := base.find(config, aws):
        history.close(kept.bucket, TARGET, aws)
        prices.tell_what_stays(kept.repository, kept.bucket, config.deploy.region, aws, say)


def _good(config: Config, bucket: str, aws: Aws) -> list[Deployment]:
    """What passed the smoke test, newest last."""
    found = history.read(bucket, TARGET, aws)
    return [Deployment(entry.template, within_boundary(config, entry.parameters)) for entry in found]


def _alone(config: Config, aws: Aws) -> str:
    """What to know of a network of our own that stands without a service; "" where there is none or it is in use."""
    is_alone = stacks.status(stack_name(config), aws) in (stacks.NOT_THERE, *stacks.STILLBORN)
    if given_network(section(config)) or not is_alone:
        return ""
    return f" {network_name(config)} stays, and costs by the hour: `up` goes on with it, `down` removes it."


def _tell_who(config: Config, say: Say) -> None:
    ecs = section(config)
    if not ecs.users_secret_arn:
        say(f"Nobody has to sign in: everybody whose address is in {ecs.allowed_cidr} may search ([ecs] allowed_cidr).")


def _make_network(config: Config, aws: Aws, say: Say, ask: Ask, wait: Wait) -> dict[str, str]:
    """The outputs of its stack, or what deploy.toml says of one that is there."""
    if given := given_network(section(config)):
        return given
    template = stacks.template("network")
    base.bring(network_name(config), template, network_values(config), aws, say, ask, wait, tagged=config.tags)
    return stacks.outputs(network_name(config), aws)


def _warn_of_alarms(config: Config, aws: Aws, say: Say, ask: Ask) -> None:
    """ECS ignores the alarms of a deployment that begins while one of them is in ALARM. Raises: Refused."""
    ringing = [name for name in fargate.alarms(config.deploy.name, aws) if name.endswith(("-errors", "-latency"))]
    if not ringing:
        return
    say(f"In ALARM already: {', '.join(ringing)}. ECS won't take a deployment back for an alarm that rang before it.")
    if not ask("Go on all the same?", "yes"):
        raise Refused("Nothing was changed.")


def _deploy(config: Config, wanted: Deployment, aws: Aws, say: Say, ask: Ask, wait: Wait) -> fargate.Place:
    """Raises: Refused, StackFailed, Unfinished."""
    name = config.deploy.name
    base.bring(
        stack_name(config),
        wanted.template,
        dict(wanted.parameters),
        aws,
        say,
        ask,
        wait,
        tagged=config.tags,
        look=lambda: _look(name, aws),
    )
    where = fargate.place(stacks.outputs(stack_name(config), aws))
    fargate.watch(where, aws, say, wait)
    return where


def _look(name: str, aws: Aws) -> list[str]:
    """Cluster and service have the deployment's name; neither may outlive the roll-back."""
    return causes.tasks(name, name, aws)


def _prove(config: Config, bucket: str, wanted: Deployment, aws: Aws, say: Say, wait: Wait, smoke: Smoke) -> None:
    """Smokes what was deployed; keeps it as good, or goes back to what was. Raises: SmokeFailed, StackFailed."""
    good = _good(config, bucket, aws)
    try:
        smoke()
    except SmokeFailed as error:
        if not good:
            raise SmokeFailed(
                f"{error} There is no earlier deployment to go back to: it was left as it is. `up` tries again."
            ) from error
        if good[-1] == wanted:
            raise SmokeFailed(
                f"{error} It was found good before, so it was left as it is; `rollback` goes to the one before."
            ) from error
        say(f"{error} Going back to {good[-1]}.")
        try:
            with told():
                _deploy(config, good[-1], aws, say, lambda question, answer: True, wait)
        except DeployError as second:
            raise StackFailed(f"{error} Going back failed as well: {second} `rollback` tries it again.") from error
        raise SmokeFailed(f"{error} It was taken back: {good[-1]} runs again.") from error
    if not good or good[-1] != wanted:
        history.write(bucket, TARGET, [*good, wanted], aws)
    say("It answers as it should.")
