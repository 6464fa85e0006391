"""A bounded number of threads for blocking work, with a bounded queue before them; what the work is, callers say."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from search.errors import Busy, TimedOut

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Refuses work at once where it would wait behind too much, and answers for it when it takes too long."""

    def __init__(self, name: str, *, threads: int, waiting: int, deadline_s: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._deadline_s = deadline_s
        self._held = 0  # queued or running, abandoned ones included
        self._lock = threading.Lock()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises: Busy, TimedOut, and what the function raises."""
        context = copy_context()  # the work knows the request that it is for
        future = self._submit(lambda: context.run(function, *args, **kwargs))
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise TimedOut(f"No answer within {self._deadline_s:g} s; try again, or ask for less.") from error

    @property
    def held(self) -> int:
        """Requests that are being worked on or waiting."""
        return self._held

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._held >= self._most:
                raise Busy(f"{self._held} requests are being worked on or waiting; try again in a moment.")
            self._held += 1
        future = self._pool.submit(work)
        future.add_done_callback(self._release)
        return future

    def _release(self, _: Future[T]) -> None:
        with self._lock:
            self._held -= 1
