"""Taking a fetched model away again: its links, its export, and its files where the cache is this data folder's own."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from search.encoders.hub import Hub, drop, lies_in, missing_bytes
from search.encoders.load import known_fingerprint
from search.encoders.pins import note_of, pinned_folder, pins
from search.errors import ModelDamaged, ModelNotFound


@dataclass(frozen=True, slots=True)
class Removed:
    freed_bytes: int
    kept_bytes: int  # in the cache that other programs use as well


def remove_model(name: str, *, models_dir: Path, bundled: Path, hub: Hub, wanted: Collection[str]) -> Removed:
    """`wanted`: fingerprints of collections, whose exports stay. Raises: ModelNotFound, ModelDamaged."""
    folder, note = pinned_folder(name, models_dir=models_dir), note_of(name, models_dir=models_dir)
    if not folder.is_dir() and not note.exists():
        raise ModelNotFound(f'"{name}" was not downloaded: there is nothing to remove.')
    known, _ = pins(models_dir)
    pin, others = next((pin for pin in known if pin.name == name), None), [pin for pin in known if pin.name != name]
    fingerprint = known_fingerprint(name, models_dir=models_dir, bundled=bundled)
    shared = {(entry.file.repo, entry.file.digest) for other in others for entry in other.files}
    own = [entry.file for entry in pin.files if (entry.file.repo, entry.file.digest) not in shared] if pin else []
    freed = kept = 0
    needed = {known_fingerprint(other.name, models_dir=models_dir, bundled=bundled) for other in others}.union(wanted)
    try:
        if fingerprint and fingerprint not in needed and (models_dir / fingerprint).is_dir():
            freed += _size(models_dir / fingerprint)
            shutil.rmtree(models_dir / fingerprint)
        if lies_in(hub, models_dir.parent):
            freed += sum(drop(hub, file) for file in own)
        else:
            kept = sum(file.size_bytes - missing_bytes(hub, file) for file in own)
        if folder.is_dir():
            freed += _size(folder)
            shutil.rmtree(folder)
        freed += note.stat().st_size if note.exists() else 0
        note.unlink(missing_ok=True)  # last: it says what else must go, should this be stopped halfway
    except OSError as error:
        raise ModelDamaged(f'"{name}" could not be removed whole: {error.strerror}.') from error
    return Removed(freed, kept)


def _size(folder: Path) -> int:
    """Of its own files; what links lead to counts elsewhere."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
