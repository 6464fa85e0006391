"""How fast something goes, lately: the rate of a growing count over the last seconds."""

import time
from collections import deque


class Pace:
    def __init__(self, *, over_s: float) -> None:
        self._over_s = over_s
        self._lately: deque[tuple[float, int]] = deque()

    def rate(self, done: int) -> float:
        """Per second, never negative; 0 at the first call."""
        now = time.monotonic()
        self._lately.append((now, done))
        while len(self._lately) > 2 and now - self._lately[0][0] > self._over_s:
            self._lately.popleft()
        since, done_then = self._lately[0]
        return max(0.0, (done - done_then) / (now - since)) if now > since else 0.0
