"""How many requests a caller may make a minute; who the caller is and what counts, guard.py says."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from search.errors import Busy

MOST_CALLERS = 10_000  # that are remembered; the one that was silent for longest is forgotten


class TooMany(Busy):
    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Rate:
    """A bucket for each caller: it holds `burst` requests and fills at `per_minute`."""

    def __init__(
        self,
        per_minute: int,
        *,
        burst: int | None = None,
        most_callers: int = MOST_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.per_minute = per_minute
        self._burst = float(burst or per_minute)
        self._most_callers = most_callers
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by caller: how many, and at what time

    def take(self, caller: str) -> float:
        """0 where one more is within the rate, else the seconds until it will be."""
        now = self._clock()
        left, at = self._left.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self.per_minute / 60)
        wait_s = 0.0 if left >= 1 else (1 - left) * 60 / self.per_minute
        self._left[caller] = (left if wait_s else left - 1, now)
        while len(self._left) > self._most_callers:
            self._left.popitem(last=False)
        return wait_s

    def give_back(self, caller: str) -> None:
        if caller in self._left:
            left, at = self._left[caller]
            self._left[caller] = (min(self._burst, left + 1), at)


def network_of(address: str | None) -> str:
    """Who an address stands for: one of IPv6 for its whole /64, which is what one household has."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "nobody"
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
