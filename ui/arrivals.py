"""How long a request may take to arrive, how much of all may be held, and when it must end as the server stops."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from search.errors import Busy, SearchError
from ui.api_errors import BodyTooSlow, Stopping, error_response

GRACE_S = 30.0  # of waiting for a body, before its speed counts
LEAST_BYTES_PER_S = 16 * 2**10  # on the whole; a slower sender holds memory that others need
SAVED_S = 60.0  # the most that a fast beginning buys
HELD_BYTES = 512 * 2**20  # of all bodies together; forms with files are not held, but written to disk as they come
BODY_WHEN_STOPPING_S = 5.0
STREAM_WHEN_STOPPING_S = 10.0  # for an answer that goes on; some go on for as long as they are read

_GONE: Message = {"type": "http.disconnect"}


class Arrivals:
    """The waits for what callers send, until `stop`, which is called in the event loop, cuts them short."""

    def __init__(
        self,
        *,
        grace_s: float = GRACE_S,
        saved_s: float = SAVED_S,
        held_bytes: int = HELD_BYTES,
        body_s: float = BODY_WHEN_STOPPING_S,
        stream_s: float = STREAM_WHEN_STOPPING_S,
    ) -> None:
        self.grace_s = grace_s
        self.saved_s = saved_s
        self.free_bytes = held_bytes
        self._body_s = body_s
        self._stream_s = stream_s
        self._waits: dict[asyncio.Timeout, float] = {}  # and for how long each may go on when the server stops
        self._stopped_at: float | None = None

    def stop(self) -> None:
        self._stopped_at = asyncio.get_running_loop().time()
        for wait, left_s in self._waits.items():
            if not wait.expired():
                wait.reschedule(_earliest(wait.when(), self._stopped_at + left_s))

    @property
    def is_stopping(self) -> bool:
        return self._stopped_at is not None

    def refusal(self) -> SearchError:
        if self.is_stopping:
            return Stopping("The server is stopping, and the request was not complete; send it again in a moment.")
        return BodyTooSlow(
            f"The request's body came too slowly: after {self.grace_s:g} s it must come with at least "
            f"{LEAST_BYTES_PER_S // 2**10} kB a second."
        )

    @asynccontextmanager
    async def body(self, most_s: float) -> AsyncIterator[None]:
        """Raises: TimeoutError."""
        async with self._wait(asyncio.get_running_loop().time() + most_s, self._body_s):
            yield

    @asynccontextmanager
    async def end(self) -> AsyncIterator[None]:
        """For what waits until the caller is gone. Raises: TimeoutError."""
        async with self._wait(None, self._stream_s):
            yield

    @asynccontextmanager
    async def _wait(self, until: float | None, when_stopping_s: float) -> AsyncIterator[None]:
        if self._stopped_at is not None:
            until = _earliest(until, self._stopped_at + when_stopping_s)
        async with asyncio.timeout_at(until) as wait:
            self._waits[wait] = when_stopping_s
            try:
                yield
            finally:
                del self._waits[wait]


class InTime:
    """ASGI middleware: a request that does not arrive in time is refused, and its connection closed."""

    def __init__(self, app: ASGIApp, *, arrivals: Arrivals) -> None:
        self.app = app
        self._arrivals = arrivals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal: SearchError | None = None
        arrived = started = False
        is_held = not Headers(scope=scope).get("content-type", "").lower().startswith("multipart/")
        held_bytes = 0
        left_s = self._arrivals.grace_s  # of waiting for the caller: while we are busy with what came, nobody is slow

        async def receive_in_time() -> Message:
            nonlocal refusal, arrived, held_bytes, left_s
            if refusal is not None:
                return _GONE
            began = time.monotonic()
            try:
                async with self._arrivals.end() if arrived else self._arrivals.body(left_s):
                    message = await receive()
            except TimeoutError:
                refusal = None if arrived else self._arrivals.refusal()
                return _GONE
            came_bytes = len(message.get("body", b""))
            left_s += came_bytes / LEAST_BYTES_PER_S - (time.monotonic() - began)
            left_s = min(left_s, max(self._arrivals.saved_s, self._arrivals.grace_s))
            arrived = not message.get("more_body", False)
            if is_held and came_bytes:
                held_bytes += came_bytes
                self._arrivals.free_bytes -= came_bytes
                if self._arrivals.free_bytes < 0:
                    refusal = Busy("So much is being sent at once that there is no room for it: try again in a moment.")
                    return _GONE
            return message

        async def send_unless_refused(message: Message) -> None:
            nonlocal started
            if refusal is None or started:
                started = True
                await send(message)

        try:
            await self.app(scope, receive_in_time, send_unless_refused)
        except Exception:  # an app may take a caller that is gone for an error
            if refusal is None or started:
                raise
        except asyncio.CancelledError:  # by uvicorn, when what is left of the time to stop is needed for closing
            if started or not self._arrivals.is_stopping:
                raise
            refusal = Stopping("The server is stopping, and there was no time left for this; send it again.")
        finally:
            self._arrivals.free_bytes += held_bytes
        if refusal is not None and not started:
            response = error_response(refusal, scope)
            response.headers["connection"] = "close"  # the rest of the body is not waited for
            await response(scope, receive, send)


def _earliest(one: float | None, other: float) -> float:
    return other if one is None else min(one, other)
