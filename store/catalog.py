"""The SQLite file that is the truth of a collection: records, embeddings, removals and their sequence numbers.

It knows nothing of files beside it, of memory or of Chroma.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from search.errors import ReadOnly
from search.types import Embedding, Embeddings, Failure, Record, Scalar, Where
from store.database import Mode, connect, copy, one, run, sqlite_errors
from store.filters import Sql, storable, where_sql
from store.readers import Readers
from store.record_row import COLUMNS, from_row, to_row
from store.vectors import checksum, pack, unpack

log = logging.getLogger(__name__)

_LISTED = "IN (SELECT value FROM json_each(?))"
_PAGE = 1000
MOST_FIELDS, MOST_VALUES = 100, 50  # shown for the filter


@dataclass(slots=True)
class Change:
    """What one write did: rows gone and made, by sequence number, and content hashes that no record has any more."""

    gone: list[int] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Loaded:
    seqs: list[int]
    ids: list[str]
    embeddings: Embeddings
    damaged: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What Chroma has to be told next; after it, it holds everything up to `upto`."""

    seqs: list[int]
    packed: list[bytes]
    gone: list[int]
    upto: int


class Catalog:
    """`moment` is held while a change becomes visible here and in memory, and while a reader begins on both."""

    def __init__(self, path: Path, *, mode: Mode, dim: int) -> None:
        self._path, self._mode, self._dim = path, mode, dim
        self._readers = Readers(path, mode=mode)
        self._writing = threading.RLock()
        self.moment = threading.Lock()
        with sqlite_errors():
            self._writer = connect(path, mode=mode) if mode == "write" else None
        with self._readers.lend() as connection:
            self.count: int = one(connection, "SELECT count(*) FROM records")
        self.sequence: int = self.state("sequence")
        self.watermark: int = self.state("watermark")

    def close(self) -> None:
        self._readers.close()
        with self._writing:
            if self._writer is not None:
                self._writer.close()

    def refuse_if_read_only(self) -> None:
        if self._writer is None:
            raise ReadOnly("This collection is read-only: create one of your own to change images.")

    def write(
        self, act: Callable[[sqlite3.Connection, Change], None], *, committed: Callable[[Change], None] | None = None
    ) -> Change:
        """One transaction: synced when this returns, and `committed` was called in the same moment."""
        self.refuse_if_read_only()
        change, connection = Change(), self._writer
        assert connection is not None
        with self._writing, sqlite_errors():
            self._readers.refuse_if_closed()
            connection.execute("BEGIN IMMEDIATE")
            try:
                act(connection, change)
                sequence = one(connection, "SELECT value FROM state WHERE name = 'sequence'")
                with self.moment:
                    connection.execute("COMMIT")
                    self.count += len(change.made) - len(change.gone)
                    self.sequence = sequence
                    if committed:
                        committed(change)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return change

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No write happens meanwhile."""
        with self._writing:
            yield

    def put(
        self, records: Sequence[Record], packed: Sequence[bytes], *, committed: Callable[[Change], None] | None = None
    ) -> Change:
        rows = [to_row(record) for record in records]

        def act(connection: sqlite3.Connection, change: Change) -> None:
            hashes = set[str]()
            for row, record, data in zip(rows, records, packed, strict=True):
                old = connection.execute(
                    "SELECT seq, content_hash FROM records WHERE id = ? OR uri = ?", (record.id, record.uri)
                ).fetchall()
                _delete(connection, old, change, hashes)
                seq = _next(connection)
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO records (seq, {COLUMNS}) VALUES (?, {marks})", (seq, *row))
                connection.execute("INSERT INTO embeddings VALUES (?, ?, ?)", (seq, data, checksum(record.id, data)))
                change.made.append(seq)
            change.orphans = _orphans(connection, hashes)

        return self.write(act, committed=committed)

    def remove(self, ids: Sequence[str], *, committed: Callable[[Change], None] | None = None) -> Change:
        def act(connection: sqlite3.Connection, change: Change) -> None:
            hashes = set[str]()
            old = connection.execute(
                f"SELECT seq, content_hash FROM records WHERE id {_LISTED}", (json.dumps(list(ids)),)
            ).fetchall()
            _delete(connection, old, change, hashes)
            change.orphans = _orphans(connection, hashes)

        return self.write(act, committed=committed)

    def records(self, ids: Sequence[str]) -> dict[str, Record]:
        sql = f"SELECT {COLUMNS} FROM records WHERE id {_LISTED}"
        return {record.id: record for record in self._records(sql, [json.dumps(list(ids))])}

    def page(self, *, offset: int, count: int, where: Where) -> list[Record]:
        test, values = where_sql(where)
        order = "ORDER BY added_at DESC, seq DESC LIMIT ? OFFSET ?"
        return self._records(f"SELECT {COLUMNS} FROM records WHERE {test} {order}", [*values, count, offset])

    def known(self, source: str) -> Iterator[Record]:
        """Page by page: a reader that takes its time holds nothing."""
        after, end = f"{source}/", f"{source}0"  # 0 follows / in Unicode
        sql = f"SELECT {COLUMNS} FROM records WHERE uri > ? AND uri < ? ORDER BY uri LIMIT {_PAGE}"
        while found := self._records(sql, [after, end]):
            yield from found
            after = found[-1].uri

    def _records(self, sql: str, values: Sequence[Scalar]) -> list[Record]:
        with self._readers.lend() as connection:
            return [from_row(row) for row in connection.execute(sql, values)]

    def matching(self, where: Where) -> int:
        test, values = where_sql(where)
        with self._readers.lend() as connection:
            found: int = one(connection, f"SELECT count(*) FROM records WHERE {test}", values)
        return found

    @contextmanager
    def pinned(self) -> Iterator[Callable[[Sql], list[int]]]:
        """A function that finds the sequence numbers of matching rows as they are now, however late it is called."""
        with self._readers.lend() as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT value FROM state").fetchone()  # the read takes the snapshot, not BEGIN

            def select(wanted: Sql) -> list[int]:
                test, values = wanted
                found = connection.execute(f"SELECT seq FROM records WHERE {test}", values).fetchall()
                return [seq for (seq,) in found]

            yield select

    def embeddings(self, ids: Sequence[str]) -> dict[str, Embedding]:
        return {record.id: embedding for record, embedding in self._embedded("id", ids)}

    def by_hash(self, hashes: Sequence[str]) -> dict[str, tuple[Record, Embedding]]:
        return {found[0].content_hash: found for found in self._embedded("content_hash", hashes)}

    def _embedded(self, column: Literal["id", "content_hash"], values: Sequence[str]) -> list[tuple[Record, Embedding]]:
        sql = f"SELECT {COLUMNS}, packed, checksum FROM records JOIN embeddings USING (seq) WHERE {column} {_LISTED}"
        with self._readers.lend() as connection:
            rows = connection.execute(sql, (json.dumps(list(values)),)).fetchall()
        sound = [row for row in rows if self._sound(row[0], row[-2], row[-1])]
        embeddings = unpack([row[-2] for row in sound], dim=self._dim)
        return [(from_row(row[:-2]), embedding) for row, embedding in zip(sound, embeddings, strict=True)]

    def _sound(self, id: str, packed: bytes, kept: int) -> bool:
        return len(packed) == 2 * self._dim and checksum(id, packed) == kept

    def load(self) -> Loaded:
        """Every embedding, in the order of their sequence numbers; damaged ones are left out and counted."""
        seqs, ids = list[int](), list[str]()
        sql = "SELECT seq, id, packed, checksum FROM records JOIN embeddings USING (seq) ORDER BY seq"
        with self._readers.lend() as connection:
            connection.execute("BEGIN")
            count: int = one(connection, "SELECT count(*) FROM records")
            array = np.empty((count + count // 4, self._dim), np.float32)  # room, so that the next put copies nothing
            cursor = connection.execute(sql)
            while rows := cursor.fetchmany(_PAGE):
                sound = [row for row in rows if self._sound(row[1], row[2], row[3])]
                array[len(ids) : len(ids) + len(sound)] = unpack([row[2] for row in sound], dim=self._dim)
                seqs += [row[0] for row in sound]
                ids += [row[1] for row in sound]
        damaged = count - len(ids)
        if damaged:
            log.error("damaged_embeddings=%d rows=%d version=%s", damaged, count, self._path.parent.name)
        return Loaded(seqs, ids, array, damaged)

    def has_field(self, name: str) -> bool:
        """Whether a record has it in its metadata; looks no further than the first that has."""
        sql = "SELECT EXISTS (SELECT 1 FROM records, json_each(records.metadata) WHERE key = ?)"
        with self._readers.lend() as connection:
            return bool(one(connection, sql, [storable(name)]))

    def fields(self) -> dict[str, list[Scalar]]:
        """Metadata fields and the commonest values of each, commonest first."""
        sql = """SELECT key, value, type, count(*) FROM records, json_each(records.metadata)
                 GROUP BY key, type, value ORDER BY count(*) DESC, key, value"""
        found: dict[str, list[Scalar]] = {}
        with self._readers.lend() as connection:
            for name, value, kind, _ in connection.execute(sql):
                if name in found or len(found) < MOST_FIELDS:
                    values = found.setdefault(name, [])
                    if len(values) < MOST_VALUES:
                        values.append(kind == "true" if kind in ("true", "false") else value)
        return found

    def hashes(self) -> list[str]:
        """The content hashes of all records, each once."""
        with self._readers.lend() as connection:
            found = connection.execute("SELECT DISTINCT content_hash FROM records ORDER BY content_hash")
            return [hash for (hash,) in found]

    def copy(self, into: Path) -> None:
        """Writes it to a new file, fit to ship."""
        copy(self._path, into, mode=self._mode)

    def state(self, name: str) -> Any:
        with self._readers.lend() as connection:
            return one(connection, "SELECT value FROM state WHERE name = ?", [name])

    def set_source(self, name: str, root: bytes | None) -> None:
        self.write(lambda connection, _: run(connection, "INSERT OR REPLACE INTO sources VALUES (?, ?)", name, root))

    def sources(self) -> dict[str, bytes | None]:
        with self._readers.lend() as connection:
            return dict(connection.execute("SELECT name, root FROM sources ORDER BY name"))

    def set_failures(self, source: str, failures: Sequence[Failure]) -> None:
        def act(connection: sqlite3.Connection, _: Change) -> None:
            run(connection, "DELETE FROM failures WHERE source = ?", source)
            rows = [(source, storable(f.uri), f.code, storable(f.message)) for f in failures]
            connection.executemany("INSERT INTO failures VALUES (?, ?, ?, ?)", rows)

        self.write(act)

    def failures(self) -> list[Failure]:
        with self._readers.lend() as connection:
            return [Failure(*row) for row in connection.execute("SELECT uri, code, message FROM failures")]

    def pending(self, *, most: int) -> Pending:
        """The next changes after the watermark, in their order."""
        after = self.watermark
        with self._readers.lend() as connection:
            connection.execute("BEGIN")
            made = connection.execute(
                "SELECT seq, id, packed, checksum FROM records JOIN embeddings USING (seq)"
                " WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, most),
            ).fetchall()
            removals = connection.execute(
                "SELECT seq, gone FROM removals WHERE seq > ? ORDER BY seq LIMIT ?", (after, most)
            ).fetchall()
            upto: int = one(connection, "SELECT value FROM state WHERE name = 'sequence'")
        ends = [rows[-1][0] for rows in (made, removals) if len(rows) == most]
        upto = min([upto, *ends])
        made = [row for row in made if row[0] <= upto]
        packed = [data if self._sound(id, data, kept) else self._stand_in() for _, id, data, kept in made]
        return Pending([row[0] for row in made], packed, [gone for seq, gone in removals if seq <= upto], upto)

    def _stand_in(self) -> bytes:
        """For a damaged row, so that counts agree; no search returns it, since no damaged row is in memory."""
        return pack(np.eye(1, self._dim, dtype=np.float32))[0]

    def set_watermark(self, upto: int, *, token: str | None = None) -> None:
        """Chroma has acknowledged everything up to here; a token says which Chroma collection that is."""

        def act(connection: sqlite3.Connection, _: Change) -> None:
            run(connection, "UPDATE state SET value = ? WHERE name = 'watermark'", upto)
            run(connection, "DELETE FROM removals WHERE seq <= ?", upto)
            if token is not None:
                run(connection, "UPDATE state SET value = ? WHERE name = 'token'", token)

        def committed(_: Change) -> None:
            self.watermark = upto

        self.write(act, committed=committed)

    def indexed_count(self) -> int:
        """How many rows Chroma must have if it holds exactly everything up to the watermark."""
        with self._readers.lend() as connection:
            connection.execute("BEGIN")
            live: int = one(connection, "SELECT count(*) FROM embeddings WHERE seq <= ?", [self.watermark])
            sql = "SELECT count(*) FROM removals WHERE seq > ?1 AND gone <= ?1"
            return live + int(one(connection, sql, [self.watermark]))


def _next(connection: sqlite3.Connection) -> int:
    number: int = one(connection, "UPDATE state SET value = value + 1 WHERE name = 'sequence' RETURNING value")
    return number


def _delete(connection: sqlite3.Connection, old: Iterable[tuple[int, str]], change: Change, hashes: set[str]) -> None:
    for seq, content_hash in old:
        run(connection, "DELETE FROM records WHERE seq = ?", seq)
        run(connection, "DELETE FROM embeddings WHERE seq = ?", seq)
        run(connection, "INSERT INTO removals VALUES (?, ?)", _next(connection), seq)
        hashes.add(content_hash)
        change.gone.append(seq)


def _orphans(connection: sqlite3.Connection, hashes: set[str]) -> list[str]:
    sql = f"SELECT content_hash FROM records WHERE content_hash {_LISTED}"
    return sorted(hashes.difference(hash for (hash,) in connection.execute(sql, (json.dumps(list(hashes)),))))
