"""What an export will need of this machine, from the size of the weights alone; loads no model."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from search.encoders.fingerprint import read_tensors, weights_of

_FLOAT32_BYTES = 4
_DISK_BYTES = 20_000_000  # tokenizer, graphs
_MEMORY_BYTES = 700_000_000  # torch, open_clip and the exporter themselves


@dataclass(frozen=True, slots=True)
class Needs:
    disk_bytes: int  # where the export is written, kept afterwards
    memory_bytes: int  # for some minutes


def export_needs(source: Path) -> Needs:
    """Raises: ModelDamaged."""
    return needs_of_weights(sum(tensor.count for tensor in read_tensors(weights_of(source))) * _FLOAT32_BYTES)


def needs_of_weights(weights_bytes: int) -> Needs:
    """`weights_bytes`: in float32."""
    # measured: ViT-B-32 took 1.8 GB for 0.6 GB of weights
    return Needs(weights_bytes + _DISK_BYTES, weights_bytes * 5 // 2 + _MEMORY_BYTES)


def lack_of_disk(needs: Needs, out: Path) -> str | None:
    """In one sentence, where the disk of `out`, which need not exist, can't hold the export."""
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free_bytes = shutil.disk_usage(there).free
    if free_bytes >= needs.disk_bytes:
        return None
    return (
        f"The export needs {needs.disk_bytes / 1e6:,.0f} MB on the data folder's disk, which has "
        f"{free_bytes / 1e6:,.0f} MB left; free some, or set SIGHTLINE_DATA_DIR to a folder on another disk."
    )


def lack_of_memory(needs: Needs, available_bytes: int | None) -> str | None:
    """In one sentence, where the export would not fit; None where nobody knows how much is free."""
    if available_bytes is None or available_bytes >= needs.memory_bytes:
        return None
    return (
        f"The export needs {needs.memory_bytes / 1e9:.1f} GB of memory for some minutes, and "
        f"{available_bytes / 1e9:.1f} GB are free: end other programs, or take a smaller model."
    )
