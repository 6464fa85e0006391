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
from pathlib import Path
from typing import Any

from search.encoders.fingerprint import write_whole
from search.encoders.hub import HubFile
from search.encoders.model_files import Needed
from search.errors import DiskFull, ModelDamaged, ModelError

_NOTE = "model.json"


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
    return _read(pinned_folder(name, models_dir=models_dir) / _NOTE, name)


def pins(models_dir: Path) -> list[Pin]:
    """Every one that can be read, by name."""
    found = []
    for path in (models_dir / "named").glob(f"*/{_NOTE}"):
        try:
            pin = _read(path, None)
        except ModelDamaged:
            continue
        if pin is not None:
            found.append(pin)
    return sorted(found, key=lambda pin: pin.name)


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
    folder = pinned_folder(pin.name, models_dir=models_dir)
    _write(folder / _NOTE, json.dumps(asdict(pin), indent=1), pin.name)


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


def _read(path: Path, name: str | None) -> Pin | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(Needed(HubFile(**entry["file"]), str(entry["target"])) for entry in said.pop("files"))
        pin = Pin(files=files, **said)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(
            f'What is kept of the model "{name}" can\'t be read: remove the folder models/named/{path.parent.name} of '
            "the data folder, and fetch the model again."
        ) from error
    if name is not None and pin.name != name:
        raise ModelDamaged(f"The folder models/named/{path.parent.name} is another model's: remove it.")
    return pin


def _write(path: Path, text: str, name: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise _unwritten(name, error) from error


def _unwritten(name: str, error: OSError) -> DiskFull | ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f'The data folder\'s disk is full, and "{name}" needs a small folder there: free some.')
    return ModelError(f'What is kept of "{name}" can\'t be written ({error.strerror}): make the data folder writable.')
