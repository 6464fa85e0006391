"""AWS's regions: which there are, and what their partition (AWS's own, China's, GovCloud's …) changes in names."""

from functools import cache
from typing import Any


@cache
def _session() -> Any:
    from botocore.session import get_session

    return get_session()


@cache
def known() -> frozenset[str]:
    kinds = _session().get_available_partitions()
    return frozenset(name for kind in kinds for name in _session().get_available_regions("ec2", kind))


def partition(region: str) -> str:
    """The second part of every ARN there, such as aws-cn."""
    return str(_session().get_partition_for_region(region))


def registry(account: str, region: str) -> str:
    """The host of an account's image repositories."""
    kinds = {kind["id"]: kind["outputs"] for kind in _session().get_data("partitions")["partitions"]}
    return f"{account}.dkr.ecr.{region}.{kinds[partition(region)]['dnsSuffix']}"


def price_list(region: str) -> str:
    """The region whose price list is asked; "" where the partition has none, as GovCloud.

    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html, "Endpoints".
    """
    there = _session().get_available_regions("pricing", partition(region))
    nearest = {"eu": "eu-central-1", "ap": "ap-south-1"}.get(region.split("-")[0], "us-east-1")
    return nearest if nearest in there else next(iter(there), "")
