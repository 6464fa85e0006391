"""What is kept of a model that was named: the commit and files it was first found as, and its folder of links.

A model's weights lie in the hub's cache; the folder has the form of docs/architecture.md's local models.
"""

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from search.encoders.fingerprint import write_whole
from search.encoders.hub import HubFile
from search.encoders.json_file import read_json
from search.encoders.model_files import Needed
from search.encoders.names import is_repo
from search.errors import DiskFull, ModelDamaged, ModelError

_NOTE_BYTES = 4 << 20
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_LARGEST_BYTES = 1 << 50  # of a file; more is a lie, and no figure to sum


@dataclass(frozen=True, slots=True)
class Pin:
    """The files that a name stands for here from now on."""

    name: str
    where: str  # the hub's host
    commit: str  # of the repository with the weights
    files: tuple[Needed, ...]
    config: Mapping[str, Any] = field(default_factory=dict)  # an open_clip_config.json that no repository holds
    note: str = ""

    @property
    def total_bytes(self) -> int:
        return sum(needed.file.size_bytes for needed in self.files)


def read_pin(name: str, *, models_dir: Path) -> Pin | None:
    """Raises: ModelDamaged."""
    return _read(note_of(name, models_dir=models_dir))


def pins(models_dir: Path) -> tuple[list[Pin], dict[str, str]]:
    """Those that can be read, by name; and by file what is wrong with the others."""
    found, damaged = [], {}
    for path in sorted((models_dir / "named").glob("[!.]*.json")):
        try:
            pin = _read(path)
        except ModelDamaged as error:
            damaged[path.stem] = str(error)
            continue
        if pin is not None:
            found.append(pin)
    return sorted(found, key=lambda pin: pin.name), damaged


def note_of(name: str, *, models_dir: Path) -> Path:
    """Beside the folder: whoever removes that by hand still gets the same commit again."""
    folder = pinned_folder(name, models_dir=models_dir)
    return folder.with_name(f"{folder.name}.json")


def pinned_folder(name: str, *, models_dir: Path) -> Path:
    """Two names never share one, whatever a file system makes of letters and signs."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "--", name)[:80]
    return models_dir / "named" / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def is_complete(pin: Pin, *, models_dir: Path) -> bool:
    """Whether all is in its folder, by size; the hub's cache, where the links lead, may have been cleared."""
    folder = pinned_folder(pin.name, models_dir=models_dir)
    if pin.config and not (folder / "open_clip_config.json").is_file():
        return False
    try:
        return all((folder / needed.target).stat().st_size == needed.file.size_bytes for needed in pin.files)
    except OSError:
        return False


def write_pin(pin: Pin, *, models_dir: Path) -> None:
    """Raises: DiskFull, ModelError."""
    _write(note_of(pin.name, models_dir=models_dir), json.dumps(asdict(pin), indent=1), pin.name)


def link(pin: Pin, paths: Mapping[Needed, Path], *, models_dir: Path) -> None:
    """Makes the model's folder of files that lie elsewhere. Raises: DiskFull, ModelError."""
    folder = pinned_folder(pin.name, models_dir=models_dir)
    try:
        for needed, path in paths.items():
            _link(folder / needed.target, path.resolve())
    except OSError as error:
        raise _unwritten(pin.name, error) from error
    if pin.config:
        _write(folder / "open_clip_config.json", json.dumps(pin.config, indent=1), pin.name)


def _link(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(source)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _read(path: Path) -> Pin | None:
    try:
        pin = _pin_of(read_json(path, most_bytes=_NOTE_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(
            f"What is kept of a model in the file models/named/{path.name} of the data folder can't be read: remove "
            "that file, and fetch the model again."
        ) from error
    if note_of(pin.name, models_dir=path.parent.parent).name != path.name:
        raise ModelDamaged(f"The file models/named/{path.name} is another model's: remove it.")
    return pin


def _pin_of(said: Mapping[str, Any]) -> Pin:
    """Raises: ValueError, KeyError, TypeError, AttributeError for what `write_pin` never writes."""
    files = tuple(_needed(entry) for entry in said["files"])
    pin = Pin(**{**said, "files": files})
    if not isinstance(pin.config, dict) or not _DIGEST.fullmatch(pin.commit):
        raise ValueError("no pin")
    _check_text(pin.name, pin.where, pin.note)
    return pin


def _needed(said: Mapping[str, Any]) -> Needed:
    needed = Needed(HubFile(**said["file"]), said["target"])
    file, target = needed.file, PurePosixPath(needed.target)
    _check_text(file.path, needed.target)
    if not is_repo(file.repo) or not _DIGEST.fullmatch(file.commit) or not _DIGEST.fullmatch(file.digest):
        raise ValueError("no file of a hub")
    if type(file.size_bytes) is not int or not 0 <= file.size_bytes <= _LARGEST_BYTES:
        raise ValueError("no size")
    for inside in (target, PurePosixPath(file.path)):
        if inside.is_absolute() or ".." in inside.parts or "\\" in str(inside):
            raise ValueError("it leads out of the folder")
    return needed


def _check_text(*texts: str) -> None:
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise ValueError("no text")


def _write(path: Path, text: str, name: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise _unwritten(name, error) from error


def _unwritten(name: str, error: OSError) -> DiskFull | ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f'The data folder\'s disk is full, and "{name}" needs a small folder there: free some.')
    return ModelError(f'What is kept of "{name}" can\'t be written ({error.strerror}): make the data folder writable.')
