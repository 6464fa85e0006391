"""A request of many JSON lines, one answer line for each, in order: a line that can't be answered is an error there."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from search.errors import BadQuery, SearchError, TimedOut
from search.workspace import Workspace
from ui.api_query import LINES_TYPE, EmbedWish, Reply, SearchWish, reply_to
from ui.bodies import parse_json
from ui.picture_urls import ThumbUrl
from ui.telemetry import Work

BATCH_BYTES = 6_291_456  # what a real-time endpoint takes. Source: docs/decisions/0009-batches-and-overload.md
ERROR_BYTES = 512  # of an error's line, at most
_TEXTS_FROM = 32  # lines whose texts are encoded in one go
_EMBEDDING_IS = 10  # hits, by the length of what is answered

Wish = SearchWish | EmbedWish
Read = Callable[[Mapping[str, object]], Wish]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    lines: int = 1_000
    hits: int = 20_000  # of all lines; they are held until the last one is there
    within_s: float = 25.0  # below the deadline of the request, so that what is done by then is answered
    answer_bytes: int | None = None  # of all lines


def answer_lines(
    workspace: Workspace,
    data: bytes,
    *,
    read: Read,
    thumb_url: ThumbUrl,
    limits: BatchLimits,
    request_id: str,
    clock: Callable[[], float] = time.monotonic,
) -> Reply:
    """`read` says what a line asks for. Raises: BadQuery for more lines than are read."""
    until = clock() + limits.within_s
    lines = _lines(data, most=limits.lines)
    done: list[Reply | SearchError] = []
    left = limits.hits
    for start in range(0, len(lines), _TEXTS_FROM):
        wishes = [_wish(line, read) for line in lines[start : start + _TEXTS_FROM]]
        _encode_together(workspace, [wish for wish in wishes if not isinstance(wish, SearchError)])
        for wish in wishes:
            left -= _cost(wish)
            if left < 0:
                wish = BadQuery(
                    f"The lines ask for more than {limits.hits:,} hits together (an embedding counts as "
                    f"{_EMBEDDING_IS}): send fewer lines in one request, or ask for a smaller top_k."
                )
            elif clock() > until:
                wish = TimedOut(f"The lines before took {limits.within_s:g} s: send fewer lines in one request.")
            done.append(_answer(workspace, wish, thumb_url))
    return _joined(_fitting(done, limits.answer_bytes), request_id)


def _lines(data: bytes, *, most: int) -> list[bytes]:
    """The newline at the end of the last line starts no further one."""
    count = data.count(b"\n") + (not data.endswith(b"\n"))
    if count > most:
        raise BadQuery(f"The request has {count:,} lines; at most {most:,} are read: send the rest in another one.")
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _wish(line: bytes, read: Read) -> Wish | SearchError:
    try:
        return read(parse_json(line))
    except SearchError as error:
        return error


def _encode_together(workspace: Workspace, wishes: Sequence[Wish]) -> None:
    """Leaves the texts' embeddings in the cache. A failure is left to the lines, each of which then tries alone."""
    texts: dict[str | None, list[str]] = defaultdict(list)
    for wish in wishes:
        texts[wish.collection] += wish.texts
    for collection, some in texts.items():
        if len(some) > 1:
            with suppress(SearchError):
                workspace.embedder(collection).embed_texts(some)


def _cost(wish: Wish | SearchError) -> int:
    match wish:
        case SearchWish():
            return wish.query.top_k
        case EmbedWish():
            return _EMBEDDING_IS * (len(wish.texts) + len(wish.images))
        case _:
            return 0


def _answer(workspace: Workspace, wish: Wish | SearchError, thumb_url: ThumbUrl) -> Reply | SearchError:
    if isinstance(wish, SearchError):
        return wish
    try:
        return reply_to(workspace, wish, thumb_url=thumb_url)
    except SearchError as error:
        return error


def _fitting(done: Sequence[Reply | SearchError], most_bytes: int | None) -> Sequence[Reply | SearchError]:
    """What would make the whole too large becomes an error, for which each line has room."""
    if most_bytes is None:
        return done
    left_bytes = most_bytes - len(done) * ERROR_BYTES
    fitting: list[Reply | SearchError] = []
    for each in done:
        if isinstance(each, Reply):
            more_bytes = max(0, len(each.body) + 1 - ERROR_BYTES)
            if more_bytes > left_bytes:
                each = BadQuery(
                    f"All answers together would have more than {most_bytes:,} bytes, which is what the platform "
                    "passes on: send fewer lines in one request, or ask for a smaller top_k."
                )
            else:
                left_bytes -= more_bytes
        fitting.append(each)
    return fitting


def _joined(done: Sequence[Reply | SearchError], request_id: str) -> Reply:
    works = [each.work for each in done if isinstance(each, Reply)]
    steps_ms: dict[str, float] = defaultdict(float)
    for work in works:
        for step, ms in work.steps_ms.items():
            steps_ms[step] += ms
    collections, models = {work.collection for work in works}, {work.model for work in works}
    work = Work(
        steps_ms=steps_ms,
        collection=collections.pop() if len(collections) == 1 else "",
        model=models.pop() if len(models) == 1 else "",
        texts=tuple(text for work in works for text in work.texts),
        lines=len(done),
        bad_lines=len(done) - len(works),
    )
    return Reply(b"".join(_line(each, request_id) for each in done), LINES_TYPE, work)


def _line(done: Reply | SearchError, request_id: str) -> bytes:
    if isinstance(done, Reply):
        return done.body + b"\n"
    error = {"code": done.code, "message": str(done), "request_id": request_id}
    return json.dumps({"error": error}, ensure_ascii=False).encode() + b"\n"
