"""A model's speed on this machine: measured in the background, kept by fingerprint, never told of another machine."""

import threading
from pathlib import Path

import pytest

from search.encoders.speed import Speed, measure
from search.errors import Busy, ModelError
from search.speeds import Speeds, SpeedTest, measure_in_process
from tests.fakes import FakeEncoder
from tests.unit.encoders.exports import write_export

SPEED = Speed(text_ms=12.5, images_per_s=21.0, memory_bytes=800, load_s=1.0)


def ended(speeds: Speeds) -> SpeedTest:
    for thread in threading.enumerate():
        if thread.name == "speed":
            thread.join(60)
    assert speeds.test is not None
    return speeds.test


def test_a_result_is_kept_by_fingerprint_for_this_machine(tmp_path: Path) -> None:
    speeds = Speeds(tmp_path, lambda name: (f"of {name}", SPEED), machine="here")
    assert speeds.of("of a") is None
    speeds.start("a")
    assert ended(speeds) == SpeedTest("a", is_running=False)
    again = Speeds(tmp_path, lambda name: ("", SPEED), machine="here").of("of a")
    assert again is not None
    assert (again["text_ms"], again["images_per_s"], again["memory_bytes"]) == (12.5, 21.0, 800)
    assert Speeds(tmp_path, lambda name: ("", SPEED), machine="there").of("of a") is None
    assert speeds.of(None) is None


def test_one_runs_at_a_time(tmp_path: Path) -> None:
    hold = threading.Event()

    def wait(name: str) -> tuple[str, Speed]:
        hold.wait(60)
        return "a", SPEED

    speeds = Speeds(tmp_path, wait)
    assert speeds.start("a").is_running
    with pytest.raises(Busy, match='"a" is being measured'):
        speeds.start("b")
    hold.set()
    ended(speeds)


def test_a_failure_is_told(tmp_path: Path) -> None:
    def fail(name: str) -> tuple[str, Speed]:
        raise ModelError("No such model.")

    speeds = Speeds(tmp_path, fail)
    speeds.start("a")
    assert ended(speeds) == SpeedTest("a", is_running=False, error="No such model.")


def test_a_damaged_file_of_results_is_none(tmp_path: Path) -> None:
    (tmp_path / "speeds.json").write_text('["not", "a table"]')
    assert Speeds(tmp_path, lambda name: ("", SPEED)).of("a") is None


def test_texts_and_images_are_timed_within_the_seconds() -> None:
    now = [0.0]

    class Timed(FakeEncoder):
        def encode_texts(self, texts):  # type: ignore[no-untyped-def]
            now[0] += 0.02
            return super().encode_texts(texts)

        def encode_images(self, pixels):  # type: ignore[no-untyped-def]
            now[0] += 0.1 * len(pixels)
            return super().encode_images(pixels)

    text_ms, images_per_s = measure(Timed(), seconds=5.0, now=lambda: now[0])
    assert (round(text_ms, 3), round(images_per_s, 3)) == (20.0, 10.0)
    assert now[0] < 6.5


def test_a_child_process_measures_a_real_export(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    fingerprint, speed = measure_in_process(str(folder), models_dir=tmp_path / "models", bundled=folder)
    assert len(fingerprint) == 64
    assert speed.text_ms > 0
    assert speed.images_per_s > 0
    assert speed.memory_bytes > 10_000_000


def test_a_name_that_looks_like_an_option_is_a_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='There is no model "--bundled"'):
        measure_in_process("--bundled", models_dir=tmp_path, bundled=tmp_path)
