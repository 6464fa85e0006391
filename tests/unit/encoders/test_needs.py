"""An export's needs are known from the size of the weights."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from search.encoders.needs import Needs, export_needs, lack_of_disk, lack_of_memory


def test_numbers_are_counted_as_float32_however_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "half").mkdir()
    weights = {"a": np.ones((1000, 300), dtype=np.float32), "b": np.ones(7, dtype=np.float32)}
    save_file(weights, tmp_path / "whole" / "model.safetensors")
    halves = {name: values.astype(np.float16) for name, values in weights.items()}
    save_file(halves, tmp_path / "half" / "model.safetensors")
    assert export_needs(tmp_path / "whole") == export_needs(tmp_path / "half")
    assert export_needs(tmp_path / "half").disk_bytes == 300_007 * 4 + 20_000_000


def test_a_disk_that_is_large_enough_is_no_reason(tmp_path: Path) -> None:
    assert lack_of_disk(Needs(disk_bytes=1, memory_bytes=1), tmp_path / "not" / "there" / "yet") is None


def test_a_disk_that_is_too_small_is_said_with_what_is_needed(tmp_path: Path) -> None:
    said = lack_of_disk(Needs(disk_bytes=10**18, memory_bytes=1), tmp_path)
    assert said is not None
    assert said.startswith("The export needs 1,000,000,000,000 MB on the data folder's disk, which has ")
    assert str(tmp_path) not in said


def test_an_export_waits_for_memory_that_is_there() -> None:
    needs = Needs(disk_bytes=1, memory_bytes=2_000_000_000)
    assert lack_of_memory(needs, 2_000_000_000) is None
    assert lack_of_memory(needs, None) is None
    assert lack_of_memory(needs, 1_400_000_000) == (
        "The export needs 2.0 GB of memory for some minutes, and 1.4 GB are free: end other programs, or take a "
        "smaller model."
    )
