"""Collections on their way: the model is downloaded, exported, loaded, and the collection made, whoever watches.

A process that ends takes them with it; what came of a download is kept, and asking again goes on from there.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from search.errors import Busy, CollectionExists, JobNotFound, ModelNotDownloaded, ModelNotFound, SearchError
from search.models import Models

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 4
_MOST_FINISHED = 20


@dataclass(frozen=True, slots=True)
class Making:
    collection: str
    model: str
    state: Literal["downloading", "preparing", "done", "failed", "cancelled"]
    error: str = ""
    error_code: str = ""

    @property
    def is_finished(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Makings:
    """Thread-safe. `check` raises where no collection of that name can be made; `load` has a model loaded.

    `models`: None where nothing is downloaded.
    """

    def __init__(
        self,
        models: Models | None,
        *,
        check: Callable[[str], None],
        load: Callable[[str], object],
        create: Callable[[str, str, str], object],
    ) -> None:
        self._models, self._check, self._load, self._create = models, check, load, create
        self._all: dict[str, Making] = {}
        self._turns: dict[str, object] = {}  # whose making it is: one that was cancelled may still be loading its model
        self._creating: set[str] = set()  # whose collection is being made just now: too late to cancel
        self._lock = threading.Lock()  # guards all of these

    def start(self, collection: str, *, model: str, description: str = "", download: bool = False) -> Making:
        """In the background. `download`: somebody agreed to it, who was shown the size.

        Raises: CollectionExists, CollectionError for an unusable name, ModelError (ModelNotDownloaded where nobody
        agreed), Busy while another is downloaded.
        """
        self._check(collection)
        turn = object()
        with self._lock:  # from now on it is known, to whoever asks for the same, cancels a download or removes a model
            self._check_running(collection)
            before = self._all.pop(collection, None)
            self._all[collection], self._turns[collection] = Making(collection, model, "preparing"), turn
        try:
            making = self._begun(Making(collection, model, "preparing"), download=download)
        except BaseException:
            with self._lock:
                if self._turns.get(collection) is turn:
                    del self._all[collection], self._turns[collection]
                    if before is not None:
                        self._all[collection], self._turns[collection] = before, object()
            raise
        if not self._change(collection, turn, state=making.state) and making.state == "downloading":
            self._end_download(model)  # cancelled before there was a download to cancel
        threading.Thread(target=self._work, args=(making, description, turn), name="making", daemon=True).start()
        return making

    def _begun(self, making: Making, *, download: bool) -> Making:
        """Has its download started, where it needs one."""
        model = making.model
        here = self._models.state(model) if self._models else None
        if here is not None and here.state == "unknown":
            raise ModelNotFound(here.note)
        if self._models is not None and here is not None and here.state == "needs_download":
            if not download:
                raise ModelNotDownloaded(here.note, name=model, missing_bytes=here.missing_bytes)
            self._models.fetch(model)
            return replace(making, state="downloading")
        return making

    def list(self) -> list[Making]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._all.values()))

    def cancel(self, collection: str) -> Making:
        """No collection is made; what has ended is forgotten. Raises: JobNotFound.

        An export that runs is finished all the same, and kept. A collection that is being made at this moment is.
        """
        with self._lock:
            if collection in self._creating:
                return self._all[collection]
            making = self._all.pop(collection, None)
            if making is None:
                raise JobNotFound(f'"{collection[:64]}" is not being made.')
            if making.is_finished:
                del self._turns[collection]
                return making
            self._all[collection] = cancelled = replace(making, state="cancelled")
        if making.state == "downloading":
            self._end_download(making.model)
        return cancelled

    def _end_download(self, model: str) -> None:
        """Unless another making waits for it."""
        with self._lock:
            others = [other for other in self._all.values() if other.model == model and not other.is_finished]
        if self._models is not None and not others:
            self._models.downloads.cancel(model)

    def _check_running(self, collection: str) -> None:
        """Raises: CollectionExists, Busy."""
        running = [making for making in self._all.values() if not making.is_finished]
        if any(making.collection.casefold() == collection.casefold() for making in running):
            raise CollectionExists(f'"{collection}" is being made already.')
        if len(running) >= _MOST_AT_ONCE:
            raise Busy(f"{len(running)} collections are being made; try again when one is done.")

    def _work(self, making: Making, description: str, turn: object) -> None:
        try:
            if making.state == "downloading" and not self._downloaded(making, turn):
                return
            if not self._change(making.collection, turn, state="preparing"):
                return
            self._load(making.model)
            if not self._claim(making.collection, turn):
                return
            try:
                self._create(making.collection, making.model, description)
            finally:
                with self._lock:
                    self._creating.discard(making.collection)
            log.info("made collection=%r model=%s", making.collection, making.model)
            self._change(making.collection, turn, state="done")
        except SearchError as error:
            log.warning(
                "making collection=%r state=failed code=%s reason=%r", making.collection, error.code, str(error)
            )
            self._change(making.collection, turn, state="failed", error=str(error), error_code=error.code)
        except Exception:
            log.exception("making collection=%r state=failed", making.collection)
            said = "A defect stopped it; the log says more."
            self._change(making.collection, turn, state="failed", error=said, error_code="error")

    def _claim(self, collection: str, turn: object) -> bool:
        """Whether its collection is still wanted, which from now on it is."""
        with self._lock:
            making = self._all.get(collection)
            if making is None or making.is_finished or self._turns[collection] is not turn:
                return False
            self._creating.add(collection)
            return True

    def _downloaded(self, making: Making, turn: object) -> bool:
        """Waits for it."""
        assert self._models is not None
        download = self._models.downloads.wait_for(making.model)
        if download.state == "done":
            return True
        self._change(
            making.collection,
            turn,
            state="cancelled" if download.state == "cancelled" else "failed",
            error=download.error,
            error_code=download.error_code,
        )
        return False

    def _change(self, collection: str, turn: object, **changes: object) -> bool:
        """Unless it was cancelled meanwhile; whether it is still wanted."""
        with self._lock:
            making = self._all.get(collection)
            if making is None or making.is_finished or self._turns[collection] is not turn:
                return False
            self._all[collection] = replace(making, **changes)  # type: ignore[arg-type]  # fields of Making
            finished = [name for name, other in self._all.items() if other.is_finished]
            for old in finished[:-_MOST_FINISHED]:
                del self._all[old], self._turns[old]
            return True
