"""A release into the account's bucket, under a name made of its content; what is there already is not sent again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import code_of, each
from deploy.errors import BadConfig
from deploy.sections import Release

MANIFEST = "manifest.json"


def publish(release: Release, bucket: str, aws: Callable[[str], Any], say: Callable[[str], None]) -> str:
    """Its address, s3://…; empty where deploy.toml names no release. Raises: BadConfig."""
    if not release.path:
        return release.uri
    address, missing = compare(release, bucket, aws)
    if missing:
        total_mb = sum(path.stat().st_size for path in missing.values()) / 1e6
        say(f"Uploading {len(missing)} files of {release.path}, {total_mb:,.1f} MB …")
    for key in sorted(missing, key=lambda key: (key.endswith(f"/{MANIFEST}"), key)):  # the manifest last: all is there
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
    """By the name that each has in the release. Raises: BadConfig, where it is empty, not whole or has links."""
    if path.is_file():
        return {path.name: path}
    found = {entry.relative_to(path).as_posix(): entry for entry in sorted(path.rglob("*")) if not entry.is_dir()}
    for name, entry in found.items():
        if entry.is_symlink() or not entry.is_file():
            raise BadConfig(f"[release] path = {str(path)!r}: {name} is a link, or no plain file; a release has none.")
    if not found:
        raise BadConfig(f"[release] path = {str(path)!r} is an empty folder: expected a release.")
    _check_whole(path, found)
    return found


def _check_whole(path: Path, found: dict[str, Path]) -> None:
    """A task serves a release only whole: what a file browser left in it is found before. Raises: BadConfig."""
    try:
        told = set(json.loads((path / MANIFEST).read_bytes())["files"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadConfig(
            f"[release] path = {str(path)!r}: its {MANIFEST} can't be read; `release build` makes it again."
        ) from error
    for name in sorted((found.keys() - {MANIFEST}) ^ told):
        fault = "is missing; build the release again" if name in told else "is not in its manifest; remove it"
        raise BadConfig(f"[release] path = {str(path)!r}: {name} {fault}, because a release is served only whole.")


def content_hash(files: dict[str, Path]) -> str:
    """Over names and bytes: equal releases have one address, and a changed one never takes another's place.

    Raises: BadConfig, where a file can't be read.
    """
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        try:
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise BadConfig(f"[release] path: {path} can't be read: {error.strerror}.") from error
        whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest()[:20]
