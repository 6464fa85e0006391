"""What goes with an endpoint: alarms that guard an update, autoscaling, and removing what nothing needs any more."""

from typing import Any

from botocore.exceptions import ClientError

from deploy import sagemaker_requests as requests
from deploy.clients import code_of, each
from deploy.endpoint import Aws, Say
from deploy.errors import Refused
from deploy.sagemaker_requests import Wanted
from deploy.sections import Alarms


def guard(wanted: Wanted, limits: Alarms, aws: Aws) -> None:
    """Alarms on the new instances: without them AWS takes nothing back. Raises: Refused."""
    if wanted.section.serverless_memory_mb:
        return
    for alarm in requests.alarms(wanted, limits):
        aws("cloudwatch").put_metric_alarm(**alarm)
    names = requests.alarm_names(wanted.config)
    found = {
        alarm["AlarmName"]: alarm["StateValue"]
        for alarm in aws("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
    }
    if missing := [name for name in names if name not in found]:
        raise Refused(
            f"The alarm {missing[0]} is not there, and without its alarms AWS would not take a bad update back:"
            " nothing was changed. Run this again; if that does not help, look at the quota of alarms."
        )
    if ringing := [name for name in names if found[name] == "ALARM"]:
        raise Refused(
            f"The alarm {ringing[0]} is in ALARM before the update begins, and would take it back at once: wait until"
            " it is quiet, or raise the limits in [alarms]. Nothing was changed."
        )


def scale(wanted: Wanted, aws: Aws, say: Say) -> None:
    if wanted.section.serverless_memory_mb:
        unscale(wanted.name, aws)
        return
    target = aws("application-autoscaling").register_scalable_target(**requests.scaling_target(wanted))
    if wanted.tags:
        aws("application-autoscaling").tag_resource(ResourceARN=target["ScalableTargetARN"], Tags=dict(wanted.tags))
    aws("application-autoscaling").put_scaling_policy(**requests.scaling_policy(wanted))
    say(f"Scales from {wanted.section.min_instances} to {wanted.section.max_instances} instances.")


def unscale(name: str, aws: Aws) -> None:
    try:
        aws("application-autoscaling").deregister_scalable_target(**requests.scalable(name))
    except ClientError as error:
        if code_of(error) != "ObjectNotFoundException":
            raise


def remove(name: str, aws: Aws, say: Say, *, keep: frozenset[str]) -> None:
    kept_models = set[str]()
    configs = [
        entry["EndpointConfigName"]
        for entry in each(aws("sagemaker").list_endpoint_configs, "EndpointConfigs", NameContains=f"{name}-")
        if requests.is_ours(entry["EndpointConfigName"], name)
    ]
    for config in configs:
        if config in keep:
            variants = aws("sagemaker").describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
            kept_models |= {variant["ModelName"] for variant in variants}
        else:
            aws("sagemaker").delete_endpoint_config(EndpointConfigName=config)
            say(f"Endpoint configuration {config}: removed.")
    stale = [alarm["AlarmName"] for alarm in alarms(name, aws) if alarm["AlarmName"].rpartition("-")[0] not in keep]
    if stale:
        aws("cloudwatch").delete_alarms(AlarmNames=stale)
    models = [
        entry["ModelName"]
        for entry in each(aws("sagemaker").list_models, "Models", NameContains=f"{name}-")
        if requests.is_ours(entry["ModelName"], name)
    ]
    for model in models:
        if model not in kept_models:
            aws("sagemaker").delete_model(ModelName=model)
            say(f"Model {model}: removed.")


def alarms(name: str, aws: Aws) -> list[dict[str, Any]]:
    """Those that guard deployments."""
    found = each(aws("cloudwatch").describe_alarms, "MetricAlarms", AlarmNamePrefix=f"{name}-")
    return [alarm for alarm in found if requests.is_ours(alarm["AlarmName"].rpartition("-")[0], name)]
