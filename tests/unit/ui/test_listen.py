import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field

from ui.listen import IdleConnections, open_port


@dataclass
class Transport:
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass(eq=False)
class Cycle:
    response_complete: bool = False


@dataclass(eq=False)
class Connection:
    cycle: Cycle | None = None
    transport: Transport = field(default_factory=Transport)


def test_a_connection_is_ended_when_for_long_no_request_is_under_way() -> None:
    now = 0.0
    idle = IdleConnections(most_s=10, clock=lambda: now)
    silent, asking, answered, busy = Connection(), Connection(), Connection(Cycle(True)), Connection(Cycle(True))
    everybody = (silent, asking, answered, busy)
    idle.close_old(everybody)
    asking.cycle = Cycle()
    now = 9
    busy.cycle = Cycle(True)  # has asked again and been answered
    idle.close_old(everybody)
    assert not any(one.transport.closed for one in everybody)
    now = 10
    idle.close_old(everybody)
    assert [one.transport.closed for one in everybody] == [True, False, True, False]
    now = 19
    idle.close_old(everybody)
    assert [one.transport.closed for one in everybody] == [True, False, True, True]


def test_leaving_waits_for_no_work_that_was_given_up() -> None:
    program = (
        "import time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from ui.listen import leave\n"
        "ThreadPoolExecutor(1).submit(time.sleep, 3600)\n"
        "print('told', end='')\n"
        "leave()\n"
    )
    left = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (left.returncode, left.stdout, left.stderr) == (0, "told", "")


def test_callers_are_connected_though_nothing_is_served_yet() -> None:
    """SageMaker gives a container 250 ms to take a connection, however busy it is: the system does it."""
    with open_port("127.0.0.1", 0) as listener, ExitStack() as connected:
        for _ in range(100):
            connected.enter_context(socket.create_connection(listener.getsockname(), timeout=60))
