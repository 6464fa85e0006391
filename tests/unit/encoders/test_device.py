"""A GPU's facts decide its numbers and batch; a memory that is full is met with smaller batches."""

import pytest
import torch

from search.encoders.device import Device, Gpu, choose_device, in_parts, moved
from search.errors import ModelError

GIB = 2**30


@pytest.mark.parametrize(
    ("gpu", "device"),
    [
        (None, Device("cpu", "float32", 64)),
        (Gpu("cuda", (9, 0), True, 139 * GIB), Device("cuda", "bfloat16", 256)),  # H200
        (Gpu("cuda", (8, 6), True, 7 * GIB), Device("cuda", "bfloat16", 224)),  # RTX 3070, page running beside it
        (Gpu("cuda", (7, 5), False, 15 * GIB), Device("cuda", "float16", 256)),  # T4
        (Gpu("cuda", (7, 0), False, 2 * GIB), Device("cuda", "float16", 64)),
        (Gpu("cuda", (6, 1), False, 7 * GIB), Device("cuda", "float32", 224)),  # GTX 1080
        (Gpu("cuda", (8, 9), True, GIB // 2), Device("cuda", "bfloat16", 16)),
    ],
)
def test_the_facts_of_a_gpu_decide(gpu: Gpu | None, device: Device) -> None:
    assert choose_device(gpu) == device


class Memory:
    """One that holds `limit` rows, and what was run in it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tried: list[tuple[int, int]] = []

    def run(self, start: int, end: int) -> torch.Tensor:
        self.tried.append((start, end))
        if end - start > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.arange(start, end, dtype=torch.float32)[:, None]


def test_a_full_memory_halves_the_batch_and_loses_no_row() -> None:
    memory = Memory(limit=3)
    rows, fitted = in_parts(memory.run, 10, 8)
    assert rows[:, 0].tolist() == list(range(10))
    assert fitted == 2
    assert memory.tried == [(0, 8), (0, 4), (0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]


def test_what_is_run_already_is_not_run_again() -> None:
    memory = Memory(limit=4)

    def run(start: int, end: int) -> torch.Tensor:
        if start == 4:
            memory.limit = 2
        return memory.run(start, end)

    rows, fitted = in_parts(run, 8, 4)
    assert (rows[:, 0].tolist(), fitted) == (list(range(8)), 2)
    assert memory.tried == [(0, 4), (4, 8), (4, 6), (6, 8)]


def test_a_memory_without_room_for_one_row_is_said() -> None:
    with pytest.raises(ModelError, match="CUDA_VISIBLE_DEVICES"):
        in_parts(Memory(limit=0).run, 3, 4)


class TooLarge:
    def to(self, name: str) -> None:
        raise torch.OutOfMemoryError(f"no room on {name}")


def test_a_model_that_does_not_fit_is_said() -> None:
    with pytest.raises(ModelError, match="CUDA_VISIBLE_DEVICES"):
        moved(TooLarge(), "cuda")
