import threading
from collections.abc import Callable

import pytest

from search.errors import ModelDamaged, StoreUnavailable
from ui.readiness import LATELY_S, Readiness


def failing(error: Exception) -> Callable[[], None]:
    def check() -> None:
        raise error

    return check


def test_it_is_not_ready_before_the_first_check() -> None:
    readiness = Readiness(lambda: None)
    assert (readiness.is_ready, readiness.reason) == (False, "it has only just been started")


def test_a_success_counts_for_a_while_only() -> None:
    now = 100.0
    readiness = Readiness(lambda: None, clock=lambda: now)
    readiness.check_now()
    now = 100.0 + LATELY_S - 1
    assert readiness.is_ready
    now = 100.0 + LATELY_S
    assert (readiness.is_ready, readiness.reason) == (False, "its self-check is late")


def test_a_failure_counts_at_once_and_says_why() -> None:
    outcomes = iter([lambda: None, failing(ModelDamaged("The model is damaged"))])
    readiness = Readiness(lambda: next(outcomes)())
    assert readiness.check_now()
    assert not readiness.check_now()
    assert readiness.reason == "The model is damaged"


def test_a_defect_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    readiness = Readiness(failing(ZeroDivisionError("/home/secret")))
    assert not readiness.check_now()
    assert readiness.reason == "its self-check failed; the log says why"
    assert "ZeroDivisionError: /home/secret" in caplog.text


def test_once_it_is_ready_what_waited_for_that_begins() -> None:
    begun = threading.Event()
    readiness = Readiness(lambda: None, when_ready=begun.set)
    readiness.start()
    assert begun.wait(timeout=60)
    assert readiness.is_ready
    readiness.close()


def test_what_can_not_begin_does_not_stop_the_checks() -> None:
    tried = threading.Event()

    def begin() -> None:
        tried.set()
        raise StoreUnavailable("No index")

    readiness = Readiness(lambda: None, when_ready=begin)
    readiness.start()
    assert tried.wait(timeout=60)
    readiness.close()
    assert readiness.is_ready


def test_closing_waits_for_the_check_that_runs() -> None:
    entered, go, done = threading.Event(), threading.Event(), threading.Event()

    def check() -> None:
        entered.set()
        go.wait(60)
        done.set()

    readiness = Readiness(check)
    readiness.start()
    entered.wait(60)
    closing = threading.Thread(target=readiness.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    go.set()
    closing.join(60)
    assert done.is_set()
    Readiness(check).close()  # one that was never started


def test_what_is_withdrawn_is_not_ready_whatever_its_check_finds() -> None:
    readiness = Readiness(lambda: None)
    assert readiness.check_now()
    readiness.withdraw()
    assert not readiness.check_now()
    assert readiness.reason == "it is stopping"
