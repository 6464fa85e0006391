"""Has files read, hashes and decodes them ahead of the encoder, in order and within limits; embeds nothing."""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from search.errors import BadImage, SourceError, shown
from search.images.decoder import INDEXING_DEADLINE_S, Decoded, Decoder
from search.types import Collection, Preprocess, SourceFile

_AHEAD_FILES, _AHEAD_BYTES = 64, 256 * 2**20
_READERS = 2  # beside one thread for each decoder process, so that a slow disk keeps none of these waiting


class Read(Protocol):
    """A source's."""

    def __call__(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file that was read, and decoded unless an image of the same bytes is in the collection."""

    file: SourceFile  # size and time as they were when it was read
    content_hash: str
    decoded: Decoded | None


def prepared(
    files: Sequence[SourceFile],
    *,
    read: Read,
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
                window.append((file, threads.submit(_prepare, file, read, collection, decoder, spec)))
                ahead_bytes += file.size_bytes
            if not window:
                return
            file, future = window.popleft()
            ahead_bytes -= file.size_bytes
            try:
                yield file, future.result()
            except (BadImage, SourceError) as error:
                yield file, error


def _prepare(file: SourceFile, read: Read, collection: Collection, decoder: Decoder, spec: Preprocess) -> Prepared:
    name = shown(file.name or file.uri)
    decoder.check_size(file.size_bytes, name=name)
    file, data = read(file, most_bytes=decoder.max_bytes)
    content_hash = hashlib.sha256(data).hexdigest()
    if collection.by_hash([content_hash]):
        return Prepared(file, content_hash, None)
    decoded = decoder.decode(data, preprocess=spec, name=name, deadline_s=INDEXING_DEADLINE_S, background=True)
    return Prepared(file, content_hash, decoded)
