"""The thread that keeps all collections of a library in Chroma, and Chroma's server alive; it answers no search."""

import logging
import threading
import time

from search.errors import CollectionError
from store.catalog import Catalog
from store.chroma import Chroma, ChromaError
from store.chroma_server import ChromaServer
from store.index import Index

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 60.0
_STOP_TIMEOUT_S = 10.0


class Indexer:
    """One thread for all collections of a library. A local server is its child, and ends with it."""

    def __init__(self, server: ChromaServer | str) -> None:
        """A string is the address of a remote server."""
        self._url = server if isinstance(server, str) else None
        self._server = None if isinstance(server, str) else server
        self._indexes: list[Index] = []
        self._forgotten: list[str] = []
        self._chroma: Chroma | None = None
        self._work, self._stopping = threading.Event(), threading.Event()
        if self._server:
            self._server.on_end = self.wake
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._work.set()

    def add(self, catalog: Catalog, *, name: str, dim: int) -> Index:
        index = Index(catalog, name=name, dim=dim, wake=self.wake)
        self._indexes.append(index)
        self.wake()
        return index

    def forget(self, index: Index) -> None:
        """Of a closed collection that is deleted: Chroma's copy goes too, some time."""
        self._indexes.remove(index)
        self._forgotten.append(index.name)
        self.wake()

    def stop(self) -> None:
        self._stopping.set()
        self.wake()
        if self._thread.ident is None:
            return
        self._thread.join(_STOP_TIMEOUT_S)
        if self._thread.is_alive() and self._server:
            self._server.discard()
            self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        pause_s, failed_at = _FIRST_PAUSE_S, 0.0
        while True:
            self._work.clear()
            if self._stopping.is_set():
                break
            try:
                self._round()
            except (ChromaError, CollectionError) as error:
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S) if _lately(failed_at) else _FIRST_PAUSE_S
                failed_at = time.monotonic()
                self._fail(error)
                self._stopping.wait(pause_s)
            else:
                if not any(index.is_behind for index in self._wanted()):
                    self._work.wait()
        self._end()

    def _wanted(self) -> list[Index]:
        return [index for index in list(self._indexes) if index.is_wanted]

    def _round(self) -> None:
        if self._server and self._chroma and not self._server.runs:
            raise ChromaError("the server ended")
        wanted = self._wanted()
        if not wanted and not self._chroma:
            return
        chroma = self._chroma = self._chroma or self._connect()
        while self._forgotten:
            chroma.delete(self._forgotten[-1])
            self._forgotten.pop()
        for index in wanted:
            if index.is_behind and not self._stopping.is_set():
                index.advance(chroma)

    def _connect(self) -> Chroma:
        chroma = self._server.start() if self._server else Chroma(self._url or "")
        try:
            if self._server:
                for name in set(chroma.names()).difference(index.name for index in list(self._indexes)):
                    chroma.delete(name)  # of a collection that was deleted while no index ran
            elif not chroma.is_up():
                raise ChromaError(f"no answer from {self._url}")
        except ChromaError:
            chroma.close()
            raise
        return chroma

    def _fail(self, error: Exception) -> None:
        log.warning("index=failed reason=%r", str(error))
        if isinstance(error, CollectionError):
            return  # ours: Chroma is well
        if self._chroma:
            self._chroma.close()
            self._chroma = None
        for index in list(self._indexes):
            index.lost(None, str(error))
        if self._server:
            self._server.discard()

    def _end(self) -> None:
        if not self._chroma:
            return
        try:
            for index in self._wanted():
                index.settle()
            if self._server:
                self._server.stop()
        except ChromaError as error:
            self._fail(error)
        else:
            self._chroma.close()


def _lately(moment: float) -> bool:
    return time.monotonic() - moment < 2 * _LONGEST_PAUSE_S
