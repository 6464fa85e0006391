"""The SQLite file of a catalog: its schema, how it is opened and shipped, what its errors mean; no rows."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from search.errors import DiskFull, StoreUnavailable
from search.types import Scalar
from store.filters import holds

Mode = Literal["write", "read", "immutable"]

_SCHEMA = """
CREATE TABLE state (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, uri TEXT NOT NULL UNIQUE, content_hash TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, mtime_ns INTEGER, taken_at TEXT,
    added_at TEXT NOT NULL, caption TEXT NOT NULL, metadata TEXT NOT NULL) STRICT;
CREATE INDEX records_by_hash ON records (content_hash);
CREATE INDEX records_by_added ON records (added_at, seq);
CREATE TABLE embeddings (seq INTEGER PRIMARY KEY, packed BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE removals (seq INTEGER PRIMARY KEY, gone INTEGER NOT NULL) STRICT;
CREATE TABLE sources (name TEXT PRIMARY KEY, root BLOB) STRICT;
CREATE TABLE failures (source TEXT NOT NULL, uri TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL) STRICT;
INSERT INTO state VALUES ('sequence', 0), ('watermark', 0), ('token', '');
"""

# The first of our statements that fails on a file that has lost its tables is an SQLITE_ERROR.
_OF_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_MOST_RECORD_BYTES = 2**16  # of one from elsewhere: a thousand are read at a time
_TEXTS = "CAST(id || uri || content_hash || coalesce(taken_at, '') || added_at || caption || metadata AS BLOB)"


def connect(path: Path, *, mode: Mode) -> sqlite3.Connection:
    connection = sqlite3.connect(
        _uri(path, _options(path, mode)), uri=True, isolation_level=None, check_same_thread=False
    )
    if mode == "write":
        connection.execute("PRAGMA synchronous = FULL")
    connection.create_function("holds", 2, holds, deterministic=True)
    return connection


def _options(path: Path, mode: Mode) -> str:
    if mode == "read" and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        mode = "immutable"  # a log can't be made there, and none is in use
    return {"write": "mode=rw", "read": "mode=ro", "immutable": "mode=ro&immutable=1"}[mode]


def _uri(path: Path, options: str) -> str:
    return f"file:{quote(str(path))}?{options}"


def create(path: Path, *, journal: Literal["WAL", "DELETE"] = "WAL") -> None:
    """An empty catalog."""
    with sqlite_errors():
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute(f"PRAGMA journal_mode = {journal}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        finally:
            connection.close()


def finish(path: Path) -> None:
    """Makes a closed catalog fit to ship: compact, one file, to be opened read-only."""
    with sqlite_errors():
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("DELETE FROM removals")
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("VACUUM")
        finally:
            connection.close()


def copy(path: Path, into: Path, *, mode: Mode) -> None:
    """A new catalog with the same records, embeddings and numbers, fit to ship: equal ones make equal bytes.

    What only this machine knows stays behind: failures, what Chroma holds, and where sources lie. No log is written
    ahead: releases may be made on a network file system.
    """
    create(into, journal="DELETE")
    with sqlite_errors():
        connection = sqlite3.connect(_uri(into, "mode=rw"), uri=True, isolation_level=None)
        try:
            connection.execute(
                "ATTACH ? AS original", (_uri(path, _options(path, "read" if mode == "write" else mode)),)
            )
            connection.execute("BEGIN")
            connection.execute("INSERT INTO records SELECT * FROM original.records ORDER BY seq")
            connection.execute("INSERT INTO embeddings SELECT * FROM original.embeddings ORDER BY seq")
            connection.execute(
                "INSERT INTO sources SELECT name, CASE WHEN substr(root, 1, 1) = x'2f' THEN NULL ELSE root END"
                " FROM original.sources ORDER BY name"
            )
            connection.execute(
                "UPDATE state SET value = (SELECT value FROM original.state WHERE name = 'sequence')"
                " WHERE name = 'sequence'"
            )
            connection.execute("COMMIT")
        finally:
            connection.close()
    finish(into)


def check(path: Path) -> None:
    """That a file from elsewhere is a catalog as this module makes one: its tables and nothing else, and undamaged.

    Raises: StoreUnavailable.
    """
    with sqlite_errors(), closing(connect(path, mode="immutable")) as connection, closing(_empty()) as ours:
        connection.execute("PRAGMA trusted_schema = OFF")
        parts = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
        if connection.execute(parts).fetchall() != ours.execute(parts).fetchall():
            raise StoreUnavailable("The collection's catalog has other tables than Sightline's: it is not used.")
        damage: str = one(connection, "PRAGMA integrity_check(1)")
        states: int = one(connection, "SELECT count(*) FROM state WHERE name IN ('sequence', 'watermark')")
        if damage != "ok" or states != 2:
            raise StoreUnavailable("The collection's catalog is damaged: it is not used.")
        if one(connection, f"SELECT EXISTS (SELECT 1 FROM records WHERE length({_TEXTS}) > {_MOST_RECORD_BYTES})"):
            raise StoreUnavailable(
                f"The collection's catalog has a record of more than {_MOST_RECORD_BYTES:,} bytes, the limit: it is "
                "not used."
            )


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(_SCHEMA)
    return connection


@contextmanager
def sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise DiskFull("The disk is full: nothing of this was kept. Free some space and try again.") from error
        raise StoreUnavailable(f"The collection's catalog can't be used: {error}{_remedy(error)}.") from error


def _remedy(error: sqlite3.Error) -> str:
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF not in _OF_DAMAGE:
        return ""
    return ". Put back a copy of the collection's folder, or delete the collection and make it again"


def one(connection: sqlite3.Connection, sql: str, values: Sequence[Scalar] = ()) -> Any:
    return connection.execute(sql, values).fetchone()[0]


def run(connection: sqlite3.Connection, sql: str, *values: object) -> None:
    connection.execute(sql, values)
