"""Releases: a model and mostly a collection, with a manifest, in a folder or .tar.gz: built, checked, opened."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.errors import ReleaseDamaged, SourceError, StoreUnavailable, shown
from search.types import Release
from store import database
from store import manifest as collection_manifest
from store.collection import CATALOG
from store.files import disk_errors, open_regular, write_durably
from store.release_cache import drop_unused, hold, note_use, tags_of, turn
from store.s3 import S3, Address, Stored, connect, is_address, parse_address
from store.tarballs import LONGEST_NAME, is_plain, pack, unpack

FORMAT = 1
MANIFEST, MODEL, COLLECTION = "manifest.json", "model", "collection"
_MOST_FETCHED_BYTES = 256 * 2**30  # of one file
_MOST_MANIFEST_BYTES = 256 * 2**20  # 1.5 million files
PACKED = (".tar.gz", ".tgz")


def build_release(
    out: Path,
    *,
    name: str,
    model: Mapping[str, object],
    files: Mapping[str, Path],
    snapshot: Callable[[Path], Mapping[str, object]] | None,
    told: Mapping[str, object],
) -> Mapping[str, object]:
    """Makes `out`, a folder or a .tar.gz; the same things make the same bytes.

    `model`: its name, fingerprint and dim; `files`: by their names in the release, its files and others;
    `snapshot` fills a new collection folder and returns what the manifest says of it; `told`: what else it says.
    Returns the manifest. Raises: SourceError where `out` can't be made, DiskFull.
    """
    _check_out(out)
    for inside in files:
        _check_name(inside)
    staged = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        with disk_errors("the release"):
            for inside, path in files.items():
                (staged / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, staged / inside)
        collection = snapshot(staged / COLLECTION) if snapshot else None
        with disk_errors("the release"):
            hashed = {found: _told(staged / found) for found in sorted(_names(staged))}
        said = {"format": FORMAT, "name": name, "model": model, "collection": collection, **told, "files": hashed}
        write_durably(staged / MANIFEST, (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode())
        if out.name.endswith(PACKED):
            packed = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
            try:
                pack(staged, [MANIFEST, *hashed], packed)
                packed.replace(out)
            finally:
                packed.unlink(missing_ok=True)
        else:
            _appear(staged, out)
        return said
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def open_release(where: str, *, cache: Path, open_s3: Callable[[], S3] = connect, is_served: bool = False) -> Release:
    """A folder, or a .tar.gz, which is unpacked once below `cache`; or either in S3, which is fetched there first.

    Every file is checked against the manifest. `is_served`: by this process until it ends; then no other removes it
    from `cache`, and what nobody used for a day goes from there.
    Raises: ReleaseDamaged, DiskFull, StoreUnavailable, StorageError.
    """
    release = _found(where, cache, open_s3)
    if is_served:
        hold(release.folder)
        drop_unused(cache)
    return release


def _found(where: str, cache: Path, open_s3: Callable[[], S3]) -> Release:
    if is_address(where):
        path = _fetched(where, cache, open_s3())
        try:
            return _opened(path, where, cache)
        except ReleaseDamaged:
            shutil.rmtree(path if path.is_dir() else path.parent)  # the next start fetches it again
            raise
    return _opened(Path(where).expanduser(), where, cache)


def _opened(path: Path, where: str, cache: Path) -> Release:
    if path.is_dir():
        return check_release(path)
    if not path.is_file():
        raise ReleaseDamaged(f"There is no release at {where}: name a folder or a .tar.gz that `release build` made.")
    with disk_errors("the folder of unpacked releases"):
        cache.mkdir(parents=True, exist_ok=True)
        folder = cache / str(_told(path)["sha256"])[:32]
    with turn(cache):
        if folder.exists():
            note_use(folder)
            with suppress(ReleaseDamaged):
                return check_release(folder)
            shutil.rmtree(folder)
        for left in cache.glob(".*.partial"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial = cache / f".{folder.name}.partial"
        try:
            partial.mkdir()
            unpack(path, partial)
            release = check_release(partial)
            partial.replace(folder)
            note_use(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return replace(release, folder=folder)


def _fetched(where: str, cache: Path, s3: S3) -> Path:
    """What lies at an address, below `cache`; a file that came whole before is not asked for again.

    Raises: ReleaseDamaged where nothing lies there, DiskFull, StoreUnavailable, StorageError.
    """
    address = parse_address(where)
    is_archive = address.key.endswith(PACKED)
    prefix = address.key if is_archive else f"{address.key.rstrip('/')}/"
    there = {stored.key[len(prefix) :]: stored for stored in s3.list(replace(address, key=prefix))}
    if ("" if is_archive else MANIFEST) not in there:
        raise ReleaseDamaged(f"There is no release at {address}: name a .tar.gz, or the folder of a manifest.json.")
    folder = cache / hashlib.sha256(str(address).encode()).hexdigest()[:32]
    tags = tags_of(folder)
    with disk_errors("the folder of fetched releases"):
        cache.mkdir(parents=True, exist_ok=True)
        with turn(cache):
            for name in [""] if is_archive else there:
                if not is_archive and not is_plain(name):
                    raise ReleaseDamaged(f"{address} holds {shown(name)}, no plain file of a release: take it away.")
                _fetch(s3, replace(address, key=prefix + name), there[name], folder / (name or "release.tar.gz"), tags)
            note_use(folder)
    return folder / "release.tar.gz" if is_archive else folder


def _fetch(s3: S3, address: Address, stored: Stored, target: Path, tags: Path) -> None:
    tag = tags / hashlib.sha256(address.key.encode()).hexdigest()[:32]  # an object of the same size has another one
    if target.is_file() and tag.is_file() and tag.read_text(encoding="utf-8") == stored.etag:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("wb") as file:
        s3.download(address, file, most_bytes=_MOST_FETCHED_BYTES)
    partial.replace(target)
    tags.mkdir(exist_ok=True)
    tag.write_text(stored.etag, encoding="utf-8")


def check_release(folder: Path) -> Release:
    """Every file is there as the manifest says, and no other; the catalog keeps records and does nothing else.

    Raises: ReleaseDamaged, StoreUnavailable.
    """
    release = read_manifest(folder)
    called = f'The release "{shown(release.name)}"'
    files: dict[str, Any] = release.told["files"]
    try:
        found = set(_names(folder)) - {MANIFEST}
        for name in sorted(found ^ set(files)):
            fault = "lacks" if name in files else "holds a file too many,"
            raise ReleaseDamaged(
                f"{called} {fault} {name if is_plain(name) else shown(name)}: fetch it again, or build it again."
            )
        for name, known in files.items():
            if (folder / name).stat().st_size != known["bytes"] or _told(folder / name) != known:
                raise ReleaseDamaged(f"{called} is damaged in {name}: fetch it again, or build it again.")
    except OSError as error:
        raise ReleaseDamaged(f"{called} can't be read: {error.strerror}.") from error
    if release.collection is not None:
        info = collection_manifest.read(release.collection_dir, read_only=True)
        if (info.fingerprint, info.name, info.dim) != (release.fingerprint, release.collection, release.dim):
            raise ReleaseDamaged(f"{called} holds a collection that another model embedded: build it again.")
        database.check(release.collection_dir / CATALOG)
    return release


def read_manifest(folder: Path) -> Release:
    """As the manifest says; no file beside it is looked at. Raises: ReleaseDamaged."""
    try:
        with open(folder / MANIFEST, "rb", opener=open_regular) as file:
            data = file.read(_MOST_MANIFEST_BYTES + 1) or b""  # None: of a pipe that somebody holds open
            return parse_manifest(data, folder)
    except OSError as error:
        raise ReleaseDamaged(f"{_no_release(folder)} can't be read.") from error


def parse_manifest(data: bytes, folder: Path) -> Release:
    """`folder`: where the release is or will be. Raises: ReleaseDamaged."""
    said = _no_release(folder)
    if len(data) > _MOST_MANIFEST_BYTES:
        raise ReleaseDamaged(f"{said} has more than {_MOST_MANIFEST_BYTES // 2**20} MB, the limit.")
    try:
        told = json.loads(data)
        if told["format"] != FORMAT:
            raise ReleaseDamaged(f"{said} is not of format {FORMAT}: update Sightline.")
        for name, known in told["files"].items():
            if not is_plain(name) or set(known) != {"sha256", "bytes"}:
                raise ValueError(name)
        return _release(folder, told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReleaseDamaged(f"{said} can't be read.") from error


def _no_release(folder: Path) -> str:
    return f"{shown(folder.name)} is no release, or is damaged: its {MANIFEST}"


def _release(folder: Path, told: Mapping[str, Any]) -> Release:
    """Raises: ValueError, KeyError, TypeError for what is no manifest."""
    model, collection = told["model"], told["collection"]
    name = None if collection is None else collection["name"]
    texts = (told["name"], model["name"], model["fingerprint"], *([] if name is None else [name]))
    if not all(isinstance(text, str) and text for text in texts) or type(model["dim"]) is not int:
        raise ValueError("a name is missing")
    return Release(folder, told["name"], model["name"], model["fingerprint"], model["dim"], name, told)


def _names(folder: Path, below: str = "") -> Iterator[str]:
    """Of all regular files. Raises: ReleaseDamaged for what is neither file nor folder."""
    with os.scandir(folder / below) as entries:
        for entry in entries:
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _names(folder, f"{name}/")
            elif entry.is_file(follow_symlinks=False):
                yield name
            else:
                raise ReleaseDamaged(f"{shown(name)} in the release is a link or no file: put the file itself there.")


def _told(path: Path) -> dict[str, object]:
    with path.open("rb", buffering=0) as file:
        digest = hashlib.file_digest(file, "sha256")
        return {"sha256": digest.hexdigest(), "bytes": file.tell()}


def _appear(staged: Path, out: Path) -> None:
    try:
        staged.replace(out)
    except OSError as error:
        _check_out(out)  # another process may have made it meanwhile
        raise StoreUnavailable(f"{out} can't be written: {error.strerror}.") from error


def _check_out(out: Path) -> None:
    if out.parts[:1] == ("s3:",):
        raise SourceError(f"{out} can't be made in S3: build it here, then copy it there.")
    if out.exists() or out.is_symlink():
        raise SourceError(f"{out} is there already: name another, or take it away first.")
    if not out.absolute().parent.is_dir():
        raise SourceError(f"{out} can't be written: there is no folder {out.parent}.")


def _check_name(name: str) -> None:
    if not is_plain(name):
        raise SourceError(
            f"{shown(name)} can't be part of a release: a name there has up to {LONGEST_NAME} letters, digits and _ . -"
        )
