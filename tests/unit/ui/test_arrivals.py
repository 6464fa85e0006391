"""Slow senders and the end of waits, with a caller whose messages the test sends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from ui.arrivals import Arrivals, InTime


async def count_bytes(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"bytes": len(await Request(scope, receive).body())})(scope, receive, send)


async def take_any_failure_for_a_bad_request(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await Request(scope, receive).body()
    except Exception:  # noqa: BLE001  # as frameworks do
        await Response("bad", 400)(scope, receive, send)


async def stream_for_ever(scope: Scope, receive: Receive, send: Send) -> None:
    async def chunks() -> Any:
        yield b"first"
        await asyncio.Event().wait()

    await StreamingResponse(chunks())(scope, receive, send)


class Caller:
    def __init__(self, *messages: Message) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self.answer: list[Message] = []
        self.waited_for = asyncio.Event()
        for message in messages:
            self.sent.put_nowait(message)

    async def receive(self) -> Message:
        if self.sent.empty():
            self.waited_for.set()
        return await self.sent.get()

    async def send(self, message: Message) -> None:
        self.answer.append(message)

    async def ask(self, app: Any, arrivals: Arrivals, *, content_type: bytes = b"text/plain") -> None:
        headers = [(b"content-type", content_type)]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "asgi": {"spec_version": "2.3"}}
        await InTime(app, arrivals=arrivals)(scope, self.receive, self.send)

    @property
    def status(self) -> object:
        return self.answer[0]["status"]

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in self.answer[0]["headers"]


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), timeout=60))


def test_a_body_that_stops_coming_is_refused_and_its_connection_closed() -> None:
    async def test() -> None:
        for app in (count_bytes, take_any_failure_for_a_bad_request):
            caller = Caller(part(b"x", more=True))
            await caller.ask(app, Arrivals(grace_s=0.01))
            assert (caller.status, caller.closes) == (408, True)
            assert b'"body_too_slow"' in caller.answer[1]["body"]
            assert len(caller.answer) == 2

    run(test)


def test_what_has_come_buys_time_for_the_rest() -> None:
    async def test() -> None:
        caller = Caller(part(bytes(2**20), more=True))  # worth 64 s
        asking = asyncio.create_task(caller.ask(count_bytes, Arrivals(grace_s=0)))
        await caller.waited_for.wait()
        caller.sent.put_nowait(part(b"x", more=False))
        await asking
        assert caller.answer[1]["body"] == b'{"bytes":1048577}'

    run(test)


def test_a_fast_beginning_buys_no_hour_of_silence() -> None:
    async def test() -> None:
        caller = Caller(part(bytes(64 * 2**20), more=True))  # at the least speed it would have taken 4096 s
        await caller.ask(count_bytes, Arrivals(grace_s=0, saved_s=0.01))
        assert (caller.status, caller.closes) == (408, True)

    run(test)


def test_more_than_can_be_held_of_bodies_is_refused_until_others_are_answered() -> None:
    async def test() -> None:
        arrivals = Arrivals(held_bytes=10)
        first, second, third = Caller(part(bytes(8), more=True)), Caller(part(bytes(3), more=False)), Caller()
        asking = asyncio.create_task(first.ask(count_bytes, arrivals))
        await first.waited_for.wait()
        await second.ask(count_bytes, arrivals)
        assert (second.status, second.closes) == (429, True)
        assert (b"retry-after", b"2") in second.answer[0]["headers"]
        first.sent.put_nowait(part(b"x", more=False))
        await asking
        assert first.answer[1]["body"] == b'{"bytes":9}'
        third.sent.put_nowait(part(bytes(10), more=False))
        await third.ask(count_bytes, arrivals)
        assert third.answer[1]["body"] == b'{"bytes":10}'

    run(test)


def test_a_form_with_files_is_not_held_here() -> None:
    async def test() -> None:
        caller = Caller(part(bytes(11), more=False))
        await caller.ask(count_bytes, Arrivals(held_bytes=10), content_type=b"Multipart/Form-Data; boundary=x")
        assert caller.answer[1]["body"] == b'{"bytes":11}'

    run(test)


def test_when_the_server_stops_an_unfinished_body_is_told_to_come_back() -> None:
    async def test() -> None:
        arrivals = Arrivals(body_s=0.01)
        caller = Caller(part(b"x", more=True))
        asking = asyncio.create_task(caller.ask(count_bytes, arrivals))
        await caller.waited_for.wait()
        arrivals.stop()
        await asking
        assert (caller.status, caller.closes) == (503, True)
        assert b'"stopping"' in caller.answer[1]["body"]

    run(test)


def test_when_the_server_stops_an_endless_answer_ends() -> None:
    async def test() -> None:
        arrivals = Arrivals(stream_s=0.01)
        caller = Caller(part(b"", more=False))
        asking = asyncio.create_task(caller.ask(stream_for_ever, arrivals))
        await caller.waited_for.wait()
        arrivals.stop()
        await asking
        assert caller.status == 200

    run(test)


def cancelled(caller: Caller, arrivals: Arrivals, *, when_begun: Callable[[], None]) -> Coroutine[Any, Any, None]:
    """Asks for what takes for ever, and gives it up once it has begun."""
    begun = asyncio.Event()

    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        begun.set()
        await asyncio.Event().wait()

    async def test() -> None:
        asking = asyncio.create_task(caller.ask(work, arrivals))
        await begun.wait()
        when_begun()
        asking.cancel()
        await asking

    return test()


def test_work_that_the_stopping_server_gives_up_is_told_to_come_back() -> None:
    async def test() -> None:
        arrivals, caller = Arrivals(), Caller(part(b"x", more=False))
        await cancelled(caller, arrivals, when_begun=arrivals.stop)
        assert (caller.status, caller.closes) == (503, True)
        assert b'"stopping"' in caller.answer[1]["body"]

    run(test)


def test_work_that_is_given_up_while_the_server_runs_is_not_answered() -> None:
    async def test() -> None:
        caller = Caller(part(b"x", more=False))
        with pytest.raises(asyncio.CancelledError):
            await cancelled(caller, Arrivals(), when_begun=lambda: None)
        assert caller.answer == []

    run(test)


def test_an_answer_may_take_longer_than_a_body() -> None:
    async def test() -> None:
        finish = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await Request(scope, receive).body()
            await finish.wait()
            await Response("done")(scope, receive, send)

        arrivals = Arrivals(grace_s=0, body_s=0)
        caller = Caller(part(b"", more=False))
        asking = asyncio.create_task(caller.ask(slow, arrivals))
        await asyncio.sleep(0)
        arrivals.stop()
        finish.set()
        await asking
        assert (caller.status, caller.answer[1]["body"]) == (200, b"done")

    run(test)
