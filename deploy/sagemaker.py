"""The target `sagemaker`: a signed endpoint that runs `serve`, one verb a function."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from deploy import base, batch, endpoint, guards, history, image, prices, release, sagemaker_plan, stacks, trial
from deploy import logs as log_group
from deploy import sagemaker_requests as requests
from deploy.clients import check_account, told
from deploy.errors import DeployError, Refused, SmokeFailed, StackFailed
from deploy.history import Deployment
from deploy.sagemaker_requests import Wanted
from deploy.sagemaker_values import processor, section, shift, stack_name, values
from deploy.sections import Config
from deploy.stacks import Ask, Aws, Say, Wait

TARGET = "sagemaker"
Smoke = Callable[..., None]  # takes another endpoint's name than the deployment's, or nothing


def plan(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait) -> None:
    sagemaker_plan.tell(config, check_account(config.deploy, aws), aws, say, wait)
    prices.tell(prices.of_sagemaker(config), config.deploy.region, aws, say)
    if section(config).serverless_memory_mb:
        say("  What a serverless endpoint computes is paid by the request, and not in that.")


def up(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait, run: image.Run, smoke: Smoke) -> None:
    check_account(config.deploy, aws)
    endpoint.refuse_anothers(config.deploy.name, aws)
    made = base.make(config, aws, say, ask, wait)
    history.read(made.bucket, TARGET, aws)  # a damaged one is found before anything else changes
    template, named = stacks.template(TARGET), values(config, made.bucket)
    base.bring(stack_name(config), template, named, aws, say, ask, wait, tagged=config.tags)
    wanted = Wanted(
        config.deploy.name,
        image.publish(config.image, made.repository, aws, say, run, processor=processor(section(config))),
        release.publish(config.release, made.bucket, aws, say),
        stacks.outputs(stack_name(config), aws)["Role"],
        section(config),
        config.tags,
    )
    before = _deploy(config, wanted, aws, say, ask, wait, smoke)
    endpoint.tag(wanted, aws)
    guards.scale(wanted, aws, say)
    _prove(config, made.bucket, wanted, before, aws, say, wait, smoke)
    _tidy(config, made.bucket, aws, say)


def update(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait, run: image.Run, smoke: Smoke) -> None:
    if endpoint.find(config.deploy.name, aws) is None:
        raise Refused(f"There is no endpoint {config.deploy.name} in {config.deploy.region} to update: run `up` first.")
    up(config, aws, say, ask, wait=wait, run=run, smoke=smoke)


def rollback(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait, run: image.Run, smoke: Smoke) -> None:
    check_account(config.deploy, aws)
    bucket, name = base.there(config, aws).bucket, config.deploy.name
    endpoint.refuse_anothers(name, aws)
    found = endpoint.follow(name, aws, say, wait)
    if found is None:
        raise Refused(f"There is no endpoint {name} in {config.deploy.region}: run `up` first.")
    good = history.read(bucket, TARGET, aws)
    if good and found["EndpointStatus"] == "InService" and _config_of(good[-1]) == found.get("EndpointConfigName"):
        good = good[:-1]  # that is what runs: back to the one before
    if not good:
        raise Refused("There is nothing to go back to: no earlier deployment was found good.")
    say(f"Back to {good[-1]}.")
    _back(config, _config_of(good[-1]), aws, say, wait)
    history.write(bucket, TARGET, good, aws)
    smoke()
    say("It runs as before, and answers as it should.")


def status(config: Config, aws: Aws, say: Say, ask: Ask) -> None:
    check_account(config.deploy, aws)
    name = config.deploy.name
    for stack in (base.stack_name(config), stack_name(config)):
        say(f"{stack}: {stacks.status(stack, aws) or 'not there'}")
    found = endpoint.find(name, aws)
    if found is None:
        say(f"Endpoint {name}: not there")
        return
    say(f"Endpoint {name}: {found['EndpointStatus']}, on {found.get('EndpointConfigName', 'nothing yet')}")
    if reason := found.get("FailureReason", ""):
        say(f"AWS says: {reason}{endpoint.remedy(reason)}")
    for variant in found.get("ProductionVariants", []):
        if "CurrentInstanceCount" in variant:
            say(f"Instances: {variant['CurrentInstanceCount']} of {variant.get('DesiredInstanceCount')} wanted")
    if endpoint.find(trial.name_of(name), aws):
        say(f"Endpoint {trial.name_of(name)}: left by an interrupted update; the next one, or `down`, removes it")
    rang = [alarm["AlarmName"] for alarm in guards.alarms(name, aws) if alarm["StateValue"] == "ALARM"]
    say(f"In ALARM: {', '.join(rang) or 'none'}")


def logs(config: Config, aws: Aws, say: Say, ask: Ask, *, since_s: float, follow: bool, wait: Wait) -> None:
    group = endpoint.log_group(config.deploy.name)
    log_group.show(group, aws, say, since_s=since_s, follow=follow, wait=wait)


def down(config: Config, aws: Aws, say: Say, ask: Ask, *, wait: Wait) -> None:
    """Never the bucket, never the images."""
    where = f"{config.deploy.region}, account {check_account(config.deploy, aws)},"
    name = config.deploy.name
    endpoint.refuse_anothers(name, aws)
    endpoint.refuse_anothers(trial.name_of(name), aws, of=name)
    if not ask(f"This ends the endpoint {name} in {where} and removes its models and alarms.", name):
        raise Refused("Nothing was removed.")
    was_there = endpoint.find(name, aws) is not None
    guards.unscale(name, aws)
    trial.remove(name, aws, say, wait)
    endpoint.remove(name, aws, say, wait)
    guards.remove(name, aws, say, keep=frozenset())
    was_there = stacks.delete(stack_name(config), aws, say, wait) or was_there
    say("The endpoint is gone." if was_there else f"There is no endpoint {name} in {config.deploy.region}.")
    for job in batch.under_way(name, aws):
        say(f"Transform job {job} goes on, and costs until it ends: stop it in the console if it is not wanted.")
    if kept := base.find(config, aws):
        history.close(kept.bucket, TARGET, aws)
        prices.tell_what_stays(kept.repository, kept.bucket, config.deploy.region, aws, say)


def _deploy(config: Config, wanted: Wanted, aws: Aws, say: Say, ask: Ask, wait: Wait, smoke: Smoke) -> str:
    """Returns the configuration that ran before, "" where none did.

    Raises: Refused, SmokeFailed, StackFailed, Unfinished.
    """
    name = wanted.name
    found = endpoint.find(name, aws)
    if found is not None and found["EndpointStatus"] in endpoint.MOVING:
        say(f"{name}: {found['EndpointStatus']} since an earlier run; waiting for its end.")
        found = endpoint.follow(name, aws, say, wait)
    if found is not None and found["EndpointStatus"] in ("Failed", "OutOfService"):
        _clear_away(name, found, aws, say, ask, wait)
        found = None
    endpoint.make_model(wanted, aws, say, wait)
    endpoint.make_config(wanted, aws, say, wait)
    if found is None:
        endpoint.make(name, wanted, aws, say, wait)
        made = endpoint.follow(name, aws, say, wait, after=endpoint.NOT_THERE)
        endpoint.check(name, wanted.config, made, aws)
        return ""
    runs = str(found.get("EndpointConfigName", ""))
    if runs == wanted.config and found["EndpointStatus"] == "InService":
        say(f"{name}: {runs} runs already.")
        return ""
    if not ask(f"{name} goes from {runs} to {wanted.config}, {shift(wanted.section)}. Do this?", "yes"):
        raise Refused("Nothing was changed.")
    if wanted.section.trial:
        trial.run(wanted, aws, say, wait, smoke)
    guards.guard(wanted, config.alarms, aws)
    endpoint.shift(requests.update(wanted), aws, say, wait)
    endpoint.check(name, wanted.config, endpoint.follow(name, aws, say, wait, after=endpoint.seen(found)), aws)
    return runs


def _clear_away(name: str, found: dict[str, Any], aws: Aws, say: Say, ask: Ask, wait: Wait) -> None:
    """An endpoint that never came up takes no update."""
    reason = found.get("FailureReason", "no reason given")
    say(f"{name} is {found['EndpointStatus']}: {reason}{endpoint.remedy(reason)}")
    if not ask("It serves nothing and has to go first. Remove it and make it anew?", "yes"):
        raise Refused(f"Nothing was changed: {name} is {found['EndpointStatus']} and stays in the way.")
    endpoint.remove(name, aws, say, wait)


def _prove(
    config: Config, bucket: str, wanted: Wanted, before: str, aws: Aws, say: Say, wait: Wait, smoke: Smoke
) -> None:
    """Smokes what was deployed; keeps it as good, or goes back to what ran. Raises: SmokeFailed, StackFailed."""
    good, kept = history.read(bucket, TARGET, aws), _deployment(wanted)
    if not before and good and good[-1] != kept:
        before = _config_of(good[-1])  # an interrupted run began this update
    try:
        smoke()
    except SmokeFailed as error:
        if not before:
            raise SmokeFailed(f"{error} Nothing was updated: it was left as it is. `up` tries again.") from error
        say(f"{error} Going back to {before}.")
        try:
            with told():
                _back(config, before, aws, say, wait)
        except DeployError as second:
            raise StackFailed(f"{error} Going back failed as well: {second} `rollback` tries it again.") from error
        raise SmokeFailed(f"{error} It was taken back: {before} runs again.") from error
    if not good or good[-1] != kept:
        history.write(bucket, TARGET, [*good, kept], aws)
    say("It answers as it should.")


def _back(config: Config, before: str, aws: Aws, say: Say, wait: Wait) -> None:
    """Raises: Refused, StackFailed, Unfinished."""
    name = config.deploy.name
    try:
        held = aws("sagemaker").describe_endpoint_config(EndpointConfigName=before)
    except ClientError as error:
        if endpoint.is_missing(error):
            raise Refused(
                f"{before} was deleted and can't be gone back to: run `update` with what ran then."
            ) from error
        raise
    serverless = "ServerlessConfig" in held["ProductionVariants"][0]
    was = endpoint.seen(endpoint.find(name, aws))
    endpoint.shift(requests.back(name, before, serverless=serverless), aws, say, wait)
    endpoint.check(name, before, endpoint.follow(name, aws, say, wait, after=was), aws)


def _tidy(config: Config, bucket: str, aws: Aws, say: Say) -> None:
    """Keeps what runs and what `rollback` can go back to; a configuration in use is never deleted."""
    found = endpoint.find(config.deploy.name, aws) or {}
    good = history.read(bucket, TARGET, aws)
    guards.remove(
        config.deploy.name,
        aws,
        say,
        keep=frozenset(map(_config_of, good)) | {str(found.get("EndpointConfigName"))},
    )


def _deployment(wanted: Wanted) -> Deployment:
    bucket, _, key = wanted.release.removeprefix("s3://").partition("/")
    named = {"Image": wanted.image, "ReleaseBucket": bucket, "ReleasePrefix": key, "EndpointConfig": wanted.config}
    return Deployment("", named)


def _config_of(deployment: Deployment) -> str:
    return deployment.parameters.get("EndpointConfig", "")
