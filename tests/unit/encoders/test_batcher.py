"""Texts that are asked for while others are encoded make the next batch, and nobody fails for another's text."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from search.encoders.batcher import Batcher
from search.errors import ModelDamaged
from search.types import Embeddings
from tests.stored import wait_until


class Slow:
    """Encodes a text as its length. Its first batch takes until `go`; "bad" can't be encoded."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.batcher = Batcher(self.encode, most=4)

    def encode(self, texts: Sequence[str]) -> Embeddings:
        self.batches.append(list(texts))
        if len(self.batches) == 1:
            assert self.go.wait(60)
        if "bad" in texts:
            raise ModelDamaged("bad can't be encoded")
        return np.array([[len(text)] for text in texts], np.float32)

    def ask_in_turn(self, pool: ThreadPoolExecutor, *calls: list[str]) -> list["Future[Embeddings]"]:
        """The first is being encoded and the others wait, in this order."""
        asked = [pool.submit(self.batcher.encode, calls[0])]
        wait_until(lambda: len(self.batches) == 1)
        for n, call in enumerate(calls[1:], 1):
            asked.append(pool.submit(self.batcher.encode, call))
            wait_until(lambda n=n: self.batcher.waiting == n)  # type: ignore[misc]
        return asked


def test_texts_that_come_while_others_are_encoded_make_the_next_batches() -> None:
    slow = Slow()
    with ThreadPoolExecutor(8) as pool:
        asked = slow.ask_in_turn(pool, ["a"], ["bb", "ccc"], ["dddd"], ["eeeee", "f"], ["gg"])
        slow.go.set()
        rows = [future.result(60).ravel().tolist() for future in asked]
    assert rows == [[1], [2, 3], [4], [5, 1], [2]]
    assert slow.batches == [["a"], ["bb", "ccc", "dddd"], ["eeeee", "f", "gg"]]
    assert slow.batcher.waiting == 0


def test_a_call_with_more_texts_than_a_batch_takes_waits_for_nobody() -> None:
    slow = Slow()
    with ThreadPoolExecutor(8) as pool:
        (first,) = slow.ask_in_turn(pool, ["a"])
        assert slow.batcher.encode(["a", "b", "c", "dd", "ee"]).ravel().tolist() == [1, 1, 1, 2, 2]
        slow.go.set()
        assert first.result(60).tolist() == [[1]]


def test_a_text_that_can_not_be_encoded_fails_its_own_call_alone() -> None:
    slow = Slow()
    with ThreadPoolExecutor(8) as pool:
        asked = slow.ask_in_turn(pool, ["a"], ["bb"], ["bad"], ["ccc"])
        slow.go.set()
        assert [asked[n].result(60).tolist() for n in (0, 1, 3)] == [[[1]], [[2]], [[3]]]
        with pytest.raises(ModelDamaged, match="bad can't be encoded"):
            asked[2].result(60)
    assert slow.batcher.encode(["later"]).tolist() == [[5]]
