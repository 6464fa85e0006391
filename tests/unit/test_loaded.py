"""Encoders come into memory when they are asked for, and leave it when another needs the room."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from search.errors import ModelDamaged, ModelError, ModelNotDownloaded
from search.loaded import Encoders, Loading
from search.types import Encoder
from tests.fakes import FakeEncoder

GB = 10**9


class Shelf:
    """Encoders of 1 GB each in a memory of `free_gb`, and a clock that is set by hand."""

    def __init__(self, *, free_gb: float = 100) -> None:
        self.now = 1000.0
        self.loads: list[str] = []
        self.free_gb = free_gb
        self.encoders = Encoders(self.load, size_of=lambda name: GB, available=self.available, clock=lambda: self.now)

    def load(self, name: str) -> Encoder:
        self.loads.append(name)
        return FakeEncoder(name, fingerprint=f"of {name}")

    def available(self) -> int:
        return int(self.free_gb * GB) - GB * len(self.encoders.loaded())

    def ask(self, name: str) -> None:
        """As a search does; the next one comes a minute later."""
        self.encoders.get(name).encode_texts(["red"])
        self.now += 60


def test_a_model_is_loaded_once_and_answers_as_itself() -> None:
    shelf = Shelf()
    encoder = shelf.encoders.get("a")
    assert (encoder.name, encoder.fingerprint, encoder.dim, encoder.preprocess.size) == ("a", "of a", 3, (8, 8))
    assert encoder.encode_texts(["red"]).tolist() == [[1.0, 0.0, 0.0]]
    assert encoder.encode_images(np.zeros((2, 8, 8, 3), np.uint8)).shape == (2, 3)
    assert shelf.encoders.get("a") is encoder
    assert shelf.loads == ["a"]


def test_the_least_recently_used_is_dropped_for_another_and_loaded_again_when_it_is_asked() -> None:
    shelf = Shelf(free_gb=4)  # 2.4 of them for models
    for name in ("a", "b", "a", "c"):
        shelf.ask(name)
    assert shelf.encoders.loaded() == ["c", "a"]
    shelf.ask("b")
    assert shelf.encoders.loaded() == ["b", "c"]
    assert shelf.loads == ["a", "b", "c", "b"]


def test_what_is_in_use_stays() -> None:
    shelf = Shelf(free_gb=4)
    shelf.ask("a")
    shelf.ask("b")
    with shelf.encoders.using("a"):
        shelf.now += 60
        shelf.ask("c")
        assert "a" in shelf.encoders.loaded()
    assert shelf.encoders.loaded() == ["a", "c"]


def test_between_two_batches_of_a_job_a_model_is_in_use() -> None:
    shelf = Shelf(free_gb=3)
    shelf.encoders.get("a").encode_texts(["red"])
    shelf.now += 2
    shelf.ask("b")
    assert shelf.encoders.loaded() == ["b", "a"]


def test_what_does_not_fit_is_refused_in_one_sentence() -> None:
    shelf = Shelf(free_gb=0.5)
    with pytest.raises(ModelError, match=r'^"a" takes 1\.0 GB of memory, and 0\.5 GB are free: end other programs'):
        shelf.encoders.get("a")
    assert shelf.loads == []


def test_idle_models_go_when_other_programs_take_the_memory_but_the_last_one_used_stays() -> None:
    shelf = Shelf(free_gb=10)
    shelf.ask("a")
    shelf.ask("b")
    shelf.free_gb = 2.5
    shelf.ask("b")
    assert shelf.encoders.loaded() == ["b"]


def test_a_model_whose_files_were_exchanged_is_refused() -> None:
    shelf = Shelf(free_gb=2)
    fingerprints = iter(["one", "two"])
    encoders = Encoders(
        lambda name: FakeEncoder(name, fingerprint=next(fingerprints) if name == "a" else "b"),
        size_of=lambda name: GB,
        available=shelf.available,
        clock=lambda: shelf.now,
    )
    shelf.encoders = encoders
    shelf.ask("a")
    shelf.ask("b")
    with pytest.raises(ModelDamaged, match=r'^"a" is another model than before'):
        shelf.ask("a")


def waiting_loader(hold: threading.Event) -> Callable[[str], Encoder]:
    def load(name: str) -> Encoder:
        if name == "slow":
            hold.wait(60)
        return FakeEncoder(name)

    return load


def test_a_load_in_the_background_is_told_with_its_stage_and_hinders_no_other_model() -> None:
    hold, now = threading.Event(), [10.0]
    encoders = Encoders(waiting_loader(hold), clock=lambda: now[0])
    try:
        assert encoders.begin("slow", within_s=0.01) is not None
        now[0] = 14.0
        encoders.tell("slow", "text tower")
        assert encoders.loading("slow") == Loading("slow", "text tower", 4.0)
        assert encoders.get("quick").encode_texts(["red"]).shape == (1, 3)
        assert encoders.begin("quick", within_s=0.0) is None
    finally:
        hold.set()
    assert encoders.begin("slow", within_s=60) is None
    assert (encoders.is_loaded("slow"), encoders.loading("slow")) == (True, None)


def test_what_came_while_nobody_waited_and_was_dropped_since_is_loaded_again() -> None:
    shelf, hold = Shelf(free_gb=2), threading.Event()
    load = waiting_loader(hold)
    encoders = Encoders(load, size_of=lambda name: GB, available=shelf.available, clock=lambda: shelf.now)
    before = set(threading.enumerate())  # one of the test before may still be ending
    assert encoders.begin("slow", within_s=0.0) is not None
    (coming,) = set(threading.enumerate()) - before
    hold.set()
    coming.join(60)
    shelf.now += 60
    encoders.get("quick")
    assert (encoders.is_loaded("slow"), encoders.begin("slow", within_s=60)) == (False, None)
    assert encoders.is_loaded("slow")


def test_two_who_ask_for_one_model_have_it_loaded_once() -> None:
    hold, loads = threading.Event(), []

    def load(name: str) -> Encoder:
        loads.append(name)
        hold.wait(60)
        return FakeEncoder(name)

    encoders = Encoders(load)
    encoders.begin("a", within_s=0.0)
    other = threading.Thread(target=encoders.get, args=("a",))
    other.start()
    hold.set()
    other.join(60)
    assert encoders.begin("a", within_s=60) is None
    assert loads == ["a"]


def test_a_failed_load_in_the_background_is_raised_and_tried_again() -> None:
    answers: list[Encoder | None] = [None, FakeEncoder("a")]

    def load(name: str) -> Encoder:
        answer = answers.pop(0)
        if answer is None:
            raise ModelNotDownloaded("It is not here.", name=name)
        return answer

    encoders = Encoders(load)
    with pytest.raises(ModelNotDownloaded):
        encoders.begin("a", within_s=60)
    assert encoders.begin("a", within_s=60) is None


def test_a_warning_is_of_the_last_load() -> None:
    def load(name: str) -> Encoder:
        encoders.warn(name, "Torch serves this model.")
        return FakeEncoder(name)

    encoders = Encoders(load)
    encoders.get("a")
    assert encoders.warning("a") == "Torch serves this model."


def test_what_is_not_in_use_can_be_forgotten() -> None:
    shelf = Shelf()
    shelf.ask("a")
    with shelf.encoders.using("a"):
        assert shelf.encoders.forget("a") is False
    assert shelf.encoders.forget("a") is True
    assert shelf.encoders.loaded() == []
    assert shelf.encoders.forget("never loaded") is True


def test_two_models_that_are_loaded_at_once_do_not_count_the_same_free_memory() -> None:
    entered, go_on, asked = threading.Event(), threading.Event(), threading.Event()
    loads: list[str] = []

    def load(name: str) -> Encoder:
        loads.append(name)
        if name == "first":
            entered.set()
            assert go_on.wait(60)
        return FakeEncoder(name, fingerprint=f"of {name}")

    def available() -> int:
        if entered.is_set():
            asked.set()
        return 3 * GB // 2 - GB * len(encoders.loaded())

    encoders = Encoders(load, size_of=lambda name: GB, available=available)
    assert encoders.begin("first", within_s=0) == Loading("first", "", pytest.approx(0, abs=20))
    assert entered.wait(60)
    failures: list[ModelError] = []

    def second() -> None:
        try:
            encoders.get("second")
        except ModelError as error:
            failures.append(error)

    waiting = threading.Thread(target=second)
    waiting.start()
    assert asked.wait(60)
    assert loads == ["first"]
    go_on.set()
    waiting.join(60)
    assert (loads, [str(one).partition(":")[0] for one in failures]) == (
        ["first"],
        ['"second" takes 1.0 GB of memory, and 0.5 GB are free'],
    )
