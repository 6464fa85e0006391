"""The templates are clean, and set only what Sightline reads."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from deploy import sagemaker_values, stacks
from deploy.config import WRITER_STOPS_S, checked, read_config
from deploy.ecs_values import network_values, values
from deploy.sections import Ecs
from store import copying
from tests.unit.deploy.test_config import SUBNETS, document
from ui import listen

ROOT = Path(__file__).parents[3]
TEMPLATES = sorted((ROOT / "deploy" / "templates").glob("*.yaml"))
REGIONS = ("eu-central-1", "us-east-1", "us-gov-west-1", "cn-north-1")


def plain(path: Path) -> dict[str, Any]:
    template: dict[str, Any] = json.loads(json.dumps(cfn_yaml.load(str(path))))
    return template


def service(kind: str) -> dict[str, Any]:
    resources = plain(ROOT / "deploy" / "templates" / "service.yaml")["Resources"]
    (found,) = [entry["Properties"] for entry in resources.values() if entry["Type"] == kind]
    return found  # type: ignore[no-any-return]


def container() -> dict[str, Any]:
    (found,) = service("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_cfn_lint_finds_nothing(template: Path) -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(template), "--regions", *REGIONS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_is_known_as_ours_by_its_description(template: Path) -> None:
    assert stacks.OURS in plain(template)["Description"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_assumes_no_partition(template: Path) -> None:
    assert re.findall(r"arn:aws|\.amazonaws\.com[./]", template.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_fits_into_a_request(template: Path) -> None:
    assert template.stat().st_size <= 51_200  # docs.aws.amazon.com, "CloudFormation quotas", TemplateBody


def test_a_task_is_set_only_what_sightline_reads() -> None:
    tree = ast.parse((ROOT / "settings.py").read_text(encoding="utf-8"))
    (kept,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    known = {
        f"SIGHTLINE_{line.target.id.upper()}"
        for line in kept.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }
    set_here = set(re.findall(r"Name: ([A-Z][A-Z_]+),", json.dumps(container()).replace('"', "")))
    assert {name for name in set_here if name.startswith("SIGHTLINE_")} - known == set()
    assert "SIGHTLINE_DATA_DIR" in set_here


def test_a_task_can_write_only_where_its_image_has_volumes() -> None:
    written = {mount["ContainerPath"] for mount in container()["MountPoints"]}
    (volumes,) = re.findall(r"^VOLUME (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert written == set(volumes.split())
    assert container()["ReadonlyRootFilesystem"] is True


def test_a_task_has_no_rights_on_its_machine() -> None:
    assert container()["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert int(container()["User"]) > 0


def test_a_task_is_checked_and_stopped_within_what_fargate_takes() -> None:
    check = container()["HealthCheck"]
    assert 5 <= check["Interval"] <= 300
    assert 2 <= check["Timeout"] <= 60
    assert 1 <= check["Retries"] <= 10
    assert check["StartPeriod"] <= 300
    assert container()["StopTimeout"] == {"Ref": "StopTimeoutS"}


def test_a_writer_is_alone_and_readers_never_less_than_before() -> None:
    deployment = service("AWS::ECS::Service")["DeploymentConfiguration"]
    assert deployment["MinimumHealthyPercent"] == {"Fn::If": ["Readers", 100, 0]}
    assert deployment["MaximumPercent"] == {"Fn::If": ["Readers", 200, 100]}
    balanced = service("AWS::ECS::Service")["AvailabilityZoneRebalancing"]  # which AWS takes not beside 100 percent
    assert balanced == {"Fn::If": ["Readers", {"Ref": "AWS::NoValue"}, "DISABLED"]}
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert deployment["Alarms"]["AlarmNames"] == [{"Ref": "ErrorsAlarm"}, {"Ref": "LatencyAlarm"}]
    resources = plain(ROOT / "deploy" / "templates" / "service.yaml")["Resources"]
    scaling = [entry for entry in resources.values() if entry["Type"].startswith("AWS::ApplicationAutoScaling")]
    assert [entry["Condition"] for entry in scaling] == ["Readers"] * 3


@pytest.mark.parametrize(("name", "count"), [("service", 2), ("sagemaker", 1)])
def test_every_role_has_the_boundary_where_one_is_given(name: str, count: int) -> None:
    template = plain(ROOT / "deploy" / "templates" / f"{name}.yaml")
    roles = [entry["Properties"] for entry in template["Resources"].values() if entry["Type"] == "AWS::IAM::Role"]
    given = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    assert [role["PermissionsBoundary"] for role in roles] == [given] * count
    assert template["Conditions"]["HasBoundary"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "PermissionsBoundary"}, ""]}]}


NO_DATA = 0.0  # of a minute: no alarm of the template rings for it


def watched(name: str, *, mode: str = "Readers", **metrics: float | None) -> float:
    """What an alarm's expressions come to in a minute; None: nothing was told of that metric."""
    names: dict[str, Any] = dict(metrics)
    names["FILL"] = lambda value, otherwise: otherwise if value is None else value
    names["IF"] = lambda condition, one, other: one if condition else other
    alarm = plain(ROOT / "deploy" / "templates" / "service.yaml")["Resources"][name]["Properties"]
    for query in alarm["Metrics"]:
        if expression := query.get("Expression"):
            if isinstance(expression, dict):
                condition, given, otherwise = expression["Fn::If"]
                expression = given if condition == mode else otherwise
            try:
                names[query["Id"]] = eval(expression, {}, names)
            except ZeroDivisionError:
                return NO_DATA
    (told,) = [query["Id"] for query in alarm["Metrics"] if query["ReturnData"]]
    return float(names[told])


@pytest.mark.parametrize(
    ("ours", "balancer", "requests", "percent"),
    [
        (5.0, None, 100.0, 5.0),
        (1.0, 3.0, 100.0, 4.0),
        (None, None, 100.0, 0.0),
        (10.0, None, 15.0, 0.0),  # too few to say
        (None, 300.0, None, 100.0),  # no target is there: the balancer's own 503, which are no RequestCount
        (None, 100.0, 100.0, 100.0),
        (None, None, None, NO_DATA),
    ],
)
def test_the_errors_alarm_sees_what_the_balancer_answers_itself(
    ours: float | None, balancer: float | None, requests: float | None, percent: float
) -> None:
    assert watched("ErrorsAlarm", ours=ours, balancer=balancer, requests=requests) == percent


def test_a_writer_is_not_taken_back_because_nothing_answers_while_it_is_replaced() -> None:
    replaced: dict[str, float | None] = {"ours": None, "balancer": 300.0, "requests": None}
    assert watched("ErrorsAlarm", mode="Writer", **replaced) == 0.0
    assert watched("ErrorsAlarm", mode="Writer", ours=10.0, balancer=300.0, requests=100.0) == 10.0


@pytest.mark.parametrize(("healthy", "unhealthy", "wrong"), [(2, 0, False), (1, 1, True), (0, 0, True), (0, 2, True)])
def test_the_health_alarm_sees_a_service_without_a_healthy_task(healthy: float, unhealthy: float, wrong: bool) -> None:
    assert (watched("UnhealthyAlarm", healthy=healthy, unhealthy=unhealthy) > 0) is wrong


def test_the_balancer_lets_go_of_a_connection_before_the_application_does() -> None:
    given = {
        entry["Key"]: entry["Value"]
        for entry in service("AWS::ElasticLoadBalancingV2::LoadBalancer")["LoadBalancerAttributes"]
    }
    assert int(given["idle_timeout.timeout_seconds"]) < listen.KEEP_ALIVE_S


def test_a_writer_is_given_the_time_of_its_last_copy() -> None:
    assert (
        listen.STOP_WITHIN_S + copying.STOP_WITHIN_S
        < WRITER_STOPS_S
        <= Ecs.__dataclass_fields__["stop_timeout_s"].default
    )


def test_what_people_would_miss_is_kept_when_its_stack_goes() -> None:
    resources = plain(ROOT / "deploy" / "templates" / "base.yaml")["Resources"]
    assert {entry["DeletionPolicy"] for entry in resources.values()} == {"Retain"}
    assert {entry["UpdateReplacePolicy"] for entry in resources.values()} == {"Retain"}


def test_the_bucket_is_private_versioned_encrypted_and_reached_by_tls_only() -> None:
    resources = plain(ROOT / "deploy" / "templates" / "base.yaml")["Resources"]
    bucket = resources["Bucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert len(bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]) == 1
    (statement,) = resources["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_images_are_scanned_and_their_tags_never_move() -> None:
    images = plain(ROOT / "deploy" / "templates" / "base.yaml")["Resources"]["Images"]["Properties"]
    assert images["ImageTagMutability"] == "IMMUTABLE"
    assert images["ImageScanningConfiguration"] == {"ScanOnPush": True}
    kept = json.loads(images["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert [rule["selection"]["tagStatus"] for rule in kept] == ["untagged", "any"]


def test_the_endpoints_template_gets_exactly_its_parameters_and_its_dashboard_is_json() -> None:
    from deploy import sagemaker_values
    from deploy.config import checked

    template = plain(ROOT / "deploy" / "templates" / "sagemaker.yaml")
    config = checked(document() | {"sagemaker": {"batch_buckets": ["photos", "shots"]}}, "sagemaker")
    assert set(sagemaker_values.values(config, "bucket")) == set(template["Parameters"])
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert len(json.loads(re.sub(r"\$\{[\w.:]+\}", "x", body))["widgets"]) == 4


def test_the_dashboard_is_json_once_its_names_are_filled_in() -> None:
    body = service("AWS::CloudWatch::Dashboard")["DashboardBody"]["Fn::Sub"]
    assert len(json.loads(re.sub(r"\$\{[\w.:]+\}", "x", body))["widgets"]) == 6


def test_each_template_gets_exactly_its_parameters() -> None:
    from deploy.base import Base
    from deploy.config import checked

    config = checked(document(), "ecs")
    network = {"VpcId": "vpc-1", "LoadBalancerSubnets": "subnet-1", "TaskSubnets": "subnet-2"}
    given = values(config, Base("repository", "bucket"), network, "image", "s3://other/releases/a")
    folder = ROOT / "deploy" / "templates"
    assert set(given) == set(plain(folder / "service.yaml")["Parameters"])
    assert set(network_values(config)) == set(plain(folder / "network.yaml")["Parameters"])
    assert (given["ReleaseBucket"], given["ReleasePrefix"]) == ("other", "releases/a")
    assert given["Scheme"] == "internet-facing"
    assert service("AWS::ElasticLoadBalancingV2::LoadBalancer")["Scheme"] == {"Ref": "Scheme"}


def test_a_load_balancer_that_is_to_be_internal_is() -> None:
    from deploy.base import Base

    keys = {"vpc_id": "vpc-0a1b2c3d", "load_balancer_subnets": SUBNETS, "task_subnets": SUBNETS, "internal": True}
    config = checked(document(ecs=keys), "ecs")
    assert values(config, Base("repository", "bucket"), {}, "image", "")["Scheme"] == "internal"


@pytest.mark.parametrize(
    ("region", "partition"), [("us-east-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_batch_buckets_are_those_of_the_regions_partition(region: str, partition: str) -> None:
    whole = {"deploy": {"name": "sightline", "region": region}, "image": {"source": "sightline:1", "tag": "1"}}
    config = checked(whole | {"sagemaker": {"batch_buckets": ["photos", "scans", "shots"]}}, "sagemaker")
    given = sagemaker_values.values(config, "own")
    bucket = f"arn:{partition}:s3:::"
    assert given["BatchBuckets"] == f"{bucket}photos,{bucket}scans,{bucket}shots"
    assert given["BatchObjects"] == f"{bucket}photos/*,{bucket}scans/*,{bucket}shots/*"


@pytest.mark.parametrize("target", ["ecs", "sagemaker", "space"])
def test_the_example_file_is_read(target: str) -> None:
    config = read_config(ROOT / "deploy" / "deploy.example.toml", target)
    assert config.deploy.name == "sightline"


@pytest.mark.parametrize(
    ("uri", "readable"),
    [
        ("", ["own/releases/*", "own/releases/*"]),
        ("s3://own/elsewhere/a/", ["own/elsewhere/a*", "own/releases/*"]),
        ("s3://other/releases/a", ["other/*", "own/releases/*"]),
    ],
)
def test_an_endpoint_reads_releases_and_no_uploads_or_searches(uri: str, readable: list[str]) -> None:
    config = checked(document(release={"uri": uri} if uri else {}) | {"sagemaker": {}}, "sagemaker")
    given = sagemaker_values.values(config, "own")
    role = plain(ROOT / "deploy" / "templates" / "sagemaker.yaml")["Resources"]["Role"]["Properties"]
    (read,) = [
        statement
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"]
        if statement["Sid"] == "ReadTheRelease"
    ]
    found = [entry["Fn::Sub"].rpartition(":::")[2] for entry in read["Resource"]]
    for name in ("ReleaseBucket", "ReleasePrefix", "Bucket"):
        found = [entry.replace(f"${{{name}}}", given[name]) for entry in found]
    assert found == readable
