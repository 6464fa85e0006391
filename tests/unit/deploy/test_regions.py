"""What a region's partition changes: ARNs, the registry's host and the price list."""

import pytest

from deploy import regions


@pytest.mark.parametrize(
    ("region", "partition", "registry"),
    [
        ("eu-central-1", "aws", "123456789012.dkr.ecr.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "aws-us-gov", "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "aws-cn", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_region_has_the_names_of_its_partition(region: str, partition: str, registry: str) -> None:
    assert region in regions.known()
    assert regions.partition(region) == partition
    assert regions.registry("123456789012", region) == registry


@pytest.mark.parametrize(
    ("region", "nearest"),
    [
        ("eu-west-3", "eu-central-1"),
        ("ap-northeast-1", "ap-south-1"),
        ("us-west-2", "us-east-1"),
        ("sa-east-1", "us-east-1"),
        ("cn-north-1", "cn-northwest-1"),
        ("us-gov-west-1", ""),
    ],
)
def test_prices_are_asked_for_where_the_partitions_list_is(region: str, nearest: str) -> None:
    assert regions.price_list(region) == nearest
