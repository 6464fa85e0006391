"""Collections that are made in the background: checked first, cancelled, told of, and never made twice."""

import threading
from collections.abc import Callable

import pytest

from search.errors import CollectionExists, JobNotFound, ModelDamaged
from search.makings import Making, Makings


def makings(
    create: Callable[[str, str, str], object],
    *,
    load: Callable[[str], object] = lambda model: None,
    taken: str = "",
) -> Makings:
    def check(name: str) -> None:
        if name == taken:
            raise CollectionExists(f'There is "{name}" already.')

    return Makings(None, check=check, load=load, create=create)


def end_all() -> None:
    for thread in threading.enumerate():
        if thread.name == "making":
            thread.join(60)


def test_a_collection_is_made() -> None:
    created: list[tuple[str, str, str]] = []
    making = makings(lambda *asked: created.append(asked))
    assert making.start("a", model="fake", description="mine") == Making("a", "fake", "preparing")
    end_all()
    assert created == [("a", "fake", "mine")]
    assert making.list() == [Making("a", "fake", "done")]


def test_an_unusable_name_is_refused_before_anything_is_downloaded() -> None:
    with pytest.raises(CollectionExists):
        makings(lambda *asked: None, taken="a").start("a", model="fake")


def test_a_failure_is_told_in_its_words_until_it_is_dismissed() -> None:
    def fail(*asked: str) -> None:
        raise ModelDamaged("The weights are damaged.")

    making = makings(fail)
    making.start("a", model="fake")
    end_all()
    assert making.list() == [Making("a", "fake", "failed", "The weights are damaged.", "model_damaged")]
    making.cancel("a")
    assert making.list() == []
    with pytest.raises(JobNotFound):
        making.cancel("a")


def test_one_that_is_being_made_is_not_made_twice_and_can_be_cancelled() -> None:
    hold, created = threading.Event(), []
    making = makings(lambda *asked: created.append(asked), load=lambda model: hold.wait(60))
    making.start("a", model="fake")
    with pytest.raises(CollectionExists, match='"A" is being made already'):
        making.start("A", model="fake")
    assert making.cancel("a").state == "cancelled"
    hold.set()
    end_all()
    assert making.list() == [Making("a", "fake", "cancelled")]
    assert created == []


def test_one_that_was_cancelled_makes_nothing_for_the_next_of_its_name() -> None:
    holds = {"slow": threading.Event(), "quick": threading.Event()}
    created: list[tuple[str, str, str]] = []
    making = makings(lambda *asked: created.append(asked), load=lambda model: holds[model].wait(60))
    before = set(threading.enumerate())
    making.start("a", model="slow")
    (slow,) = set(threading.enumerate()) - before
    making.cancel("a")
    making.start("a", model="quick")
    holds["slow"].set()
    slow.join(60)
    assert making.list() == [Making("a", "quick", "preparing")]
    holds["quick"].set()
    end_all()
    assert created == [("a", "quick", "")]
    assert making.list() == [Making("a", "quick", "done")]


def test_what_is_being_created_is_not_called_cancelled() -> None:
    begun, hold, created = threading.Event(), threading.Event(), []

    def create(*asked: str) -> None:
        begun.set()
        hold.wait(60)
        created.append(asked)

    making = makings(create)
    making.start("a", model="fake")
    assert begun.wait(60)
    assert making.cancel("a").state == "preparing"
    hold.set()
    end_all()
    assert (created, making.list()) == ([("a", "fake", "")], [Making("a", "fake", "done")])
