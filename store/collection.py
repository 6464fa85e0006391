"""One collection: its catalog, its rows in memory, its files and its index joined; which path answers a search."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from search.errors import ItemNotFound, SourceError
from search.types import (
    FILTER_COLUMNS,
    CollectionInfo,
    Embedding,
    Embeddings,
    Failure,
    Found,
    Item,
    Record,
    Scalar,
    Where,
)
from store import files, manifest, s3, vectors
from store import rows as rows_of
from store.bucket_source import open_object
from store.catalog import Catalog, Change
from store.filters import Sql, where_sql
from store.rows import Positions, Rows

if TYPE_CHECKING:
    from store.index import Index, View
    from store.indexer import Indexer

CATALOG = "catalog.sqlite"
FILTERS_KEPT = 8  # what they found, until the collection changes: SQL takes 100 ms for 100,000 rows
MOST_ASKED = 5000  # of Chroma in one query; where that leaves too few, exact scan is the faster way


class StoredCollection:
    """Rows are loaded by the first search; every commit makes a new moment of them, which readers share."""

    def __init__(
        self,
        folder: Path,
        info: CollectionInfo,
        catalog: Catalog,
        *,
        uploads: Path | None = None,
        exact_up_to: int = 10_000,
        is_portable: bool = False,
        bucket: Callable[[], s3.S3] = s3.connect,
    ) -> None:
        """A portable folder came from elsewhere: it may name no file outside itself."""
        self._is_portable = is_portable
        self._folder, self._info, self._catalog, self._uploads = folder, info, catalog, uploads
        self._exact_up_to, self._bucket = exact_up_to, cache(bucket)
        self._index: Index | None = None
        self._rows: Rows | None = None
        self._damaged = 0
        self._via: Literal["exact", "chroma"] = "exact"
        self._matches: tuple[Rows | None, dict[Sql, Positions]] = (None, {})
        self._sample: tuple[Rows, int, Embeddings] | None = None
        self._fields: tuple[int, dict[str, list[Scalar]]] | None = None
        self._seen_fields = set(FILTER_COLUMNS)  # and what filters named that was in some record's metadata

    @property
    def info(self) -> CollectionInfo:
        return self._info

    def __len__(self) -> int:
        return self._catalog.count

    def search(self, vector: Embedding, *, top_k: int, where: Where = (), exact: bool = False) -> Found:
        """The rules are in docs/architecture.md, "How catalog and Chroma agree"."""
        view = self._index.view() if self._index and not exact else None  # before the rows: it claims no newer ones
        rows, at = self._moment(where)
        among = rows.live_count if at is None else len(at)
        top_k = min(top_k, among)
        if top_k < 1:
            return Found([], [], "exact")
        near: Positions | None = None
        if view and among > self._exact_up_to and 2 * among >= rows.live_count:
            near = self._near_by_chroma(view, rows, at, vector=vector, top_k=top_k)
        via: Literal["exact", "chroma"] = "exact" if near is None else "chroma"
        if not exact:  # health says how searches are answered, not how their answers are judged
            self._via = via
        if near is None:
            near = rows_of.nearest(rows, vector, at=at, top_k=top_k)
        ids, scores = rows_of.ranked(rows, vector, at=near, top_k=top_k)
        return Found(ids, scores, via)

    def _near_by_chroma(
        self, view: "View", rows: Rows, at: Positions | None, *, vector: Embedding, top_k: int
    ) -> Positions | None:
        """Chroma's nearest that still count, and the nearest of the rows that it may not hold; None: scan them all."""
        allowed = rows.live if at is None else rows_of.mask(rows, at)
        split = int(np.searchsorted(rows.seqs, view.watermark, side="right"))
        late = split + np.flatnonzero(allowed[split:])
        held = int(allowed[:split].sum())
        if held <= len(late):
            return None
        wanted = min(top_k, held)
        asked = int(wanted * split / held) + 1  # as many more as were dropped on average
        while asked <= MOST_ASKED:
            seqs = view.nearest(vector, asked)
            if seqs is None:
                return None
            near = rows.positions(seqs)
            near = near[(near < split) & allowed[near]]
            if len(near) >= wanted:
                return np.concatenate([near, rows_of.nearest(rows, vector, at=late, top_k=top_k)])
            asked *= 3
        return None

    def _moment(self, where: Where) -> tuple[Rows, Positions | None]:
        """The rows, and where those that fulfil the filter are: both of the same moment."""
        rows = self._loaded()
        if not where:
            return rows, None
        wanted = where_sql(where)
        kept, matches = self._matches
        if kept is rows and wanted in matches:
            return rows, matches[wanted]
        with ExitStack() as reading:
            with self._catalog.moment:
                select = reading.enter_context(self._catalog.pinned())
                rows = self._loaded()
            at = rows.positions(select(wanted))
        kept, matches = self._matches
        others = list(matches.items())[1 - FILTERS_KEPT :] if kept is rows else []
        self._matches = (rows, dict([*others, (wanted, at)]))
        return rows, at

    def _loaded(self) -> Rows:
        if self._rows is not None:
            return self._rows
        with self._catalog.standing_still():
            if self._rows is None:
                loaded = self._catalog.load()
                self._damaged = loaded.damaged
                self._rows = rows_of.loaded(loaded.embeddings, seqs=loaded.seqs, ids=loaded.ids)
            return self._rows

    def records(self, ids: Sequence[str]) -> dict[str, Record]:
        return self._catalog.records(ids)

    def embeddings(self, ids: Sequence[str]) -> dict[str, Embedding]:
        return self._catalog.embeddings(ids)

    def background(self, most: int = 2000) -> Embeddings:
        rows, kept = self._loaded(), self._sample
        if kept is None or kept[0] is not rows or kept[1] != most:
            self._sample = kept = (rows, most, rows.sample(most))
        return kept[2]

    def has_field(self, name: str) -> bool:
        if name not in self._seen_fields and self._catalog.has_field(name):
            self._seen_fields.add(name)
        return name in self._seen_fields

    def fields(self) -> dict[str, list[Scalar]]:
        sequence, kept = self._catalog.sequence, self._fields
        if kept is None or kept[0] != sequence:
            self._fields = kept = (sequence, self._catalog.fields())
        return kept[1]

    def page(self, *, offset: int, count: int, where: Where = ()) -> list[Record]:
        return self._catalog.page(offset=offset, count=count, where=where)

    def matching(self, where: Where) -> int:
        return self._catalog.matching(where) if where else len(self)

    def known(self, source: str) -> Iterator[Record]:
        return self._catalog.known(source)

    def by_hash(self, hashes: Sequence[str]) -> dict[str, tuple[Record, Embedding]]:
        return self._catalog.by_hash(hashes)

    def thumbnail(self, id: str) -> bytes | None:
        record = self.records([id]).get(id)
        return files.read_thumbnail(self._folder, record.content_hash) if record else None

    def original(self, id: str) -> BinaryIO:
        record = self.records([id]).get(id)
        if record is None:
            raise ItemNotFound(f"This collection has no image {id!r}.")
        sources = [name for name in self._catalog.sources() if record.uri.startswith(f"{name}/")]
        if not sources:
            raise SourceError(f"It is not known where {record.uri!r} is kept; index its folder again.")
        source = max(sources, key=len)
        if s3.is_address(source):
            return open_object(self._bucket(), record.uri, size_bytes=record.size_bytes)
        root = self.sources()[source] or self._uploads
        if root is None:
            raise SourceError(f"This collection came without its originals: {record.uri!r} is not here.")
        return files.open_original(root, record.uri.removeprefix(f"{source}/"))

    def put(self, items: Sequence[Item]) -> None:
        if not items:
            return
        self._catalog.refuse_if_read_only()
        records = [item.record for item in items]
        embeddings = vectors.checked(
            [item.embedding for item in items], ids=[record.id for record in records], dim=self._info.dim
        )
        for record in records:
            if not files.is_hash(record.content_hash):
                raise ValueError(f"The content hash of {record.id!r} is not one: {record.content_hash!r}.")
        packed = vectors.pack(embeddings)
        with self._catalog.standing_still():
            thumbnails = {item.record.content_hash: item.thumbnail for item in items if item.thumbnail}
            written = files.write_thumbnails(self._folder, thumbnails)
            try:
                change = self._catalog.put(
                    records, packed, committed=lambda change: self._show(change, records, packed)
                )
            except BaseException:
                files.remove_thumbnails(self._folder, written)
                raise
            files.remove_thumbnails(self._folder, change.orphans)
        self._wake()

    def remove(self, ids: Sequence[str]) -> int:
        with self._catalog.standing_still():
            change = self._catalog.remove(ids, committed=lambda change: self._show(change, [], []))
            files.remove_thumbnails(self._folder, change.orphans)
        self._wake()
        return len(change.gone)

    def _show(self, change: Change, records: Sequence[Record], packed: Sequence[bytes]) -> None:
        if self._rows is None:
            return
        gone = set(change.gone)
        kept = [i for i, seq in enumerate(change.made) if seq not in gone]
        self._rows = rows_of.changed(
            self._rows,
            gone=change.gone,
            seqs=[change.made[i] for i in kept],
            ids=[records[i].id for i in kept],
            embeddings=vectors.unpack([packed[i] for i in kept], dim=self._info.dim),
        )
        self._matches, self._sample = (None, {}), None  # they would keep an array alive that was outgrown

    def _wake(self) -> None:
        if self._index:
            self._index.wake()

    def set_source(self, name: str, root: Path | None) -> None:
        """A relative root is one inside the collection folder, as the bundled gallery's."""
        self._catalog.set_source(name, None if root is None else os.fsencode(root))

    def sources(self) -> dict[str, Path | None]:
        roots = {name: root and Path(os.fsdecode(root)) for name, root in self._catalog.sources().items()}
        return {name: self._folder / root if root and self._may_read(root) else None for name, root in roots.items()}

    def _may_read(self, root: Path) -> bool:
        inside = not root.is_absolute() and ".." not in root.parts
        return inside or not self._is_portable

    def set_failures(self, source: str, failures: Sequence[Failure]) -> None:
        self._catalog.set_failures(source, failures)

    def failures(self) -> list[Failure]:
        return self._catalog.failures()

    def snapshot(self, into: Path, *, model: str) -> int:
        with files.disk_errors("the copy of the collection"):
            (into / "thumbs").mkdir(parents=True)
        self._catalog.copy(into / CATALOG)
        manifest.write(into, replace(self._info, model=model))
        copied = Catalog(into / CATALOG, mode="immutable", dim=self._info.dim)
        with closing(copied):
            hashes = copied.hashes()
        return sum(files.copy_thumbnail(self._folder, into, content_hash) for content_hash in hashes)

    def health(self) -> dict[str, Scalar]:
        return {
            "rows": len(self),
            "via": self._via,
            "index": self._index.state if self._index else "off",
            "watermark": self._catalog.watermark,
            "sequence": self._catalog.sequence,
            "damaged": self._damaged,
        }

    def index_with(self, indexer: "Indexer") -> None:
        """From now on Chroma is told of every change."""
        self._index = indexer.add(self._catalog, name=self._info.version, dim=self._info.dim)

    @property
    def index(self) -> "Index | None":
        return self._index

    def close(self) -> None:
        if self._index:
            self._index.close()
        self._catalog.close()
