"""What deploy.toml means for ECS: the names of its stacks and the parameters of their templates."""

from collections.abc import Mapping

from deploy.base import Base
from deploy.errors import BadConfig
from deploy.sections import Config, Ecs

BOUNDARY = "PermissionsBoundary"


def section(config: Config) -> Ecs:
    if config.ecs is None:
        raise BadConfig("[ecs] is missing: the target ecs needs this section.")
    return config.ecs


def stack_name(config: Config) -> str:
    return f"{config.deploy.name}-ecs"


def network_name(config: Config) -> str:
    return f"{config.deploy.name}-network"


def network_values(config: Config) -> dict[str, str]:
    ecs = section(config)
    prefix = int(ecs.vpc_cidr.split("/")[1])
    return {
        "Name": config.deploy.name,
        "Cidr": ecs.vpc_cidr,
        "HostBits": str(32 - prefix - 2),  # four subnets share it
        "NatGateway": str(ecs.nat_gateway).lower(),
    }


def given_network(ecs: Ecs) -> dict[str, str]:
    if not ecs.vpc_id:
        return {}
    return {
        "VpcId": ecs.vpc_id,
        "LoadBalancerSubnets": ",".join(ecs.load_balancer_subnets),
        "TaskSubnets": ",".join(ecs.task_subnets),
    }


def within_boundary(config: Config, parameters: Mapping[str, str]) -> dict[str, str]:
    """What ran before comes back with the boundary that deploy.toml has now."""
    if BOUNDARY not in parameters:
        return dict(parameters)
    return {**parameters, BOUNDARY: config.deploy.permissions_boundary}


def values(config: Config, made: Base, network: dict[str, str], image_uri: str, release_uri: str) -> dict[str, str]:
    """The parameters of the service's template."""
    ecs, alarm = section(config), config.alarms
    release_bucket, _, release_key = release_uri.removeprefix("s3://").partition("/")
    named: dict[str, object] = {
        "Name": config.deploy.name,
        BOUNDARY: config.deploy.permissions_boundary,
        "Mode": ecs.mode,
        "Image": image_uri,
        "Bucket": made.bucket,
        "ReleaseBucket": release_bucket,
        "ReleasePrefix": release_key.rstrip("/"),
        "Model": ecs.model,
        "Endpoint": ecs.model.partition(":")[2] if ecs.model.startswith("sagemaker:") else "",
        "Collection": ecs.collection,
        "UsersSecretArn": ecs.users_secret_arn,
        "Origins": ",".join(ecs.origins),
        "LogQueries": int(ecs.log_queries),
        "AssignPublicIp": "DISABLED" if ecs.vpc_id or ecs.nat_gateway else "ENABLED",
        "Scheme": "internal" if ecs.internal else "internet-facing",
        "AllowedCidr": ecs.allowed_cidr,
        "CertificateArn": ecs.certificate_arn,
        "Cpu": ecs.cpu,
        "MemoryMb": ecs.memory_mb,
        "DiskGb": ecs.disk_gb,
        "MinTasks": ecs.min_tasks,
        "MaxTasks": ecs.max_tasks,
        "CpuTargetPercent": ecs.cpu_target_percent,
        "RequestsPerTask": ecs.requests_per_task_per_minute,
        "StartGraceS": ecs.start_grace_s,
        "DrainS": ecs.drain_s,
        "StopTimeoutS": ecs.stop_timeout_s,
        "LogDays": ecs.log_days,
        "Email": alarm.email,
        "LatencyAlarmS": alarm.p95_latency_ms / 1000,
        "ErrorsAlarmPercent": alarm.errors_percent,
        "CpuAlarmPercent": alarm.cpu_percent,
        "MemoryAlarmPercent": alarm.memory_percent,
    }
    return network | {key: str(value) for key, value in named.items()}
