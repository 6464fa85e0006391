"""Golden queries: what a release answered where it was known to be good, kept to compare with; made by asking it."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy import asking
from deploy.asking import Asker
from deploy.errors import BadConfig
from deploy.sections import GOLDEN, Deploy

QUERIES = ("a red boat", "two animals in the snow", "food on a table", "a house at night", "a guitar on the beach")
KEPT_HITS = 10
WITHIN_MS = 5_000


@dataclass(frozen=True, slots=True)
class GoldenQuery:
    name: str
    query: str | list[dict[str, str]]  # as the HTTP contract has it
    ids: tuple[str, ...]  # best first
    scores: tuple[float, ...]
    within_ms: float


@dataclass(frozen=True, slots=True)
class Golden:
    fingerprint: str
    dim: int
    collection: str
    queries: tuple[GoldenQuery, ...]


def read(path: Path) -> Golden | None:
    """None where there is no such file. Raises: BadConfig."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        queries = [
            GoldenQuery(
                str(entry["name"]),
                entry["query"],
                tuple(map(str, entry["ids"])),
                tuple(map(float, entry["scores"])),
                float(entry["within_ms"]),
            )
            for entry in told["queries"]
        ]
        if not queries or any(len(query.ids) != len(query.scores) for query in queries):
            raise ValueError("no queries, or ids without scores")
        return Golden(str(told["fingerprint"]), int(told["dim"]), str(told["collection"]), tuple(queries))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadConfig(f"{path} holds no golden queries: make it again with `python -m deploy golden`.") from error


def before(deploy: Deploy) -> None:
    """Found before anything is deployed: a file that is damaged, or named and not there. Raises: BadConfig."""
    if read(Path(deploy.golden)) is None and deploy.golden != GOLDEN:
        raise BadConfig(
            f"[deploy] golden = {deploy.golden!r}: expected the file that `golden` wrote, and there is none here."
            " Without that line, the smoke test only sees that it answers."
        )


def command(
    address: str,
    out: Path,
    say: Callable[[str], None],
    *,
    token: str = "",
    queries: Sequence[str] = (),
    images: Sequence[Path] = (),
    within_ms: float = WITHIN_MS,
) -> None:
    """Asks what runs at `address` and writes the file. Raises: SmokeFailed, BadConfig."""
    ask = asking.over_http(address, token=token)
    asked: list[tuple[str, str | list[dict[str, str]]]] = [(text, text) for text in queries or QUERIES]
    for path in images:
        try:
            asked.append((f"the picture {path.name}", picture(path.read_bytes())))
        except OSError as error:
            raise BadConfig(f"{path} can't be read: {error.strerror}.") from error
    first = ask({"query": asked[0][0], "top_k": 1}).body
    thumb = next((hit["thumb"] for hit in first["hits"] if hit["thumb"]), None)
    if thumb and not images:
        asked.append(("a thumbnail", picture(asking.thumbnail(address, thumb, token=token))))
    golden = make(ask, asked, within_ms=within_ms)
    try:
        out.write_text(json.dumps(asdict(golden), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadConfig(f"{out} can't be written: {error.strerror}.") from error
    say(f"{out}: {len(golden.queries)} queries of {golden.collection}, model {golden.fingerprint[:12]}.")
    if not any(isinstance(query.query, list) for query in golden.queries):
        say("None of them is a picture: `serve` gives no thumbnails; add --image FILE.")


def make(ask: Asker, asked: Sequence[tuple[str, str | list[dict[str, str]]]], *, within_ms: float) -> Golden:
    """Raises: SmokeFailed."""
    made = []
    for name, query in asked:
        body = ask({"query": query, "top_k": KEPT_HITS}).body
        hits = body["hits"]
        ids, scores = tuple(hit["id"] for hit in hits), tuple(hit["score"] for hit in hits)
        made.append(GoldenQuery(name, query, ids, scores, within_ms))
    embedded = ask({"embed": {"texts": ["a picture"]}}).body
    return Golden(
        embedded["fingerprint"], len(embedded["embeddings"]["texts"][0]), str(body["collection"]), tuple(made)
    )


def picture(data: bytes) -> list[dict[str, str]]:
    return [{"image": base64.b64encode(data).decode()}]
