"""How much memory there is for models, and which must go so that another fits; it measures and decides, no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Of the memory that is free, or held by models: the rest is for pictures, the store and other programs. Measured in
# docs/decisions/0008-models-in-memory.md.
SHARE = 0.6
_UNLIMITED = 1 << 60  # what older kernels write where a cgroup has no limit


@dataclass(frozen=True, slots=True)
class Held:
    """A model in memory."""

    name: str
    size_bytes: int
    in_use: bool


def to_drop(held: Sequence[Held], *, wanted_bytes: int, available_bytes: int) -> list[str]:
    """Which of `held` (least recently used first) must go so that `wanted_bytes` more fit into the models' share.

    `available_bytes`: free now, beside what is held. What is in use never goes, even where that is too little.
    """
    total = sum(model.size_bytes for model in held)
    budget = int((available_bytes + total) * SHARE)
    dropped = []
    for model in held:
        if total + wanted_bytes <= budget:
            break
        if not model.in_use:
            total -= model.size_bytes
            dropped.append(model.name)
    return dropped


def available_bytes(root: Path = Path("/")) -> int | None:
    """What can be had without swapping: the machine's, or what a cgroup leaves; None where nothing tells."""
    told = [_of_machine(root / "proc/meminfo"), _of_cgroup(root / "sys/fs/cgroup")]
    known = [size for size in told if size is not None]
    return min(known, default=None)


def _of_machine(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _of_cgroup(folder: Path) -> int | None:
    """Version 2, then 1. Pages of files that nobody used lately can be taken back, so they count as free."""
    for limit, used, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            most = int((folder / limit).read_text(encoding="ascii"))
            now = int((folder / used).read_text(encoding="ascii"))
            words = (line.split() for line in (folder / stat).read_text(encoding="ascii").splitlines())
            files = next((int(value) for name, value in words if name == "inactive_file"), 0)
        except (OSError, ValueError):
            continue
        return max(0, most - now + files) if most < _UNLIMITED else None
    return None
