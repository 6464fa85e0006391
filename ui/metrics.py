"""What a process counts for its operators, in Prometheus' text form; what it means is in docs/operations.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from search.types import Answer
from search.workspace import Workspace
from ui.workers import Workers

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_STEP_SECONDS = (0.001, 0.0025, *_SECONDS)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_MOST_COLLECTIONS = 50  # that the lag is told of; those that lag most


class Metrics:
    """Thread-safe; a registry of its own, so that two in one process never meet. An Observer of the engines."""

    def __init__(self, workspace: Workspace, *, pools: Mapping[str, Workers], is_ready: Callable[[], bool]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("sightline_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "sightline_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._busy = Counter("sightline_busy", "Requests refused by 429 for want of room.", registry=registry)
        self._steps = Histogram(
            "sightline_step_seconds", "One step of one search.", ["step"], buckets=_STEP_SECONDS, registry=registry
        )
        self._searches = Counter("sightline_searches", "Searches answered.", ["via"], registry=registry)
        self._weak = Counter(
            "sightline_weak_answers", 'Searches answered by "nothing here fits well".', registry=registry
        )
        self._embeddings = Counter(
            "sightline_embeddings", "Embeddings of queries needed.", ["kind", "cache"], registry=registry
        )
        self._encoded = Histogram(
            "sightline_encode_batch_size", "What was encoded in one go.", ["kind"], buckets=_SIZES, registry=registry
        )
        self._lines = Histogram(
            "sightline_batch_lines", "Lines of one application/jsonlines request.", buckets=_SIZES, registry=registry
        )
        registry.register(_State(workspace, pools, is_ready))

    def answered(self, *, route: str, status: int, took_s: float, lines: int | None) -> None:
        self._requests.labels(route, f"{status // 100}xx" if status else "none").inc()
        self._seconds.labels(route).observe(took_s)
        if status == 429:
            self._busy.inc()
        if lines is not None:
            self._lines.observe(lines)

    def searched(self, answer: Answer, texts: Sequence[str]) -> None:
        for step, ms in answer.took_ms.items():
            self._steps.labels(step).observe(ms / 1e3)
        self._searches.labels(answer.via).inc()
        if answer.weak:
            self._weak.inc()

    def encoded(self, kind: Literal["text", "image"], *, new: int, cached: int) -> None:
        if cached:
            self._embeddings.labels(kind, "hit").inc(cached)
        if new:
            self._embeddings.labels(kind, "miss").inc(new)
            self._encoded.labels(kind).observe(new)

    def text(self) -> bytes:
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    @property
    def content_type(self) -> str:
        from prometheus_client import CONTENT_TYPE_LATEST

        return CONTENT_TYPE_LATEST


class _State:
    """What is looked up when it is asked for."""

    def __init__(self, workspace: Workspace, pools: Mapping[str, Workers], is_ready: Callable[[], bool]) -> None:
        self._workspace, self._pools, self._is_ready = workspace, pools, is_ready

    def collect(self) -> "Iterable[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        yield GaugeMetricFamily("sightline_ready", "1 while /ping answers 200.", float(self._is_ready()))
        held = GaugeMetricFamily("sightline_work_held", "Requests worked on or waiting for a thread.", labels=["pool"])
        for name, pool in self._pools.items():
            held.add_metric([name], pool.held)
        yield held
        lag = GaugeMetricFamily(
            "sightline_index_lag", "Changes of a collection that Chroma does not hold yet.", labels=["collection"]
        )
        for name, behind in self._lags()[:_MOST_COLLECTIONS]:
            lag.add_metric([name], behind)
        yield lag
        yield CounterMetricFamily(
            "sightline_decoder_restarts", "Decoder processes ended by an image.", self._workspace.decoder.restarts
        )

    def _lags(self) -> list[tuple[str, int]]:
        """Of the collections that Chroma holds, largest first."""
        lags = []
        for collection in self._workspace.in_use():
            health = collection.health()
            if health["index"] != "off":
                lags.append((collection.info.name, int(health["sequence"]) - int(health["watermark"])))
        return sorted(lags, key=lambda pair: -pair[1])
