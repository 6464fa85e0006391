"""What is asked of SageMaker, CloudWatch and Application Auto Scaling, as exact requests; calls nobody."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy import tags
from deploy.sections import Alarms, Sagemaker

VARIANT = "AllTraffic"  # always this one: autoscaling and updates go by it
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
DOWNLOAD_TIMEOUT_S = 1_800  # of the release onto an instance
SERVERLESS_BYTES = "4000000"  # of an answer: 4 MB. Source: "Invoke a serverless endpoint"
LONGEST_UPDATE_S = 28_800  # UpdateEndpoint, "MaximumExecutionTimeoutInSeconds"

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to run behind an endpoint."""

    name: str  # of the deployment, and of the endpoint
    image: str  # repository, @ and digest
    release: str  # s3://…, "" for what the image holds
    role: str
    section: Sagemaker
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Equal content has one name, so that a second run finds what the first one made."""
        return f"{self.name}-{_hash(_model_of(self))}"

    @property
    def config(self) -> str:
        return f"{self.name}-{_hash([self.model, _variant_of(self, self.model)])}"


def is_ours(name: str, deployment: str) -> bool:
    """Whether a model's or an endpoint configuration's name was made here for that deployment."""
    prefix, _, content = name.rpartition("-")
    return prefix == deployment and len(content) == 12 and set(content) <= set("0123456789abcdef")


def model(wanted: Wanted) -> Request:
    return {"ModelName": wanted.model, **_model_of(wanted), "Tags": tags_of(wanted)}


def _model_of(wanted: Wanted) -> Request:
    return {
        "ExecutionRoleArn": wanted.role,
        "PrimaryContainer": container(wanted),
        "EnableNetworkIsolation": wanted.section.network_isolation,
    }


def container(wanted: Wanted) -> Request:
    found: Request = {"Image": wanted.image, "Environment": environment(wanted)}
    if wanted.release.endswith(".tar.gz"):
        found["ModelDataUrl"] = wanted.release
    elif wanted.release:
        source = {"S3Uri": wanted.release.rstrip("/") + "/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        found["ModelDataSource"] = {"S3DataSource": source}
    return found


def environment(wanted: Wanted) -> dict[str, str]:
    """Settings of docs/settings.md. What a release brings needs none."""
    given = {
        "SIGHTLINE_MODEL": wanted.section.model,
        "SIGHTLINE_COLLECTION": wanted.section.collection,
        "SIGHTLINE_ANSWER_BYTES": SERVERLESS_BYTES if wanted.section.serverless_memory_mb else "",
    }
    return {"SIGHTLINE_OFFLINE": "1", **{name: value for name, value in given.items() if value}}


def endpoint_config(wanted: Wanted) -> Request:
    return {
        "EndpointConfigName": wanted.config,
        "ProductionVariants": [_variant_of(wanted, wanted.model)],
        "Tags": tags_of(wanted),
    }


def _variant_of(wanted: Wanted, model_name: str) -> Request:
    section = wanted.section
    variant: Request = {"VariantName": VARIANT, "ModelName": model_name}
    if section.serverless_memory_mb:
        serverless = {"MemorySizeInMB": section.serverless_memory_mb, "MaxConcurrency": section.serverless_concurrency}
        return {**variant, "ServerlessConfig": serverless}
    return {
        **variant,
        "InstanceType": section.instance_type,
        "InitialInstanceCount": section.min_instances,
        "InitialVariantWeight": 1.0,
        "ContainerStartupHealthCheckTimeoutInSeconds": section.start_timeout_s,
        "ModelDataDownloadTimeoutInSeconds": DOWNLOAD_TIMEOUT_S,
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }


def endpoint(name: str, wanted: Wanted) -> Request:
    return {"EndpointName": name, "EndpointConfigName": wanted.config, "Tags": tags_of(wanted)}


def update(wanted: Wanted) -> Request:
    """Instances keep the number that autoscaling gave them. A serverless endpoint has no fleets to shift between."""
    request: Request = {"EndpointName": wanted.name, "EndpointConfigName": wanted.config}
    if wanted.section.serverless_memory_mb:
        return request
    return {
        **request,
        "RetainAllVariantProperties": True,
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": _blue_green(wanted.section),
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarm_names(wanted.config)]},
        },
    }


def back(name: str, config: str, *, serverless: bool) -> Request:
    """All at once, to what ran before: what runs now is known to be wrong."""
    request: Request = {"EndpointName": name, "EndpointConfigName": config}
    return request if serverless else {**request, "RetainAllVariantProperties": True}


def _blue_green(section: Sagemaker) -> Request:
    size = {"Type": "CAPACITY_PERCENT", "Value": section.canary_percent}
    routing: Request = {"Type": section.traffic.upper(), "WaitIntervalInSeconds": section.bake_s}
    if section.traffic == "canary":
        routing["CanarySize"] = size
    elif section.traffic == "linear":
        routing["LinearStepSize"] = size
    steps = -(-100 // section.canary_percent) if section.traffic == "linear" else 2
    at_most = steps * section.bake_s + 2 * (section.start_timeout_s + DOWNLOAD_TIMEOUT_S) + 1_200
    return {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": section.bake_s,
        "MaximumExecutionTimeoutInSeconds": min(LONGEST_UPDATE_S, at_most),
    }


def alarm_names(config: str) -> tuple[str, str]:
    return f"{config}-errors", f"{config}-latency"


def alarms(wanted: Wanted, limits: Alarms) -> list[Request]:
    """On the new fleet alone: its configuration is a dimension, so what the old one does rings nothing."""
    errors, latency = alarm_names(wanted.config)
    dimensions = [
        {"Name": "EndpointName", "Value": wanted.name},
        {"Name": "VariantName", "Value": VARIANT},
        {"Name": "EndpointConfigName", "Value": wanted.config},
    ]
    same: Request = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": dimensions,
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": tags_of(wanted),
    }
    return [
        {
            "AlarmName": errors,
            "AlarmDescription": "Share of invocations of the new fleet that failed. Guards its deployment.",
            "MetricName": "Invocation5XXErrors",
            "Statistic": "Average",
            "Threshold": limits.errors_percent / 100,
            **same,
        },
        {
            "AlarmName": latency,
            "AlarmDescription": "p95 of the new fleet's ModelLatency, in microseconds. Guards its deployment.",
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p95",
            "Threshold": limits.p95_latency_ms * 1_000.0,
            **same,
        },
    ]


def scalable(name: str) -> Request:
    resource = f"endpoint/{name}/variant/{VARIANT}"
    return {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": DIMENSION}


def scaling_target(wanted: Wanted) -> Request:
    section = wanted.section
    return {**scalable(wanted.name), "MinCapacity": section.min_instances, "MaxCapacity": section.max_instances}


def scaling_policy(wanted: Wanted) -> Request:
    return {
        "PolicyName": f"{wanted.name}-invocations",
        **scalable(wanted.name),
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(wanted.section.invocations_per_instance_per_minute),
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            "ScaleInCooldown": 300,
            "ScaleOutCooldown": 60,
        },
    }


def tags_of(wanted: Wanted) -> list[dict[str, str]]:
    return [{"Key": tags.OWN, "Value": wanted.name}, *tags.pairs(wanted.tags)]


def _hash(content: Mapping[str, Any] | list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
