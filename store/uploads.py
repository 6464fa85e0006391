"""Originals of uploaded images, by content hash; which of them a collection still has, the library knows."""

import hashlib
import re
from pathlib import Path

from store import files

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


def keep(folder: Path, data: bytes, suffix: str) -> str:
    """Synced before it returns; its path relative to the folder. Raises: DiskFull, StoreUnavailable."""
    content_hash = hashlib.sha256(data).hexdigest()
    kept = suffix.lower() if _SUFFIX.fullmatch(suffix.lower()) else ""
    relative = f"{content_hash[:2]}/{content_hash}{kept}"
    path = folder / relative
    with files.disk_errors("the upload"):
        if not is_untidy(folder):
            files.write_synced(_mark(folder), b"")
        files.make_folder(path.parent)
        if not path.exists():
            files.replace_synced(path, data)
        files.sync_folder(path.parent)  # whoever wrote it may have been killed before this
    return relative


def is_untidy(folder: Path) -> bool:
    """Whether originals may be left that no collection has: since one was deleted, or one kept."""
    return _mark(folder).exists()


def mark_untidy(folder: Path) -> None:
    """Raises: DiskFull, StoreUnavailable."""
    files.write_durably(_mark(folder), b"")


def remove_all_but(wanted: set[str], folder: Path) -> None:
    """By their paths relative to the folder, which is tidy then. Raises: OSError."""
    for path in folder.glob("??/*"):
        if f"{path.parent.name}/{path.name}" not in wanted:
            path.unlink()
    _mark(folder).unlink()


def _mark(folder: Path) -> Path:
    return folder / ".untidy"
