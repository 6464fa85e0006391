"""Listening and stopping: the port, uvicorn's settings, signals; what is served is made elsewhere."""

import asyncio
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from starlette.types import ASGIApp

from search.errors import SearchError
from ui.connections import abort_stalled, limited_to, room_for_connections

KEEP_ALIVE_S = 75  # above a load balancer's idle time of 60 s, so that it never writes into a closed connection
DRAIN_WITHIN_S = 4  # of STOP_WITHIN_S: for a load balancer to see that it must send no more
STOP_WITHIN_S = 14  # with all that is closed after it, below the 20 s that we promise
_LOOK_S = 0.05


class PortTaken(SearchError):
    code = "port_taken"


def open_port(host: str, port: int) -> socket.socket:
    """Raises: PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
        listener.close()
        why = getattr(error, "strerror", "no such name")
        raise PortTaken(f"Can't listen on {host}, port {port} ({why}): {_remedy(error)}.") from error
    listener.listen(2048)
    return listener


def _remedy(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "stop what does, or set PORT to another one"
    if isinstance(error, PermissionError):
        return "set PORT to one above 1023"
    return "set SIGHTLINE_HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0"


def address_of(listener: socket.socket) -> str:
    """For a browser or a command on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class IdleConnections:
    """Ends connections on which no whole request comes: uvicorn's own time-out ends with the first byte."""

    def __init__(self, *, most_s: float = KEEP_ALIVE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_s = most_s
        self._clock = clock
        self._since: dict[Any, float] = {}  # for a connection and the last request on it

    def close_old(self, connections: Iterable[Any]) -> None:
        now = self._clock()
        idle = [(one, one.cycle) for one in connections if one.cycle is None or one.cycle.response_complete]
        self._since = {each: self._since.get(each, now) for each in idle}
        for (connection, _), since in self._since.items():
            if now - since >= self._most_s:
                connection.transport.close()


def serve_until_stopped(
    app: ASGIApp,
    listener: socket.socket,
    *,
    when_serving: Callable[[], None] = lambda: None,
    when_stopping: Callable[[], None] = lambda: None,
) -> None:
    """Returns after SIGTERM or SIGINT, when requests that are being answered have been."""
    import uvicorn

    idle = IdleConnections()

    class Server(uvicorn.Server):
        async def on_tick(self, counter: int) -> bool:
            if counter % 10 == 0:  # once a second
                idle.close_old(self.server_state.connections)
                abort_stalled(self.server_state.connections, asyncio.get_running_loop().time())
            return await super().on_tick(counter)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            when_serving()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            when_stopping()
            await self.drain()
            await super().shutdown(sockets)

        async def drain(self) -> None:
            """While something is being answered, others are let in, so that they hear that it is stopping."""
            loop = asyncio.get_running_loop()
            until = loop.time() + DRAIN_WITHIN_S
            while loop.time() < until and not self.force_exit and _is_answering(self.server_state.connections):
                await asyncio.sleep(_LOOK_S)

    config = uvicorn.Config(
        app,
        http=limited_to(room_for_connections()),
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_WITHIN_S - DRAIN_WITHIN_S,
        log_config=None,
        access_log=False,  # ui/telemetry logs each request
        server_header=False,
        proxy_headers=False,  # who calls is who is connected: a header must not make a stranger local
    )
    # uvicorn raises the signal again when it is done; without this the process would die of it instead of exiting 0.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        Server(config).run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_answering(connections: Iterable[Any]) -> bool:
    return any(one.cycle is not None and not one.cycle.response_complete for one in connections)


def leave() -> NoReturn:
    """Ends the process when all is closed: a thread that still loads a model would hold it up, or abort it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
