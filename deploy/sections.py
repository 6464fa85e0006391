"""The sections of deploy.toml: each key with its default and what may stand there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.forms import number, one_of, text, texts, whole, yes_or_no

ARN = r"arn:aws[a-z-]*:{service}:[a-z0-9-]+:\d{{12}}:{rest}"
# A part of bucket, stack and load balancer names; those of a load balancer never begin with "internal-", those of a
# bucket never with "sthree-" or "amzn-s3-demo-". NAME-trial is the endpoint that an update of NAME makes and removes.
NAME = r"(?!internal-|sthree-|amzn-s3-demo-|.*--|.*-trial$)[a-z][a-z0-9-]{0,22}[a-z0-9]"
GOLDEN = "golden.json"
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
ORIGIN = r"https?://[a-z0-9._-]+(:\d{1,5})?"
S3_URI = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\s*?$]+"  # it becomes a part of a policy
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    name: str = text("2 to 24 small letters, digits and hyphens, a letter first, and not -trial at the end", NAME)
    region: str = text("a region such as eu-central-1", r"[a-z]{2}(-[a-z]+)+-\d")
    account: str = text("the account's 12 digits", r"\d{12}", default="")  # "": whatever the credentials say
    permissions_boundary: str = text(
        "the ARN of a policy in IAM", r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", default=""
    )  # of every role that is made
    golden: str = text("the file that `golden` wrote", r"\S.*", default=GOLDEN)  # what `smoke` compares with


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
    stop_timeout_s: int = whole(20, 120, default=60)  # a process is given 20 to end (ui/listen.py)
    model: str = text("a model's name, or sagemaker:ENDPOINT", r"\S+", default="")  # "": the one in the image
    collection: str = text("a collection's name", r"\S.*", default="")
    users_secret_arn: str = text(
        "the ARN of a secret in Secrets Manager, with the hyphen and six characters at its end",
        ARN.format(service="secretsmanager", rest=r"secret:[\w/+=.@-]+-[A-Za-z0-9]{6}"),  # the role's right is to it
        default="",
    )
    origins: tuple[str, ...] = texts("origins such as https://example.com", ORIGIN)
    log_queries: bool = yes_or_no(default=False)
    log_days: int = one_of(*LOG_DAYS, default=30)
    vpc_cidr: str = text(
        "a private IPv4 network of /16 to /24, such as 10.20.0.0/16", r"[\d.]+/\d+", default="10.20.0.0/16"
    )
    nat_gateway: bool = yes_or_no(default=True)
    internal: bool = yes_or_no(default=False)  # the load balancer has no public address
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
    trial: bool = yes_or_no(default=True)  # an update asks one new instance before traffic goes to the others
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
    tags: Mapping[str, str] = field(default_factory=dict)


SECTIONS = {"ecs": Ecs, "sagemaker": Sagemaker, "space": Space}
