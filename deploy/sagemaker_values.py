"""What deploy.toml means for SageMaker: the name of its stack, its template's parameters, and how an update goes."""

import re

from deploy import regions
from deploy.errors import BadConfig
from deploy.sections import Config, Sagemaker


def section(config: Config) -> Sagemaker:
    if config.sagemaker is None:
        raise BadConfig("[sagemaker] is missing: the target sagemaker needs this section.")
    return config.sagemaker


def stack_name(config: Config) -> str:
    return f"{config.deploy.name}-sagemaker"


def values(config: Config, bucket: str) -> dict[str, str]:
    """The parameters of the template."""
    given, _, key = config.release.uri.removeprefix("s3://").partition("/")
    is_own = given in ("", bucket)
    batch = [f"arn:{regions.partition(config.deploy.region)}:s3:::{name}" for name in section(config).batch_buckets]
    return {
        "Name": config.deploy.name,
        "PermissionsBoundary": config.deploy.permissions_boundary,
        "Bucket": bucket,
        "ReleaseBucket": given or bucket,
        "ReleasePrefix": (key.rstrip("/") or "releases/") if is_own else "",
        "BatchBuckets": ",".join(batch),
        "BatchObjects": ",".join(f"{bucket}/*" for bucket in batch),
        "LogDays": str(section(config).log_days),
        "Email": config.alarms.email,
        "LatencyAlarmUs": str(config.alarms.p95_latency_ms * 1_000),
        "ErrorsAlarmShare": str(config.alarms.errors_percent / 100),
    }


def processor(wanted: Sagemaker) -> str:
    """Graviton's families have a g behind their generation, such as c7g and m6gd."""
    is_arm = re.match(r"ml\.[a-z]+\d+g", wanted.instance_type) and not wanted.serverless_memory_mb
    return "arm64" if is_arm else "amd64"


def capacity(wanted: Sagemaker) -> str:
    if wanted.serverless_memory_mb:
        return f"serverless, {wanted.serverless_memory_mb} MB, up to {wanted.serverless_concurrency} at once"
    return f"{wanted.min_instances} to {wanted.max_instances} × {wanted.instance_type}"


def shift(wanted: Sagemaker) -> str:
    first = "a trial on one instance first, then " if wanted.trial else ""
    if wanted.serverless_memory_mb:
        return f"{first}all at once (serverless)"
    how = {
        "canary": f"{wanted.canary_percent} % of the capacity first",
        "linear": f"{wanted.canary_percent} % of the capacity at a time",
        "all_at_once": "all at once",
    }
    return f"{first}{how[wanted.traffic]}, watched for {wanted.bake_s} s"
