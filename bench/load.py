"""`python -m bench load`: one process under 1 to 32 clients and under four times overload, as Markdown tables."""

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.clients import Outcome, ask, image_bodies, ping_while, text_bodies
from bench.figure import commit, machine
from bench.latency import percentile
from bench.scale import fill
from bench.server import Server, running

CLIENTS = (1, 2, 4, 8, 16, 32)
PATHS = {"serve": "/invocations", "ui": "/api/search"}
OVERLOAD = 4  # times the throughput at OVERLOADED_FROM clients
OVERLOADED_FROM = 16
OVERLOAD_CLIENTS = 256
MOST_REQUESTS = 20_000  # of one step
INDEX_LIMIT_S = 3_600  # a million took 29 minutes


@dataclass(frozen=True, slots=True)
class Step:
    duty: str
    vectors: str
    query: str
    clients: int
    outcome: Outcome
    memory_mb: float

    def row(self) -> str:
        times, went = self.outcome.times_ms, self.outcome
        p50, p95 = (percentile(times, percent) if times else float("nan") for percent in (50, 95))
        return (
            f"| `{self.duty}` | {self.vectors} | {went.via} | {self.query} | {self.clients} | {went.per_s:.1f} | "
            f"{p50:.1f} | {p95:.1f} | {went.errors} | {self.memory_mb:.0f} |"
        )


STEP_HEAD = (
    "| duty | vectors | via | query | clients | answers a second | p50 ms | p95 ms | errors | memory MB |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)
OVERLOAD_HEAD = (
    "| duty | vectors | start to ready, s | asked a second | answered a second | 429 | other errors | /ping p50 ms | "
    "/ping p99 ms | /ping not 200 |\n|---|---|---|---|---|---|---|---|---|---|"
)


def measure_load(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench load", description=__doc__)
    parser.add_argument("--vectors", nargs="+", type=int, default=[0], help="of the collection; 0: the gallery")
    parser.add_argument("--duties", nargs="+", choices=PATHS, default=list(PATHS))
    parser.add_argument("--queries", nargs="+", choices=("text", "image"), default=["text", "image"])
    parser.add_argument("--clients", nargs="+", type=int, default=list(CLIENTS))
    parser.add_argument("--seconds", type=float, default=4.0, help="of each step")
    wish = parser.parse_args(arguments)
    steps, overloads = [STEP_HEAD], [OVERLOAD_HEAD]
    with tempfile.TemporaryDirectory() as folder:
        for vectors in wish.vectors:
            for duty in wish.duties:
                data_dir = Path(folder) / f"{duty}-{vectors}"
                if vectors:
                    fill(data_dir, vectors)
                done, overload = _measure(duty, vectors, data_dir, wish)
                steps += done
                overloads.append(overload)
    print(f"\n{datetime.now(UTC).date()}, commit {commit()}; {machine()}, clients on the same machine\n")
    print("\n".join(steps), end="\n\n")
    print("\n".join(overloads))


def _measure(duty: str, vectors: int, data_dir: Path, wish: argparse.Namespace) -> tuple[list[str], str]:
    collection, shown = ("many", f"{vectors:,}") if vectors else ("gallery", "gallery")
    path, steps, peak = f"{PATHS[duty]}?collection={collection}", [], 0.0
    texts, images = text_bodies(collection), image_bodies()
    with running(duty, data_dir, collection=collection) as server:
        ask(server.url, path, texts, clients=2, seconds=1.0, most=50)  # the first search loads what it needs
        if duty == "ui" and vectors:
            _wait_for_index(server, collection)
        for query in wish.queries:
            for clients in wish.clients:
                bodies = texts if query == "text" else images
                went = ask(server.url, path, bodies, clients=clients, seconds=wish.seconds, most=MOST_REQUESTS)
                step = Step(duty, shown, query, clients, went, server.memory_mb())
                steps.append(step.row())
                print(step.row(), flush=True)
        base = ask(server.url, path, texts, clients=OVERLOADED_FROM, seconds=wish.seconds, most=MOST_REQUESTS)
        peak = OVERLOAD * base.per_s
        with ExitStack() as probing:
            pings = probing.enter_context(ping_while(server.url))
            went = ask(
                server.url,
                path,
                texts,
                clients=OVERLOAD_CLIENTS,
                seconds=2 * wish.seconds,
                most=int(peak * 2 * wish.seconds) + 1,
                per_s=peak,
            )
        overload = (
            f"| `{duty}` | {shown} | {server.start_s:.1f} | {peak:.0f} | {went.per_s:.1f} | {went.busy} | "
            f"{went.errors - went.busy} | {percentile(pings.times_ms, 50):.1f} | "
            f"{percentile(pings.times_ms, 99):.1f} | {pings.failed} of {len(pings.times_ms)} |"
        )
        print(overload, flush=True)
    return steps, overload


def _wait_for_index(server: Server, collection: str) -> None:
    """Until Chroma holds everything; while it does not, the exact scan answers and the index takes a core."""
    import re
    import urllib.request

    until = time.monotonic() + INDEX_LIMIT_S
    lag = re.compile(rf'^sightline_index_lag\{{collection="{collection}"\}} 0\.0$', re.MULTILINE)
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as answer:
            if lag.search(answer.read().decode()):
                return
        time.sleep(1)
    print(
        f"Chroma did not hold everything within {INDEX_LIMIT_S} s: what follows is measured beside its work", flush=True
    )
