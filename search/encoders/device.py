"""Where torch runs a model, in which numbers and how many rows at once; loads no model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from search.errors import ModelError

Numbers = Literal["float32", "float16", "bfloat16"]

NO_ROOM = (
    "The GPU's memory is too small or too full for this model; free some, or hide the GPU with CUDA_VISIBLE_DEVICES=-1."
)
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Device:
    """`name` is torch's."""

    name: str = "cpu"
    dtype: Numbers = "float32"
    at_once: int = 64


@dataclass(frozen=True, slots=True)
class Gpu:
    """What torch says of a GPU."""

    name: str
    capability: tuple[int, int]  # CUDA's compute capability; ROCm's architecture number
    has_bfloat16: bool  # in hardware
    free_bytes: int


def choose_device(gpu: Gpu | None) -> Device:
    """bfloat16 where the hardware has it, float16 from the first tensor cores on; before them it is no faster."""
    if gpu is None:
        return Device()
    dtype: Numbers = "bfloat16" if gpu.has_bfloat16 else "float16" if gpu.capability >= (7, 0) else "float32"
    # ViT-L-14's activations take some 20 MB a row; a GPU has long been full of work at 256 rows
    fitting = gpu.free_bytes // _GIB * 32
    return Device(gpu.name, dtype, max(16, min(256, fitting)))


def find_gpu() -> Gpu | None:
    """Looks for a driver before it imports torch, which takes two seconds and is for nothing without one."""
    if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")):
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    return Gpu(
        "cuda",
        torch.cuda.get_device_capability(),
        torch.cuda.is_bf16_supported(including_emulation=False),
        torch.cuda.mem_get_info()[0],
    )


def moved(model: Any, name: str) -> Any:
    """The model, now on the device of that name. Raises: ModelError where it does not fit."""
    import torch

    try:
        return model.to(name)
    except torch.OutOfMemoryError as error:
        raise ModelError(NO_ROOM) from error


def in_parts(run: Callable[[int, int], Any], count: int, at_once: int) -> tuple[Any, int]:
    """Rows of `run(start, end)` over all of `count`, and how many at once turned out to fit in the memory.

    Raises: ModelError where not even one does.
    """
    import torch

    parts, start = [], 0
    while start < count:
        try:
            parts.append(run(start, min(count, start + at_once)))
        except torch.OutOfMemoryError as error:
            if at_once == 1:
                raise ModelError(NO_ROOM) from error
            at_once //= 2
        else:
            start += at_once
            continue
        torch.cuda.empty_cache()  # outside the handler, whose traceback keeps the failed run's tensors alive
    return torch.cat(parts), at_once
