"""A log group in the terminal: the last minutes, and on request what comes after."""

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import code_of, each
from deploy.errors import Refused

POLL_S = 3.0
OVERLAP_MS = 10_000  # CloudWatch may show an event some seconds after a later one


def show(
    group: str,
    aws: Callable[[str], Any],
    say: Callable[[str], None],
    *,
    since_s: float,
    follow: bool,
    wait: Callable[[float], None],
    now: Callable[[], float] = time.time,
) -> None:
    """Ends at once, or with Ctrl-C where it follows. Raises: Refused."""
    start_ms, told = max(0, int((now() - since_s) * 1000)), dict[str, int]()
    while True:
        try:
            for event in each(aws("logs").filter_log_events, "events", logGroupName=group, startTime=start_ms):
                if event["eventId"] not in told:
                    told[event["eventId"]] = event["timestamp"]
                    say(f"{_at(event['timestamp'])} {event['message'].rstrip()}")
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                raise Refused(f"There is no log group {group}: run `up` first.") from None
            raise
        if not follow:
            return
        start_ms = max([start_ms, *(at - OVERLAP_MS for at in told.values())])
        told = {event_id: at for event_id, at in told.items() if at >= start_ms}
        wait(POLL_S)


def _at(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))
