"""deploy.toml as frozen sections; every mistake in it is found before AWS is called."""

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import BadConfig
from deploy.forms import number, one_of, read_section, text, texts, whole, yes_or_no

SLACK_S = 5  # between the end of draining and the kill
ARN = r"arn:aws[a-z-]*:{service}:[a-z0-9-]+:\d{{12}}:{rest}"
NAME = r"[a-z](?!.*--)[a-z0-9-]{0,22}[a-z0-9]"  # a part of bucket, stack and load balancer names
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
ORIGIN = r"https?://[a-z0-9._-]+(:\d{1,5})?"
S3_URI = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+"
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html, "Task CPU and memory"
MEMORY_MB_OF_CPU = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}


# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    name: str = text("2 to 24 small letters, digits and hyphens, a letter first", NAME)
    region: str = text("a region such as eu-central-1", r"[a-z]{2}(-[a-z]+)+-\d")
    account: str = text("the account's 12 digits", r"\d{12}", default="")  # "": whatever the credentials say
    golden: str = text("the file that `golden` wrote", r"\S.*", default="golden.json")  # what `smoke` compares with


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    source: str = text("a local image such as sightline:0.1.0", r"[a-z0-9][\w./:@-]*", default="")
    tag: str = text("a tag that no other image has, such as 0.1.0-3f2c1d0", r"[A-Za-z0-9_][\w.-]{0,127}", default="")
    digest: str = text("sha256: and 64 hexadecimal digits", r"sha256:[0-9a-f]{64}", default="")  # there already
    engine: str = one_of("auto", "docker", "buildah", "skopeo", default="auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    path: str = text("a folder or model.tar.gz made by `release build`", r"\S.*", default="")
    uri: str = text("s3://bucket/prefix of a release that is there already", S3_URI, default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecs:
    certificate_arn: str = text(
        "the ARN of a certificate in ACM", ARN.format(service="acm", rest="certificate/[0-9a-f-]{36}")
    )
    domain: str = text("the name that people type, such as images.example.com", r"[a-z0-9-]+(\.[a-z0-9-]+)+")
    mode: str = one_of("readers", "writer", default="readers")
    cpu: int = whole(256, 16_384, default=2_048)  # 1,024 are one vCPU
    memory_mb: int = whole(512, 122_880, default=4_096)
    min_tasks: int = whole(1, 200, default=2)
    max_tasks: int = whole(1, 200, default=6)
    cpu_target_percent: int = whole(10, 90, default=60)
    requests_per_task_per_minute: int = whole(1, 1_000_000, default=1_200)
    disk_gb: int = whole(21, 200, default=30)  # Fargate gives 20 without asking, 21 is the least one can ask for
    start_grace_s: int = whole(0, 3_600, default=180)
    drain_s: int = whole(1, 115, default=45)
    stop_timeout_s: int = whole(2, 120, default=60)
    model: str = text("a model's name, or sagemaker:ENDPOINT", r"\S+", default="")  # "": the one in the image
    collection: str = text("a collection's name", r"\S.*", default="")
    users_secret_arn: str = text(
        "the ARN of a secret in Secrets Manager",
        ARN.format(service="secretsmanager", rest=r"secret:[\w/+=.@-]+"),
        default="",
    )
    origins: tuple[str, ...] = texts("origins such as https://example.com", ORIGIN)
    log_queries: bool = yes_or_no(default=False)
    log_days: int = one_of(*LOG_DAYS, default=30)
    vpc_cidr: str = text(
        "a private IPv4 network of /16 to /24, such as 10.20.0.0/16", r"[\d.]+/\d+", default="10.20.0.0/16"
    )
    nat_gateway: bool = yes_or_no(default=True)
    vpc_id: str = text("vpc- and hexadecimal digits", r"vpc-[0-9a-f]{8,17}", default="")
    load_balancer_subnets: tuple[str, ...] = texts("subnets such as subnet-0a1b2c3d", r"subnet-[0-9a-f]{8,17}")
    task_subnets: tuple[str, ...] = texts("subnets such as subnet-0a1b2c3d", r"subnet-[0-9a-f]{8,17}")
    allowed_cidr: str = text("the IPv4 network that may call, such as 0.0.0.0/0", r"[\d.]+/\d+", default="0.0.0.0/0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sagemaker:
    instance_type: str = text("an instance such as ml.c7i.large", r"ml\.[a-z0-9-]+\.[a-z0-9]+", default="ml.c7i.large")
    min_instances: int = whole(1, 100, default=1)
    max_instances: int = whole(1, 100, default=4)
    invocations_per_instance_per_minute: int = whole(1, 1_000_000, default=1_200)
    traffic: str = one_of("canary", "linear", "all_at_once", default="canary")
    canary_percent: int = whole(1, 50, default=25)  # of the new fleet's capacity; of a linear shift each step
    bake_s: int = whole(0, 3_600, default=300)
    start_timeout_s: int = whole(60, 3_600, default=300)
    model: str = text("a model's name", r"\S+", default="")  # "": the one in the image
    collection: str = text("a collection's name", r"\S.*", default="")
    network_isolation: bool = yes_or_no(default=True)  # the container can call nobody
    serverless_memory_mb: int = one_of(0, 1_024, 2_048, 3_072, 4_096, 5_120, 6_144, default=0)  # 0: instances
    serverless_concurrency: int = whole(1, 200, default=5)
    batch_buckets: tuple[str, ...] = texts("names of buckets that `batch` reads or writes", BUCKET)
    log_days: int = one_of(*LOG_DAYS, default=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    folder: str = text("the folder to write", r"\S.*", default="build/space")
    title: str = text("the Space's title", r"\S.*", default="Sightline")
    sdk: str = one_of("gradio", "docker", default="gradio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    email: str = text("an address such as oncall@example.com", r"[^@\s]+@[^@\s]+\.[^@\s]+", default="")
    p95_latency_ms: int = whole(10, 60_000, default=2_000)
    errors_percent: float = number(0.1, 100.0, default=2.0)
    cpu_percent: int = whole(10, 100, default=90)
    memory_percent: int = whole(10, 100, default=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What `plan` assumes of a month, beside what the other sections say."""

    load_balancer_units: float = number(0, 1_000, default=1.0)
    log_gb: float = number(0, 100_000, default=5.0)
    stored_gb: float = number(0, 1_000_000, default=10.0)
    nat_gb: float = number(0, 100_000, default=10.0)


@dataclass(frozen=True, slots=True)
class Config:
    deploy: Deploy
    image: Image
    release: Release
    alarms: Alarms
    cost: Cost
    ecs: Ecs | None = None
    sagemaker: Sagemaker | None = None
    space: Space | None = None


SECTIONS = {"ecs": Ecs, "sagemaker": Sagemaker, "space": Space}


def read_config(path: Path, target: str) -> Config:
    """The file at `path`, with the section that `target` needs. Raises: BadConfig."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadConfig(f"There is no {path}. Copy deploy/deploy.example.toml to it and fill it in.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(f"{path} can't be read: {error}.") from error
    return checked(document, target)


def checked(document: Mapping[str, object], target: str) -> Config:
    """Raises: BadConfig."""
    known = {"deploy": Deploy, "image": Image, "release": Release, "alarms": Alarms, "cost": Cost} | SECTIONS
    for name in document:
        if name not in known:
            raise BadConfig(f"[{name}] is not a section of deploy.toml; known are {', '.join(known)}.")
    for name in ("deploy", target):
        if name not in document:
            raise BadConfig(f"[{name}] is missing: the target {target} needs this section.")
    config = Config(
        deploy=read_section(Deploy, "deploy", document["deploy"]),
        image=read_section(Image, "image", document.get("image", {})),
        release=read_section(Release, "release", document.get("release", {})),
        alarms=read_section(Alarms, "alarms", document.get("alarms", {})),
        cost=read_section(Cost, "cost", document.get("cost", {})),
        ecs=read_section(Ecs, "ecs", document["ecs"]) if "ecs" in document else None,
        sagemaker=read_section(Sagemaker, "sagemaker", document["sagemaker"]) if "sagemaker" in document else None,
        space=read_section(Space, "space", document["space"]) if "space" in document else None,
    )
    if target != "space":
        _check_image(config.image)
        _check_release(config.release)
    if config.ecs:
        _check_ecs(config.ecs, config.deploy.region)
    if config.sagemaker:
        _check_sagemaker(config.sagemaker, config.release)
    return config


def _check_image(image: Image) -> None:
    if image.digest and (image.source or image.tag):
        raise BadConfig("[image] digest names an image that is there already: expected no source and no tag beside it.")
    if not image.digest and not (image.source and image.tag):
        raise BadConfig("[image] source and tag are missing: expected both, or the digest of an image that is there.")
    if image.tag == "latest":
        raise BadConfig("[image] tag = 'latest': expected a tag that no other image has, because tags never move.")


def _check_release(release: Release) -> None:
    if release.path and release.uri:
        raise BadConfig("[release] path and uri are both there: expected one of them.")
    if release.path and not Path(release.path).exists():
        raise BadConfig(
            f"[release] path = {release.path!r}: expected a release that is there; `release build` makes one."
        )


def _check_sagemaker(sagemaker: Sagemaker, release: Release) -> None:
    if sagemaker.min_instances > sagemaker.max_instances:
        raise _above("sagemaker", "min_instances", sagemaker.min_instances, sagemaker.max_instances)
    if sagemaker.traffic == "linear" and sagemaker.canary_percent < 10:
        raise BadConfig(
            f"[sagemaker] canary_percent = {sagemaker.canary_percent}: expected 10 to 50 where traffic is 'linear'."
        )
    if sagemaker.serverless_memory_mb and sagemaker.network_isolation:
        raise BadConfig(
            "[sagemaker] network_isolation = true: expected false beside serverless_memory_mb, which has no isolation."
        )
    given = release.path or release.uri
    if sagemaker.serverless_memory_mb and given and not given.endswith(".tar.gz"):
        raise BadConfig("[release] is a folder: expected a model.tar.gz, all that a serverless endpoint takes.")


def _check_ecs(ecs: Ecs, region: str) -> None:
    if ecs.memory_mb not in (allowed := MEMORY_MB_OF_CPU.get(ecs.cpu, ())):
        if not allowed:
            raise BadConfig(f"[ecs] cpu = {ecs.cpu}: expected one of {', '.join(map(str, MEMORY_MB_OF_CPU))}.")
        raise BadConfig(
            f"[ecs] memory_mb = {ecs.memory_mb}: expected one of {', '.join(map(str, allowed))} for cpu = {ecs.cpu}."
        )
    if (there := ecs.certificate_arn.split(":")[3]) != region:
        raise BadConfig(f"[ecs] certificate_arn is in {there}: expected one in {region}, where the load balancer is.")
    if ecs.mode == "writer" and not ecs.users_secret_arn:
        raise BadConfig(
            "[ecs] users_secret_arn is missing: a writer needs users, because without sign-in nobody may add images."
        )
    if ecs.drain_s + SLACK_S > ecs.stop_timeout_s:
        raise BadConfig(
            f"[ecs] drain_s = {ecs.drain_s}: expected at least {SLACK_S} seconds less than"
            f" stop_timeout_s = {ecs.stop_timeout_s}, or tasks are killed while they answer."
        )
    if ecs.mode == "readers" and ecs.min_tasks > ecs.max_tasks:
        raise _above("ecs", "min_tasks", ecs.min_tasks, ecs.max_tasks)
    _check_network(ecs)


def _check_network(ecs: Ecs) -> None:
    for key in ("vpc_cidr", "allowed_cidr"):
        value = getattr(ecs, key)
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError as error:
            raise BadConfig(
                f"[ecs] {key} = {value!r}: expected an IPv4 network such as 10.20.0.0/16 ({error})."
            ) from None
        if key == "vpc_cidr" and not (16 <= network.prefixlen <= 24 and network.is_private):
            raise BadConfig(f"[ecs] {key} = {value!r}: expected a private network from /16 to /24.")
    given = [key for key in ("vpc_id", "load_balancer_subnets", "task_subnets") if getattr(ecs, key)]
    if given and len(given) < 3:
        raise BadConfig(f"[ecs] {given[0]} is there: expected vpc_id, load_balancer_subnets and task_subnets, or none.")
    if given and len(set(ecs.load_balancer_subnets)) < 2:
        raise BadConfig("[ecs] load_balancer_subnets: expected at least two, in two availability zones.")


def _above(section: str, key: str, least: int, most: int) -> BadConfig:
    return BadConfig(f"[{section}] {key} = {least}: expected no more than {key.replace('min', 'max')} = {most}.")
