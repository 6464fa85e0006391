"""deploy.toml, read and checked as a whole: every mistake in it is found before AWS is called."""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from deploy import regions, tags
from deploy.errors import BadConfig
from deploy.forms import read_section
from deploy.sections import SECTIONS, Alarms, Config, Cost, Deploy, Ecs, Image, Release, Sagemaker, Space

_MOST_BYTES = 2**20
PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))  # RFC 1918
SLACK_S = 5  # between the end of draining and the kill
WRITER_STOPS_S = 55  # 20 to end, 30 for the last copy (store/copying.py), and what lies between
ENDPOINT = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"  # CreateEndpoint, "EndpointName"
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


def read_config(path: Path, target: str) -> Config:
    """The file at `path`, with the section that `target` needs. Raises: BadConfig."""
    data = _read(path)
    try:
        return checked(tomllib.loads(data.decode("utf-8-sig")), target)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadConfig(f"{path} is not UTF-8 text, first in line {line}: save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(
            f"{path} is not TOML: {error}. Mend it there; deploy/deploy.example.toml shows the form."
        ) from error
    except RecursionError as error:
        raise BadConfig(f"{path} is not TOML that is read here: its lists are nested too deep.") from error


def _read(path: Path) -> bytes:
    """Raises: BadConfig."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise BadConfig(f"There is no {path}. Copy deploy/deploy.example.toml to it and fill it in.") from None
    except IsADirectoryError:
        raise BadConfig(f"{path} is a folder: name the file in it with --config {path / 'deploy.toml'}.") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadConfig(f"{path} can't be read, {reason}: give this user the right to, or name another.") from error
    if len(data) > _MOST_BYTES:
        raise BadConfig(f"{path} has more than {_MOST_BYTES // 2**20} MB, the limit: is it another file?")
    return data


def checked(document: Mapping[str, object], target: str) -> Config:
    """Raises: BadConfig."""
    known = ("deploy", "image", "release", "tags", "alarms", "cost", *SECTIONS)
    for name in document:
        if name not in known:
            raise BadConfig(f"[{name}] is not a section of deploy.toml; known are {', '.join(known)}.")
    for name in ("deploy", target):
        if name not in document:
            raise BadConfig(
                f"[{name}] is missing: the target {target} needs this section; deploy/deploy.example.toml has one."
            )
    config = Config(
        deploy=read_section(Deploy, "deploy", document["deploy"]),
        image=read_section(Image, "image", document.get("image", {})),
        release=read_section(Release, "release", document.get("release", {})),
        alarms=read_section(Alarms, "alarms", document.get("alarms", {})),
        cost=read_section(Cost, "cost", document.get("cost", {})),
        ecs=read_section(Ecs, "ecs", document["ecs"]) if "ecs" in document else None,
        sagemaker=read_section(Sagemaker, "sagemaker", document["sagemaker"]) if "sagemaker" in document else None,
        space=read_section(Space, "space", document["space"]) if "space" in document else None,
        tags=tags.read(document.get("tags", {})),
    )
    _check_region(config.deploy.region)
    _check_boundary(config.deploy)
    if target != "space":
        _check_image(config.image)
        try:
            _check_release(config.release)
        except OSError as error:
            raise BadConfig(
                f"[release] path = {config.release.path!r} can't be looked at: {error.strerror}."
            ) from error
    if config.ecs:
        _check_ecs(config.ecs, config.deploy)
    if config.sagemaker:
        _check_sagemaker(config.sagemaker, config.release)
    return config


def _check_region(region: str) -> None:
    if region not in regions.known():
        raise BadConfig(
            f"[deploy] region = {region!r}: AWS has no such region; expected one such as eu-central-1. (A newer boto3"
            " may know it.)"
        )


def _check_boundary(deploy: Deploy) -> None:
    if not deploy.permissions_boundary:
        return
    _, partition, _, _, account, *_ = deploy.permissions_boundary.split(":")
    if partition != regions.partition(deploy.region):
        raise _of_another_partition("deploy", "permissions_boundary", deploy.permissions_boundary, deploy.region)
    if deploy.account and account not in (deploy.account, "aws"):
        raise BadConfig(
            f"[deploy] permissions_boundary is of account {account}: expected one of {deploy.account}, as [deploy]"
            " account says, or one of AWS's own."
        )


def _of_another_partition(section: str, key: str, given: str, region: str) -> BadConfig:
    return BadConfig(f"[{section}] {key} = {given!r}: expected arn:{regions.partition(region)}:…, as in {region}.")


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
    path = Path(release.path)
    if release.path and not path.exists():
        raise BadConfig(
            f"[release] path = {release.path!r}: expected a release that is there; `release build` makes one."
        )
    if (
        release.path
        and not (path / "manifest.json").is_file()
        and not (path.is_file() and path.name.endswith(".tar.gz"))
    ):
        raise BadConfig(
            f"[release] path = {release.path!r}: expected a folder with a manifest.json, or a model.tar.gz;"
            " `release build` makes both."
        )


def _check_sagemaker(sagemaker: Sagemaker, release: Release) -> None:
    if sagemaker.min_instances > sagemaker.max_instances:
        raise _above("sagemaker", "min_instances", sagemaker.min_instances, sagemaker.max_instances)
    if sagemaker.model.startswith("sagemaker:"):
        raise BadConfig(
            f"[sagemaker] model = {sagemaker.model!r}: expected a model, because an endpoint does not encode by another"
            " one."
        )
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


def _check_ecs(ecs: Ecs, deploy: Deploy) -> None:
    if ecs.memory_mb not in (allowed := MEMORY_MB_OF_CPU.get(ecs.cpu, ())):
        if not allowed:
            raise BadConfig(f"[ecs] cpu = {ecs.cpu}: expected one of {', '.join(map(str, MEMORY_MB_OF_CPU))}.")
        raise BadConfig(
            f"[ecs] memory_mb = {ecs.memory_mb}: expected one of {', '.join(map(str, allowed))} for cpu = {ecs.cpu}."
        )
    _check_arns(ecs, deploy)
    if ecs.model.startswith("sagemaker:") and not re.fullmatch(ENDPOINT, ecs.model.removeprefix("sagemaker:")):
        raise BadConfig(f"[ecs] model = {ecs.model!r}: expected the name of an endpoint after sagemaker:.")
    if ecs.mode == "writer" and not ecs.users_secret_arn:
        raise BadConfig(
            "[ecs] users_secret_arn is missing: a writer needs users, because without sign-in nobody may add images."
        )
    if ecs.drain_s + SLACK_S > ecs.stop_timeout_s:
        raise BadConfig(
            f"[ecs] drain_s = {ecs.drain_s}: expected at least {SLACK_S} seconds less than"
            f" stop_timeout_s = {ecs.stop_timeout_s}, or tasks are killed while they answer."
        )
    if ecs.mode == "writer" and ecs.stop_timeout_s < WRITER_STOPS_S:
        raise BadConfig(
            f"[ecs] stop_timeout_s = {ecs.stop_timeout_s}: expected {WRITER_STOPS_S} or more for a writer, whose last"
            " copy has 30 seconds, or it is killed while it copies."
        )
    if ecs.mode == "readers" and ecs.min_tasks > ecs.max_tasks:
        raise _above("ecs", "min_tasks", ecs.min_tasks, ecs.max_tasks)
    _check_network(ecs)


def _check_arns(ecs: Ecs, deploy: Deploy) -> None:
    _, _, _, region, account, *_ = ecs.certificate_arn.split(":")
    if region != deploy.region:
        raise BadConfig(
            f"[ecs] certificate_arn is in {region}: expected one in {deploy.region}, where the load balancer is."
        )
    if deploy.account and account != deploy.account:
        raise BadConfig(
            f"[ecs] certificate_arn is of account {account}: expected one of {deploy.account}, as [deploy] account"
            " says."
        )
    if ecs.users_secret_arn and (region := ecs.users_secret_arn.split(":")[3]) != deploy.region:
        raise BadConfig(f"[ecs] users_secret_arn is in {region}: expected one in {deploy.region}, where the tasks are.")
    for key in ("certificate_arn", "users_secret_arn"):
        given = getattr(ecs, key)
        if given and given.split(":")[1] != regions.partition(deploy.region):
            raise _of_another_partition("ecs", key, given, deploy.region)


def _check_network(ecs: Ecs) -> None:
    for key in ("vpc_cidr", "allowed_cidr"):
        value = getattr(ecs, key)
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError as error:
            raise BadConfig(
                f"[ecs] {key} = {value!r}: expected an IPv4 network such as 10.20.0.0/16 ({error})."
            ) from None
        is_private = any(network.subnet_of(private) for private in PRIVATE)
        if key == "vpc_cidr" and not (16 <= network.prefixlen <= 24 and is_private):
            raise BadConfig(f"[ecs] {key} = {value!r}: expected a private network from /16 to /24.")
    given = [key for key in ("vpc_id", "load_balancer_subnets", "task_subnets") if getattr(ecs, key)]
    if given and len(given) < 3:
        raise BadConfig(f"[ecs] {given[0]} is there: expected vpc_id, load_balancer_subnets and task_subnets, or none.")
    if ecs.internal and not given:
        raise BadConfig(
            "[ecs] internal = true: expected vpc_id, load_balancer_subnets and task_subnets of a network that people"
            " reach, because nobody reaches a new one from within."
        )
    if given and len(set(ecs.load_balancer_subnets)) < 2:
        raise BadConfig("[ecs] load_balancer_subnets: expected at least two, in two availability zones.")


def _above(section: str, key: str, least: int, most: int) -> BadConfig:
    return BadConfig(f"[{section}] {key} = {least}: expected no more than {key.replace('min', 'max')} = {most}.")
