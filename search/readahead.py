"""Reads, hashes and decodes files ahead of the encoder, in order and within limits; embeds and keeps nothing."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

from search.errors import BadImage, SourceError, shown
from search.images.decoder import INDEXING_DEADLINE_S, Decoded, Decoder
from search.types import Collection, Preprocess, SourceFile

_AHEAD_FILES, _AHEAD_BYTES = 64, 256 * 2**20
_READERS = 2  # beside one thread for each decoder process, so that a slow disk keeps none of these waiting


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that was read, and decoded unless an image of the same bytes is in the collection."""

    file: SourceFile  # size and time as they were when it was read
    content_hash: str
    decoded: Decoded | None


def prepared(
    files: Sequence[SourceFile],
    *,
    collection: Collection,
    decoder: Decoder,
    spec: Preprocess,
    go_on: Callable[[], bool],
) -> Generator[tuple[SourceFile, Prepared | BadImage | SourceError], None, None]:
    """In the order given, until `go_on` says no."""
    window: deque[tuple[SourceFile, Future[Prepared]]] = deque()
    ahead_bytes = 0
    rest = iter(files)
    with ExitStack() as stack:
        threads = ThreadPoolExecutor(decoder.workers + _READERS, thread_name_prefix="index")
        stack.callback(threads.shutdown, cancel_futures=True)
        while go_on():
            while len(window) < _AHEAD_FILES and ahead_bytes < _AHEAD_BYTES and (file := next(rest, None)) is not None:
                window.append((file, threads.submit(_prepare, file, collection, decoder, spec)))
                ahead_bytes += file.size_bytes
            if not window:
                return
            file, future = window.popleft()
            ahead_bytes -= file.size_bytes
            try:
                yield file, future.result()
            except (BadImage, SourceError) as error:
                yield file, error


def _prepare(file: SourceFile, collection: Collection, decoder: Decoder, spec: Preprocess) -> Prepared:
    name = shown(file.name or file.uri)
    decoder.check_size(file.size_bytes, name=name)
    file, data = _read(file, name=name, most_bytes=decoder.max_bytes)
    content_hash = hashlib.sha256(data).hexdigest()
    if collection.by_hash([content_hash]):
        return Prepared(file, content_hash, None)
    decoded = decoder.decode(data, preprocess=spec, name=name, deadline_s=INDEXING_DEADLINE_S, background=True)
    return Prepared(file, content_hash, decoded)


def _read(file: SourceFile, *, name: str, most_bytes: int) -> tuple[SourceFile, bytes]:
    """The file as it is now, and up to one byte more than may be: it may have changed since it was listed."""
    try:
        with open(file.path, "rb", opener=_open_regular) as opened:
            status = os.fstat(opened.fileno())
            data = opened.read(most_bytes + 1)
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror}.") from error
    return replace(file, size_bytes=len(data), mtime_ns=status.st_mtime_ns), data


def _open_regular(path: str, flags: int) -> int:
    """What was a file when it was listed may be a link out of its folder by now, or a pipe that never answers."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
