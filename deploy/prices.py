"""What a deployment costs a month, from AWS's price list as it is when asked; no price is kept here."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.clients import DENIED, code_of, each
from deploy.regions import partition, price_list
from deploy.sections import Config

HOURS = 730  # in a month, as AWS's own calculator has it
Aws = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Item:
    """`usage_type`: a pattern for what follows the region's prefix, such as EUC1-."""

    what: str
    amount: float
    unit: str
    assumed: str
    service: str
    usage_type: str
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Price:
    per_unit: Decimal
    currency: str


def of_ecs(config: Config) -> list[Item]:
    ecs, cost = config.ecs, config.cost
    if ecs is None:
        return []
    readers = ecs.mode == "readers"
    tasks = ecs.min_tasks if readers else 1
    each_task = f"{tasks} tasks" + (f" (up to {ecs.max_tasks})" if readers else "")
    addresses = (0 if ecs.internal else 2) + (0 if ecs.vpc_id else 1 if ecs.nat_gateway else tasks)
    cpus, memory_gb, disk_gb = ecs.cpu / 1024, ecs.memory_mb / 1024, ecs.disk_gb - 20  # twenty come with a task
    balancer = {"productFamily": "Load Balancer-Application"}
    items = [
        _fargate("CPU", tasks * cpus, "vCPU-hours", f"{each_task} × {cpus:g} vCPU", r"vCPU-Hours:perCPU"),
        _fargate("memory", tasks * memory_gb, "GB-hours", f"{each_task} × {memory_gb:g} GB", r"GB-Hours"),
        _fargate("disk", tasks * disk_gb, "GB-hours", f"{each_task} × {disk_gb} GB", r"EphemeralStorage-GB-Hours"),
        Item("Load balancer", HOURS, "hours", "one", "AWSELB", r"LoadBalancerUsage", balancer),
        _traffic(cost.load_balancer_units, balancer),
        _log(cost.log_gb),
        _alarms(12, "eight metrics of its template's, four of its scaling's") if readers else _alarms(8, "by metrics"),
        stored(cost.stored_gb),
    ]
    if addresses:
        in_use = r"PublicIPv4:InUseAddress"
        items.append(Item("Public addresses", addresses * HOURS, "hours", f"{addresses}", "AmazonVPC", in_use))
    if ecs.nat_gateway and not ecs.vpc_id:
        nat = {"productFamily": "NAT Gateway"}
        items.append(Item("NAT gateway", HOURS, "hours", "one", "AmazonEC2", r"NatGateway-Hours", nat))
        items.append(
            Item("Its traffic", cost.nat_gb, "GB", f"{cost.nat_gb:g} GB", "AmazonEC2", r"NatGateway-Bytes", nat)
        )
    return items


def of_sagemaker(config: Config) -> list[Item]:
    """What a serverless endpoint computes is paid by the request, and is no item."""
    section, cost = config.sagemaker, config.cost
    if section is None:
        return []
    kept = [_log(cost.log_gb), stored(cost.stored_gb)]
    if section.serverless_memory_mb:
        return [_alarms(2, "of its template"), *kept]
    count, kind = section.min_instances, section.instance_type
    assumed = f"{count} × {kind} (up to {section.max_instances})"
    return [
        Item("Instances", count * HOURS, "hours", assumed, "AmazonSageMaker", f"Host:{re.escape(kind)}"),
        _alarms(6, "two of its template, two that guard an update, two of its scaling"),
        *kept,
    ]


def _log(gb: float) -> Item:
    payload = {"productFamily": "Data Payload"}
    return Item("Log", gb, "GB", f"{gb:g} GB", "AmazonCloudWatch", r"DataProcessing-Bytes", payload)


def _alarms(count: int, whose: str) -> Item:
    """Paid by the metric: one that compares three costs as three."""
    return Item("Alarms", count, "alarms", f"{count}: {whose}", "AmazonCloudWatch", r"CW:AlarmMonitorUsage")


def _fargate(what: str, amount: float, unit: str, assumed: str, usage_type: str) -> Item:
    return Item(f"Fargate {what}", amount * HOURS, unit, assumed, "AmazonECS", f"Fargate-{usage_type}")


def _traffic(units: float, filters: Mapping[str, str]) -> Item:
    assumed = f"{units:g} load balancer units on average"
    return Item("Load balancer's traffic", units * HOURS, "LCU-hours", assumed, "AWSELB", r"LCUUsage", filters)


def stored(gb: float) -> Item:
    return Item(
        "Bucket", gb, "GB-months", f"{gb:g} GB", "AmazonS3", r"TimedStorage-ByteHrs", {"productFamily": "Storage"}
    )


def of_what_stays(repository: str, aws: Aws) -> list[Item]:
    """The images by their sizes; the bucket by the gigabyte, since its size is not known without listing it."""
    details = each(aws("ecr").describe_images, "imageDetails", repositoryName=repository.split("/", 1)[1])
    images_gb = sum(entry.get("imageSizeInBytes", 0) for entry in details) / 1e9
    images = Item("Images", images_gb, "GB-months", f"{images_gb:.2f} GB", "AmazonECR", r"TimedStorage-ByteHrs")
    return [images, stored(1.0)]


def tell_what_stays(repository: str, bucket: str, region: str, aws: Aws, say: Callable[[str], None]) -> None:
    """After `down`, which never takes them."""
    say(f"What stays: the bucket {bucket} and the images in {repository}, with all that is in them.")
    tell(of_what_stays(repository, aws), region, aws, say)
    say("They go only by hand, in the console: first empty both, then delete the stack and what it retained.")


def tell(items: Sequence[Item], region: str, aws: Aws, say: Callable[[str], None]) -> None:
    """Each item with amount, price and assumption, and their sum; what has no price is said and not in the sum.

    A price list that can't be read is no reason to end what was done or shown before.
    """
    if not price_list(region):
        say(f"Cost: AWS has no price list for accounts of the partition {partition(region)}. No figure.")
        return
    say(f"Cost a month in {region}, from AWS's price list as it is now, before taxes, discounts and free tiers:")
    total, currency, unpriced = Decimal(0), "", list[str]()
    for item in items:
        try:
            price = find(item, region, aws)
        except ClientError as error:
            if code_of(error) not in DENIED:
                say(f"  The price list can't be read ({code_of(error)}). No figure.")
                return
            say("  The price list may not be read: deploy/policies/base.json has pricing:GetProducts. No figure.")
            return
        except BotoCoreError as error:
            say(f"  The price list can't be read ({str(error).rstrip('.')}). No figure.")
            return
        if price is None:
            unpriced.append(item.what)
            say(f"  {item.what}: no price was found; {item.amount:,.0f} {item.unit} ({item.assumed})")
            continue
        cost = price.per_unit * Decimal(str(item.amount))
        total, currency = total + cost, price.currency
        say(
            f"  {item.what}: {cost:,.2f} {price.currency} ({item.assumed}; {item.amount:,.6g} {item.unit}"
            f" × {price.per_unit.normalize():f})"
        )
    if currency:
        missing = f", without {', '.join(unpriced)}" if unpriced else ""
        say(f"  Together: {total:,.2f} {currency} a month{missing}.")


def find(item: Item, region: str, aws: Aws) -> Price | None:
    """The on-demand price of the first paid tier; None where none, or more than one, fits."""
    filters = {"regionCode": region} | dict(item.filters)
    request = {
        "ServiceCode": item.service,
        "FormatVersion": "aws_v1",
        "Filters": [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in sorted(filters.items())],
    }
    found = set()
    for text in each(aws("pricing").get_products, "PriceList", **request):
        offer = json.loads(text)
        if re.fullmatch(r"([A-Z0-9]+-)?" + item.usage_type, offer["product"]["attributes"].get("usagetype", "")):
            found.add(_first_paid_tier(offer))
    prices = found - {None}
    return prices.pop() if len(prices) == 1 else None


def _first_paid_tier(offer: dict[str, Any]) -> Price | None:
    tiers = [
        (Decimal(tier.get("beginRange") or 0), Decimal(amount), currency)
        for term in offer.get("terms", {}).get("OnDemand", {}).values()
        for tier in term["priceDimensions"].values()
        for currency, amount in tier["pricePerUnit"].items()
    ]
    paid = sorted(tier for tier in tiers if tier[1] > 0)
    return Price(paid[0][1], paid[0][2]) if paid else None
