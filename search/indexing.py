"""Brings a source's images into a collection: new, changed, moved, gone; opens no source, store or model itself."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from search.errors import SearchError, SourceError, shown
from search.images.decoder import Decoder
from search.intake import Intake
from search.progress import Progress, Tally
from search.readahead import Prepared, prepared
from search.types import Collection, Condition, Encoder, Failure, Record, Source, SourceFile

_VISIBLE_WITHIN_S = 2.0
_LOOKED_UP_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Report:
    indexed: int = 0
    unchanged: int = 0
    moved: int = 0
    gone: tuple[str, ...] = ()  # uris whose files are no more
    removed: int = 0  # of these, with prune
    failures: tuple[Failure, ...] = ()
    cancelled: bool = False
    seconds: float = 0.0

    def plus(self, other: "Report") -> "Report":
        return Report(
            indexed=self.indexed + other.indexed,
            unchanged=self.unchanged + other.unchanged,
            moved=self.moved + other.moved,
            gone=self.gone + other.gone,
            removed=self.removed + other.removed,
            failures=self.failures + other.failures,
            cancelled=self.cancelled or other.cancelled,
            seconds=self.seconds + other.seconds,
        )


def index(
    collection: Collection,
    encoder: Encoder,
    decoder: Decoder,
    source: Source,
    *,
    progress: Callable[[Progress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
    prune: bool = False,
) -> Report:
    """Images can be found batch by batch while it goes on; an unusable file is listed and stops nothing.

    Raises: SourceError for the source as a whole, DiskFull, ModelError; what was put before stays.
    """
    started_at = time.monotonic()
    tally = Tally(source.name, progress)
    collection.set_source(source.name, source.root)
    files = _listed(source, tally, cancelled)
    known = _known(collection, source, files)
    gone = {} if cancelled() else _gone(source, files, known, tally.failures)
    changed = [file for file in files if not _is_unchanged(file, known.get(file.uri))]
    tally.unchanged = len(files) - len(changed)
    tally.enter("indexing")
    intake = Intake(collection, encoder, tally, known=known, gone=gone)
    while changed and not cancelled():
        ahead = prepared(
            changed,
            read=source.read,
            collection=collection,
            decoder=decoder,
            spec=encoder.preprocess,
            go_on=lambda: not cancelled(),
        )
        with closing(ahead):
            for batch in _batches(ahead, intake, tally):
                intake.put(batch)
                tally.report()
        changed = intake.take_stale()
    stopped = cancelled()
    lost = [] if stopped else [record for records in gone.values() for record in records]
    removed = _removed(collection, source, lost, any_left=bool(files)) if prune and lost else 0
    visited = set() if stopped else {file.uri for file in files}
    collection.set_failures(source.name, _earlier(collection, source, tally, visited, stopped) + tally.failures)
    tally.enter("done")
    return Report(
        indexed=tally.indexed,
        unchanged=tally.unchanged,
        moved=tally.moved,
        gone=tuple(sorted(record.uri for record in lost)),
        removed=removed,
        failures=tuple(tally.failures),
        cancelled=stopped,
        seconds=time.monotonic() - started_at,
    )


def _listed(source: Source, tally: Tally, cancelled: Callable[[], bool]) -> list[SourceFile]:
    files: dict[str, SourceFile] = {}  # an archive may hold the same bytes twice
    for found in source.files():
        if isinstance(found, Failure):
            tally.failures.append(found)
        else:
            files[found.uri] = found
        tally.total = len(files) + len(tally.failures)
        tally.report()
        if cancelled():
            break
    return list(files.values())


def _known(collection: Collection, source: Source, files: Sequence[SourceFile]) -> dict[str, Record]:
    """By uri, the records of the files and, where the source names all of a scope, of all that it once named."""
    if source.scope is not None:
        return {record.uri: record for record in collection.known(source.name)}
    known: dict[str, Record] = {}
    for start in range(0, len(files), _LOOKED_UP_AT_ONCE):
        uris = tuple(file.uri for file in files[start : start + _LOOKED_UP_AT_ONCE])
        found = collection.page(offset=0, count=len(uris), where=(Condition("uri", "in", uris),))
        known |= {record.uri: record for record in found}
    return known


def _gone(
    source: Source, files: Sequence[SourceFile], known: dict[str, Record], failures: Sequence[Failure]
) -> dict[str, list[Record]]:
    """By content hash: what the source no longer names, though it could read where that was."""
    gone: dict[str, list[Record]] = {}
    if source.scope is None:
        return gone
    named = {file.uri for file in files} | {failure.uri for failure in failures}
    unread = tuple(f"{failure.uri}/" for failure in failures)
    for uri, record in known.items():
        if uri.startswith(source.scope) and uri not in named and not uri.startswith(unread):
            gone.setdefault(record.content_hash, []).append(record)
    return gone


def _removed(collection: Collection, source: Source, lost: Sequence[Record], *, any_left: bool) -> int:
    if not any_left:
        raise SourceError(
            f"{shown(source.name)} holds no image any more, where {len(lost):,} were: is its disk there? Nothing was "
            "removed; to remove all, delete the collection."
        )
    return collection.remove([record.id for record in lost])


def _is_unchanged(file: SourceFile, record: Record | None) -> bool:
    return record is not None and (record.size_bytes, record.mtime_ns) == (file.size_bytes, file.mtime_ns)


def _batches(
    ahead: Iterator[tuple[SourceFile, Prepared | SearchError]], intake: Intake, tally: Tally
) -> Iterator[list[Prepared]]:
    """As many as the intake wants, or what there is after two seconds; what failed is noted."""
    batch: list[Prepared] = []
    since = time.monotonic()
    for file, one in ahead:
        if isinstance(one, Prepared):
            batch.append(one)
        else:
            tally.fail(file, one)
            tally.report()
        if batch and (len(batch) >= intake.batch or time.monotonic() - since > _VISIBLE_WITHIN_S):
            yield batch
            batch, since = [], time.monotonic()
    if batch:
        yield batch


def _earlier(collection: Collection, source: Source, tally: Tally, visited: set[str], stopped: bool) -> list[Failure]:
    """Failures of earlier runs, of files that this one did not come to."""
    begin, now = f"{source.name}/", visited | {failure.uri for failure in tally.failures}
    is_whole = source.scope is not None and not stopped
    return [
        failure
        for failure in collection.failures()
        if failure.uri.startswith(begin)
        and failure.uri not in now
        and not (is_whole and failure.uri.startswith(source.scope or ""))
    ]
