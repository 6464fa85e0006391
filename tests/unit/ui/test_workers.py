import asyncio
import threading

import pytest

from search.errors import Busy, TimedOut
from ui.workers import Workers


def test_work_runs_in_a_thread_of_its_own() -> None:
    async def use() -> str:
        workers = Workers("w", threads=1, waiting=0, deadline_s=5)
        return await workers.run(lambda: threading.current_thread().name)

    assert asyncio.run(use()).startswith("w_")


def test_what_the_work_raises_is_raised() -> None:
    async def use() -> None:
        await Workers("w", threads=1, waiting=0, deadline_s=5).run(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(use())


def test_work_behind_too_much_is_refused_at_once_and_taken_when_there_is_room() -> None:
    async def use() -> list[object]:
        workers = Workers("w", threads=1, waiting=1, deadline_s=5)
        go = threading.Event()
        held = [asyncio.create_task(workers.run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="2 requests are being worked on or waiting"):
            await workers.run(int)
        go.set()
        return [*(await asyncio.gather(*held)), await workers.run(int)]

    assert asyncio.run(use()) == [True, True, 0]


def test_work_that_takes_too_long_is_answered_for_and_keeps_its_place_until_it_ends() -> None:
    async def use() -> None:
        workers = Workers("w", threads=1, waiting=0, deadline_s=0.05)
        go = threading.Event()
        with pytest.raises(TimedOut, match=r"No answer within 0\.05 s"):
            await workers.run(go.wait)
        with pytest.raises(Busy):
            await workers.run(int)
        go.set()

    asyncio.run(use())
