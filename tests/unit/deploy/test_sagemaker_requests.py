"""Each request to SageMaker, CloudWatch and Application Auto Scaling, as botocore's own models have it."""

from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from deploy import sagemaker_requests as requests
from deploy.sagemaker_requests import Wanted
from deploy.sections import Alarms, Sagemaker
from settings import PREFIX, Settings

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/sightline@sha256:" + "a" * 64
ROLE = "arn:aws:iam::123456789012:role/sightline-endpoint"
SECTION = Sagemaker(collection="photos")
WANTED = Wanted("sightline", IMAGE, "s3://b/releases/0123", ROLE, SECTION)
TAGS = [{"Key": "sightline", "Value": "sightline"}]


def with_section(**changes: Any) -> Wanted:
    return replace(WANTED, section=replace(SECTION, **changes))


def test_the_model_names_image_release_settings_and_isolation() -> None:
    assert requests.model(WANTED) == {
        "ModelName": WANTED.model,
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {
            "Image": IMAGE,
            "Environment": {
                "SIGHTLINE_OFFLINE": "1",
                **({"SIGHTLINE_MODEL": SECTION.model} if SECTION.model else {}),
                "SIGHTLINE_COLLECTION": "photos",
            },
            "ModelDataSource": {
                "S3DataSource": {
                    "S3Uri": "s3://b/releases/0123/",
                    "S3DataType": "S3Prefix",
                    "CompressionType": "None",
                }
            },
        },
        "EnableNetworkIsolation": True,
        "Tags": TAGS,
    }


def test_an_archive_is_unpacked_by_sagemaker_and_no_release_is_none() -> None:
    archive = requests.container(replace(WANTED, release="s3://b/releases/1/model.tar.gz"))
    assert archive["ModelDataUrl"] == "s3://b/releases/1/model.tar.gz"
    assert "ModelDataSource" not in archive
    assert requests.container(replace(WANTED, release="")).keys() == {"Image", "Environment"}


def test_each_variable_that_is_set_is_a_setting() -> None:
    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    for wanted in (WANTED, with_section(serverless_memory_mb=4096)):
        assert set(requests.environment(wanted)) <= known


def test_the_configuration_says_how_long_a_start_may_take() -> None:
    assert requests.endpoint_config(WANTED) == {
        "EndpointConfigName": WANTED.config,
        "ProductionVariants": [
            {
                "VariantName": "AllTraffic",
                "ModelName": WANTED.model,
                "InstanceType": "ml.c7i.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 1.0,
                "ContainerStartupHealthCheckTimeoutInSeconds": 300,
                "ModelDataDownloadTimeoutInSeconds": 1800,
                "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
            }
        ],
        "Tags": TAGS,
    }


def test_a_serverless_configuration_has_memory_in_place_of_instances() -> None:
    wanted = with_section(serverless_memory_mb=4096, serverless_concurrency=7)
    (variant,) = requests.endpoint_config(wanted)["ProductionVariants"]
    assert variant == {
        "VariantName": "AllTraffic",
        "ModelName": wanted.model,
        "ServerlessConfig": {"MemorySizeInMB": 4096, "MaxConcurrency": 7},
    }
    assert requests.update(wanted) == {"EndpointName": "sightline", "EndpointConfigName": wanted.config}


def test_a_serverless_container_is_told_what_its_platform_passes_on() -> None:
    assert requests.environment(with_section(serverless_memory_mb=4096))["SIGHTLINE_ANSWER_BYTES"] == "4000000"
    assert "SIGHTLINE_ANSWER_BYTES" not in requests.environment(WANTED)


def test_equal_content_has_one_name_and_other_content_another() -> None:
    assert replace(WANTED) == WANTED
    assert replace(WANTED).config == WANTED.config
    others = [
        replace(WANTED, image=IMAGE[:-1] + "b"),
        replace(WANTED, release=""),
        with_section(instance_type="ml.c7i.xlarge"),
        with_section(min_instances=2),
        with_section(network_isolation=False),
    ]
    assert len({WANTED.config, *(other.config for other in others)}) == 6
    assert with_section(min_instances=2).model == WANTED.model
    assert requests.is_ours(WANTED.config, "sightline")
    assert not requests.is_ours("sightline-two-0123456789ab", "sightline")
    assert not requests.is_ours("sightline-endpoint", "sightline")


def test_a_canary_takes_a_part_first_and_has_guards() -> None:
    assert requests.update(WANTED) == {
        "EndpointName": "sightline",
        "EndpointConfigName": WANTED.config,
        "RetainAllVariantProperties": True,
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "WaitIntervalInSeconds": 300,
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                },
                "TerminationWaitInSeconds": 300,
                "MaximumExecutionTimeoutInSeconds": 6000,
            },
            "AutoRollbackConfiguration": {
                "Alarms": [{"AlarmName": f"{WANTED.config}-errors"}, {"AlarmName": f"{WANTED.config}-latency"}]
            },
        },
    }


@pytest.mark.parametrize(
    ("traffic", "routing"),
    [
        (
            "linear",
            {
                "Type": "LINEAR",
                "WaitIntervalInSeconds": 300,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            },
        ),
        ("all_at_once", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 300}),
    ],
)
def test_traffic_can_go_in_steps_or_at_once(traffic: str, routing: dict[str, Any]) -> None:
    policy = requests.update(with_section(traffic=traffic))["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"] == routing


def test_the_guards_look_at_the_new_fleet_alone_and_latency_is_in_microseconds() -> None:
    errors, latency = requests.alarms(WANTED, Alarms(p95_latency_ms=1_500, errors_percent=2.0))
    dimensions = [
        {"Name": "EndpointName", "Value": "sightline"},
        {"Name": "VariantName", "Value": "AllTraffic"},
        {"Name": "EndpointConfigName", "Value": WANTED.config},
    ]
    assert (errors["MetricName"], errors["Statistic"], errors["Threshold"]) == ("Invocation5XXErrors", "Average", 0.02)
    assert (latency["MetricName"], latency["ExtendedStatistic"]) == ("ModelLatency", "p95")
    assert latency["Threshold"] == 1_500_000.0
    assert errors["Dimensions"] == latency["Dimensions"] == dimensions


def test_scaling_goes_by_invocations_an_instance() -> None:
    assert requests.scaling_target(WANTED) == {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/sightline/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "MinCapacity": 1,
        "MaxCapacity": 4,
    }
    policy = requests.scaling_policy(WANTED)["TargetTrackingScalingPolicyConfiguration"]
    assert policy["TargetValue"] == 1200.0
    assert policy["PredefinedMetricSpecification"] == {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


@pytest.mark.parametrize("wanted", [WANTED, with_section(serverless_memory_mb=1024), with_section(traffic="linear")])
def test_botocore_takes_each_request(wanted: Wanted) -> None:
    sent: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("sagemaker", "create_model", requests.model(wanted), {"ModelArn": "a" * 20}),
        ("sagemaker", "create_endpoint_config", requests.endpoint_config(wanted), {"EndpointConfigArn": "a" * 20}),
        ("sagemaker", "create_endpoint", requests.endpoint("sightline", wanted), {"EndpointArn": "a" * 20}),
        ("sagemaker", "update_endpoint", requests.update(wanted), {"EndpointArn": "a" * 20}),
        ("sagemaker", "update_endpoint", requests.back("a", "b", serverless=False), {"EndpointArn": "a" * 20}),
        *[("cloudwatch", "put_metric_alarm", alarm, {}) for alarm in requests.alarms(wanted, Alarms())],
        ("application-autoscaling", "register_scalable_target", requests.scaling_target(wanted), {}),
        ("application-autoscaling", "put_scaling_policy", requests.scaling_policy(wanted), {"PolicyARN": "a"}),
        ("application-autoscaling", "deregister_scalable_target", requests.scalable("a"), {}),
    ]
    for service, operation, request, answer in sent:
        client = boto3.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        with Stubber(client) as stub:
            stub.add_response(operation, answer, request)
            getattr(client, operation)(**request)
            stub.assert_no_pending_responses()
