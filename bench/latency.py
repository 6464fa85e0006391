"""Times of single requests over one kept connection, and their percentiles."""

import http.client
import json
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import numpy as np

NOUNS = ("boat", "cat", "guitar", "pizza", "rocket", "tree", "clock", "dog", "cup", "train", "key", "owl")
PLACES = ("at the beach", "in the snow", "at night", "in the forest", "in the city", "on stripes")


def texts(count: int) -> list[str]:
    """Different ones of five to eight words, so that no answer comes from a cache."""
    return [f"{n} {NOUNS[n % len(NOUNS)]}s {PLACES[n // len(NOUNS) % len(PLACES)]} round {n}" for n in range(count)]


class Client:
    """One kept connection; the body is JSON or an image."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def post(self, path: str, body: object) -> bytes:
        is_image = isinstance(body, bytes)
        self._connection.request(
            "POST",
            path,
            body if isinstance(body, bytes) else json.dumps(body),
            {"content-type": "image/jpeg" if is_image else "application/json"},
        )
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {data[:300]!r}")
        return data


def times_ms(calls: Sequence[Callable[[], object]], *, warm_up: int = 10) -> list[float]:
    """How long each call took, without the first `warm_up`."""
    taken = []
    for call in calls:
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1e3)
    return taken[warm_up:]


def percentile(times: Sequence[float], percent: float) -> float:
    return float(np.percentile(times, percent))
