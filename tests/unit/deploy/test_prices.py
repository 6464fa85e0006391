"""Costs come from the price list of the moment; what it does not have gets no figure. The prices here are made up."""

from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from deploy.config import checked
from deploy.prices import Item, Price, find, of_ecs, of_sagemaker, of_what_stays, tell
from deploy.stacks import TEMPLATES
from tests.deploy_fakes import FakeAws
from tests.unit.deploy.test_config import SUBNETS, document
from tests.unit.deploy.test_templates import plain

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:sightline-users-AbCdEf"
WRITER = {"mode": "writer", "users_secret_arn": SECRET}
HOURS = Item("Balancer", 730, "hours", "one", "AWSELB", "LoadBalancerUsage", {"productFamily": "Load Balancer"})


def offer(service: str, usage_type: str, *tiers: tuple[str, str]) -> dict[str, Any]:
    dimensions = {f"d{n}": {"beginRange": begin, "pricePerUnit": {"USD": usd}} for n, (begin, usd) in enumerate(tiers)}
    return {
        "serviceCode": service,
        "product": {"attributes": {"usagetype": usage_type}},
        "terms": {"OnDemand": {"t": {"priceDimensions": dimensions}}},
    }


def aws(*offers: dict[str, Any]) -> FakeAws:
    fake = FakeAws()
    fake.prices = list(offers)
    return fake


@pytest.mark.parametrize("usage_type", ["LoadBalancerUsage", "EUC1-LoadBalancerUsage"])
def test_a_price_is_found_by_its_usage_type_with_and_without_the_regions_prefix(usage_type: str) -> None:
    assert find(HOURS, "eu-central-1", aws(offer("AWSELB", usage_type, ("0", "0.5")))) == Price(Decimal("0.5"), "USD")


def test_another_kind_of_the_same_thing_is_not_taken_for_it() -> None:
    others = [offer("AWSELB", f"EUC1-{kind}-LoadBalancerUsage", ("0", "9")) for kind in ("TS", "Outposts")]
    assert find(HOURS, "eu-central-1", aws(*others)) is None


def test_two_prices_for_one_thing_are_none() -> None:
    both = [offer("AWSELB", "EUC1-LoadBalancerUsage", ("0", usd)) for usd in ("0.5", "0.7")]
    assert find(HOURS, "eu-central-1", aws(*both)) is None


def test_the_first_tier_that_is_paid_counts() -> None:
    tiers = offer("AWSELB", "LoadBalancerUsage", ("500", "0.2"), ("10", "0.3"), ("0", "0"))
    assert find(HOURS, "eu-central-1", aws(tiers)) == Price(Decimal("0.3"), "USD")


def test_the_request_names_region_and_family_and_follows_the_pages() -> None:
    client = boto3.client("pricing", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    asked = {
        "ServiceCode": "AWSELB",
        "FormatVersion": "aws_v1",
        "Filters": [
            {"Type": "TERM_MATCH", "Field": "productFamily", "Value": "Load Balancer"},
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-3"},
        ],
    }
    with Stubber(client) as stubber:
        stubber.add_response("get_products", {"PriceList": [], "NextToken": "more"}, asked)
        stubber.add_response("get_products", {"PriceList": []}, asked | {"NextToken": "more"})
        assert find(HOURS, "eu-west-3", lambda service: client) is None
        stubber.assert_no_pending_responses()


def test_each_item_is_told_with_amount_price_and_assumption_and_their_sum() -> None:
    said: list[str] = []
    tasks = Item("CPU", 2920, "vCPU-hours", "2 tasks × 2 vCPU", "AmazonECS", "Fargate-vCPU-Hours:perCPU")
    prices = aws(
        offer("AWSELB", "EUC1-LoadBalancerUsage", ("0", "0.5")),
        offer("AmazonECS", "EUC1-Fargate-vCPU-Hours:perCPU", ("0", "0.0100")),
    )
    tell([HOURS, tasks], "eu-central-1", prices, said.append)
    assert said[1:] == [
        "  Balancer: 365.00 USD (one; 730 hours × 0.5)",
        "  CPU: 29.20 USD (2 tasks × 2 vCPU; 2,920 vCPU-hours × 0.01)",
        "  Together: 394.20 USD a month.",
    ]


def test_what_has_no_price_is_said_and_not_in_the_sum() -> None:
    said: list[str] = []
    nothing = Item("Log", 5, "GB", "5 GB", "AmazonCloudWatch", "DataProcessing-Bytes")
    tell([HOURS, nothing], "eu-central-1", aws(offer("AWSELB", "LoadBalancerUsage", ("0", "1"))), said.append)
    assert said[2:] == ["  Log: no price was found; 5 GB (5 GB)", "  Together: 730.00 USD a month, without Log."]


def test_without_the_right_to_read_prices_there_is_no_figure() -> None:
    client = boto3.client("pricing", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    said: list[str] = []
    with Stubber(client) as stubber:
        stubber.add_client_error("get_products", "AccessDeniedException")
        tell([HOURS], "eu-central-1", lambda service: client, said.append)
    assert said[1:] == [
        "  The price list may not be read: deploy/policies/base.json has pricing:GetProducts. No figure."
    ]


def test_where_a_partition_has_no_price_list_nothing_is_asked() -> None:
    said: list[str] = []
    tell([HOURS], "us-gov-west-1", lambda service: pytest.fail(service), said.append)
    assert said == ["Cost: AWS has no price list for accounts of the partition aws-us-gov. No figure."]


def test_readers_are_counted_with_the_least_tasks_and_their_network() -> None:
    items = {item.what: item for item in of_ecs(checked(document(), "ecs"))}
    assert items["Fargate CPU"].amount == 2 * 2 * 730
    assert items["Fargate memory"].amount == 2 * 4 * 730
    assert items["Fargate CPU"].assumed == "2 tasks (up to 6) × 2 vCPU"
    assert items["Public addresses"].amount == 3 * 730
    assert items["NAT gateway"].amount == 730


def test_a_writer_is_one_task_and_without_a_nat_gateway_it_has_an_address() -> None:
    items = {item.what: item for item in of_ecs(checked(document(ecs=WRITER | {"nat_gateway": False}), "ecs"))}
    assert items["Fargate CPU"].amount == 2 * 730
    assert items["Public addresses"].amount == 3 * 730
    assert "NAT gateway" not in items


def test_an_internal_load_balancer_has_no_public_addresses() -> None:
    given = {"vpc_id": "vpc-0a1b2c3d", "load_balancer_subnets": SUBNETS, "task_subnets": SUBNETS, "internal": True}
    items = {item.what: item for item in of_ecs(checked(document(ecs=given), "ecs"))}
    assert "Public addresses" not in items


def test_an_endpoint_is_counted_with_its_least_instances_alarms_log_and_bucket() -> None:
    whole = document() | {"sagemaker": {"min_instances": 2}}
    items = {item.what: item for item in of_sagemaker(checked(whole, "sagemaker"))}
    assert {what: item.amount for what, item in items.items()} == {
        "Instances": 2 * 730,
        "Alarms": 6,
        "Log": 5.0,
        "Bucket": 10.0,
    }
    assert items["Instances"].assumed == "2 × ml.c7i.large (up to 4)"
    serverless = {"sagemaker": {"serverless_memory_mb": 3072, "network_isolation": False}}
    assert [item.what for item in of_sagemaker(checked(document() | serverless, "sagemaker"))] == [
        "Alarms",
        "Log",
        "Bucket",
    ]


def test_the_alarms_that_are_counted_are_those_of_the_template() -> None:
    (alarms,) = [item for item in of_ecs(checked(document(), "ecs")) if item.what == "Alarms"]
    resources = list(plain(TEMPLATES / "service.yaml")["Resources"].values())
    scaling = [entry for entry in resources if entry["Type"] == "AWS::ApplicationAutoScaling::ScalingPolicy"]
    own = [entry["Properties"] for entry in resources if entry["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = sum(
        len([one for one in entry.get("Metrics", [{"MetricStat": 1}]) if "MetricStat" in one]) for entry in own
    )
    assert alarms.amount == metrics + 2 * len(scaling)  # one for out, one for in
    (alone,) = [item for item in of_ecs(checked(document(ecs=WRITER), "ecs")) if item.what == "Alarms"]
    assert alone.amount == metrics


def test_what_stays_is_counted_by_the_images_sizes() -> None:
    fake = aws()
    fake("cloudformation").create_change_set(
        StackName="sightline-base", ChangeSetName="a", ChangeSetType="CREATE", TemplateBody="x", Parameters=[]
    )
    fake.images = {"a": "sha256:1", "b": "sha256:2"}
    assert [item.amount for item in of_what_stays("registry/sightline", fake)] == [2.0, 1.0]
