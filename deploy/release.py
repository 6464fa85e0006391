"""A release into the account's bucket, under a name made of its content; what is there already is not sent again."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.clients import each_page
from deploy.config import Release
from deploy.errors import BadConfig

CHUNK_BYTES = 2**20


def publish(release: Release, bucket: str, aws: Callable[[str], Any], say: Callable[[str], None]) -> str:
    """Its address, s3://…; empty where deploy.toml names no release. Raises: BadConfig."""
    if not release.path:
        return release.uri
    files = files_of(Path(release.path))
    key = f"releases/{content_hash(files)}"
    there = {
        entry["Key"]: entry["Size"]
        for page in each_page(aws("s3").list_objects_v2, Bucket=bucket, Prefix=key)
        for entry in page.get("Contents", [])
    }
    missing = [name for name, path in files.items() if there.get(f"{key}/{name}") != path.stat().st_size]
    if missing:
        total_mb = sum(files[name].stat().st_size for name in missing) / 1e6
        say(f"Uploading {len(missing)} files of {release.path}, {total_mb:,.1f} MB …")
    for name in sorted(missing, key=lambda name: (name == "manifest.json", name)):  # the manifest last: it says whole
        aws("s3").upload_file(str(files[name]), bucket, f"{key}/{name}")
    is_archive = Path(release.path).is_file()
    return f"s3://{bucket}/{key}" + (f"/{next(iter(files))}" if is_archive else "")


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
