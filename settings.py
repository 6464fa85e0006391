"""The settings: read once from the environment into one frozen value; a wrong one is refused by name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")
PREFIX = "SIGHTLINE_"
S3_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?")

Proxies = int | tuple[IPv4Network | IPv6Network, ...]  # how many stand before us, or their networks


class BadSetting(ValueError):
    """A variable whose value can't be used; the message names variable, value and expected form."""


@dataclass(frozen=True, slots=True)
class Settings:
    """docs/settings.md says what each is for.

    The variable's name is SIGHTLINE_ and the field's, but for PORT, SAGEMAKER_BATCH and SPACE_ID.
    """

    data_dir: Path = Path("data")
    model: str = "pocket"
    collection: str = ""  # the one that answers where none is named; "" means the only one, or the gallery
    chroma_url: str = ""
    exact_up_to: int = 10_000  # images; the measured break-even of exact scan and Chroma
    host: str = "127.0.0.1"
    port: int | None = None  # None: 7860 for `ui`, 8080 for `serve`
    max_image_mb: int = 50
    max_upload_mb: int = 2_000
    sources: tuple[Path | str, ...] = field(default=())  # text: an address in S3
    offline: bool = False
    log: Literal["text", "json"] = "text"
    log_queries: bool = False
    copy: str = ""  # where a writer's collections are copied to: an absolute folder, or an address in S3
    batch_transform: bool = False  # SageMaker's own variable: a job that waits for long answers
    in_space: bool = False  # a Space's own variable: it must be reached from elsewhere, and shown in the hub's frame
    events: str = ""  # where records of searches and marks go: an absolute folder, or an address in S3
    auth: str = field(default="", repr=False)  # the users file, or what is in it; "": no sign-in
    rate: int | None = None  # requests a minute of one caller; 0: any number; None: 600 where others reach it
    origins: tuple[str, ...] = field(default=())  # whose pages may ask the API from a browser
    root_path: str = ""  # that a load balancer serves it under, such as /sightline
    proxies: Proxies = 0  # whose word on the caller is believed
    answer_bytes: int = 6_291_456  # of an answer of `serve`; a platform may pass less on
    release: str = ""  # a folder or .tar.gz that is served in place of the data folder; "": none


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Raises: BadSetting."""
    readers: dict[str, Callable[[str, str], object]] = {
        "data_dir": _path,
        "model": _text,
        "collection": _text,
        "chroma_url": _url,
        "exact_up_to": _whole(0, 10_000_000),
        "host": _text,
        "max_image_mb": _whole(1, 1_000),
        "max_upload_mb": _whole(1, 100_000),
        "sources": _sources,
        "offline": _boolean,
        "log": _one_of("text", "json"),
        "log_queries": _boolean,
        "copy": _place,
        "events": _place,
        "auth": _text,
        "rate": _whole(0, 1_000_000),
        "origins": _origins,
        "root_path": _root_path,
        "proxies": _proxies,
        "answer_bytes": _whole(1_000_000, 6_291_456),
        "release": _text,
    }
    known = {PREFIX + name.upper(): name for name in readers}
    for variable in environment:
        if variable.startswith(PREFIX) and variable not in known:
            raise BadSetting(f"{variable} is not a setting of Sightline; known are {', '.join(sorted(known))}.")
    values: dict[str, object] = {
        name: readers[name](variable, environment[variable])
        for variable, name in known.items()
        if environment.get(variable, "").strip()
    }
    if environment.get("SPACE_ID", "").strip():
        values["in_space"] = True
        values.setdefault("host", "0.0.0.0")
    for variable in ("PORT", "SAGEMAKER_BIND_TO_PORT"):  # the platform's word is the last
        if environment.get(variable, "").strip():
            values["port"] = _whole(1, 65_535)(variable, environment[variable])
    if "copy" in values and "release" in values:
        raise BadSetting(
            "SIGHTLINE_COPY and SIGHTLINE_RELEASE are both set: a release is never changed, so there is nothing to "
            "copy; unset one of them."
        )
    values["batch_transform"] = environment.get("SAGEMAKER_BATCH", "").strip().lower() == "true"
    return Settings(**values)  # type: ignore[arg-type]  # each reader returns its field's type


def _text(variable: str, value: str) -> str:
    return value.strip()


def _path(variable: str, value: str) -> Path:
    return Path(value.strip()).expanduser()


def _sources(variable: str, value: str) -> tuple[Path | str, ...]:
    entries = [entry.strip() for entry in re.findall(r"s3://[^:]*|[^:]+", value)]
    sources = [entry if S3_ADDRESS.fullmatch(entry) else Path(entry).expanduser() for entry in entries if entry]
    for source in sources:
        if isinstance(source, Path) and not source.is_absolute():
            raise BadSetting(
                f"{variable}={value!r}: expected absolute folders or s3://bucket/prefix, separated by ':', and "
                f"{source} is neither."
            )
    return tuple(sources)


def _place(variable: str, value: str) -> str:
    place = value.strip()
    if not S3_ADDRESS.fullmatch(place) and not Path(place).is_absolute():
        raise BadSetting(f"{variable}={value!r}: expected s3://bucket/prefix or an absolute folder.")
    return place


def _url(variable: str, value: str) -> str:
    if not value.strip().startswith(("http://", "https://")):
        raise BadSetting(f"{variable}={value!r}: expected an address such as http://chroma:8000.")
    return value.strip()


def _origins(variable: str, value: str) -> tuple[str, ...]:
    origins = tuple(value.replace(",", " ").lower().split())
    for origin in origins:
        if not re.fullmatch(r"https?://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:\d{1,5})?", origin):
            raise BadSetting(
                f"{variable}={value!r}: expected exact origins such as https://photos.example, no paths or *."
            )
    return origins


def _root_path(variable: str, value: str) -> str:
    path = value.strip().rstrip("/")
    if not re.fullmatch(r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)*", path):
        raise BadSetting(f"{variable}={value!r}: expected a path such as /sightline.")
    return path


def _proxies(variable: str, value: str) -> Proxies:
    if value.strip().isdecimal():
        return _whole(0, 10)(variable, value)
    try:
        return tuple(ip_network(entry) for entry in value.replace(",", " ").split())
    except ValueError as error:
        raise BadSetting(
            f"{variable}={value!r}: expected networks such as 10.0.0.0/16, or the number of proxies before this server."
        ) from error


def _boolean(variable: str, value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if value.strip().lower() not in words:
        raise BadSetting(f"{variable}={value!r}: expected 1 or 0.")
    return words[value.strip().lower()]


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def read(variable: str, value: str) -> str:
        if value.strip() not in choices:
            raise BadSetting(f"{variable}={value!r}: expected {' or '.join(choices)}.")
        return value.strip()

    return read


def _whole(least: int, most: int) -> Callable[[str, str], int]:
    def read(variable: str, value: str) -> int:
        if not value.strip().isdecimal() or not least <= int(value) <= most:
            raise BadSetting(f"{variable}={value!r}: expected a whole number from {least:,} to {most:,}.")
        return int(value)

    return read
