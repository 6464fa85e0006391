"""Connections that read a catalog, kept for the next reader; one that is lent is nobody else's meanwhile."""

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from search.errors import StoreUnavailable
from store.database import Mode, connect, sqlite_errors


class Readers:
    """Thread-safe."""

    def __init__(self, path: Path, *, mode: Mode) -> None:
        self._path, self._mode = path, mode
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """Without a transaction; one that is begun on it ends with the loan. Raises: StoreUnavailable."""
        with sqlite_errors():
            try:
                connection = self._idle.pop()
            except IndexError:
                self.refuse_if_closed()
                connection = connect(self._path, mode=self._mode)
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle.append(connection)
                if self._closed:
                    self._close_idle()

    def refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("The collection was closed or deleted meanwhile.")

    def close(self) -> None:
        """Those that are lent close when they come back."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
