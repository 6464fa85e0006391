"""A release into the account's bucket, under a name made of its content; what is there already is not sent again."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import code_of, each
from deploy.errors import BadConfig
from deploy.sections import Release


def publish(release: Release, bucket: str, aws: Callable[[str], Any], say: Callable[[str], None]) -> str:
    """Its address, s3://…; empty where deploy.toml names no release. Raises: BadConfig."""
    if not release.path:
        return release.uri
    address, missing = compare(release, bucket, aws)
    if missing:
        total_mb = sum(path.stat().st_size for path in missing.values()) / 1e6
        say(f"Uploading {len(missing)} files of {release.path}, {total_mb:,.1f} MB …")
    for key in sorted(
        missing, key=lambda key: (key.endswith("/manifest.json"), key)
    ):  # the manifest last: all is there
        aws("s3").upload_file(str(missing[key]), bucket, key)
    return address


def compare(release: Release, bucket: str, aws: Callable[[str], Any]) -> tuple[str, dict[str, Path]]:
    """The address of the release at `path`, and what is not there yet, by key. Raises: BadConfig."""
    files = files_of(Path(release.path))
    prefix = f"releases/{content_hash(files)}"
    try:
        there = {
            entry["Key"]: entry["Size"]
            for entry in each(aws("s3").list_objects_v2, "Contents", Bucket=bucket, Prefix=f"{prefix}/")
        }
    except ClientError as error:
        if code_of(error) != "NoSuchBucket":
            raise
        there = {}
    missing = {
        f"{prefix}/{name}": path for name, path in files.items() if there.get(f"{prefix}/{name}") != path.stat().st_size
    }
    is_archive = Path(release.path).is_file()
    return f"s3://{bucket}/{prefix}" + (f"/{next(iter(files))}" if is_archive else ""), missing


def files_of(path: Path) -> dict[str, Path]:
    """By the name that each has in the release. Raises: BadConfig, where it is empty or has links."""
    if path.is_file():
        return {path.name: path}
    found = {entry.relative_to(path).as_posix(): entry for entry in sorted(path.rglob("*")) if not entry.is_dir()}
    for name, entry in found.items():
        if entry.is_symlink():
            raise BadConfig(f"[release] path = {str(path)!r}: {name} is a link; a release has none.")
    if not found:
        raise BadConfig(f"[release] path = {str(path)!r} is an empty folder: expected a release.")
    return found


def content_hash(files: dict[str, Path]) -> str:
    """Over names and bytes: equal releases have one address, and a changed one never takes another's place."""
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest()[:20]
