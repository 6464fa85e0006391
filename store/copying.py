"""Copying a data folder every five minutes and at its end, in a thread of its own; how old the last copy is."""

import json
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from search.errors import SearchError, StorageError
from search.types import CopyState
from store.copies import Sender, Superseded, claim, restore
from store.places import Place

log = logging.getLogger(__name__)

PERIOD_S = 300.0
STOP_WITHIN_S = 30.0  # for the last copy; with what ends before it, below the 60 s that tasks on ECS are given


class Copying:
    """One writer's copies. Nothing that fails here disturbs anything else: it is told and tried again."""

    def __init__(
        self,
        data_dir: Path,
        place: Place,
        *,
        served: Callable[[], Mapping[str, Path]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`served`: the folder of the served version of each collection."""
        self._data_dir, self._place, self._served, self._clock = data_dir, place, served, clock
        self._sender = Sender(data_dir, place)
        self._generation: int | None = None
        self._copied_at: float | None = None
        self._problem = ""
        self._is_superseded = False
        self._closing = threading.Event()
        self._stop_by: float | None = None  # of time.monotonic
        self._thread = threading.Thread(target=self._run, name="copying", daemon=True)

    def begin(self) -> bool:
        """Whether a copy was restored, which only a data folder without collections has.

        Raises, where there might be one: StoreUnavailable, StorageError, DiskFull.
        """
        for left in self._data_dir.glob(".copying-*"):
            shutil.rmtree(left, ignore_errors=True)
        if any((self._data_dir / "collections").iterdir()):
            return False
        self._claim()  # before: a writer that still runs elsewhere must not go on behind this one's back
        return restore(self._place, self._data_dir) > 0

    def start(self) -> None:
        self._thread.start()

    @property
    def state(self) -> CopyState:
        at = self._copied_at
        return CopyState(
            self._place.title,
            None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
            None if at is None else max(0, round(self._clock() - at)),
            self._problem,
        )

    def copy_now(self) -> int | None:
        """How many objects were sent; None where it failed, which `state` then says."""
        if self._is_superseded:
            return None
        began = self._clock()
        try:
            generation = self._claim()
            at = datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
            sent = self._sender.send(self._served(), generation=generation, at=at, go_on=self._go_on)
        except Superseded as error:
            self._is_superseded, self._problem = True, str(error)
            log.error("copying stopped: %s", error)
        except SearchError as error:
            self._problem = str(error)
            log.error("not copied, tried again later: %s", error)
        except Exception:  # a thread's entry point: the next copy must be tried, and the log has the traceback
            self._problem = "The last copy failed; the log says why."
            log.exception("copying failed")
        else:
            self._copied_at, self._problem = began, ""
            log.info("copy=%s sent=%d seconds=%.1f", self._place.title, sent, self._clock() - began)
            return sent
        return None

    def close(self) -> None:
        """Makes the last copy; to be called when nothing is written any more."""
        self._stop_by = time.monotonic() + STOP_WITHIN_S
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self.copy_now()

    def _claim(self) -> int:
        if self._generation is None:
            note = {"host": socket.gethostname(), "pid": os.getpid(), "at": datetime.now(UTC).isoformat()}
            self._generation = claim(self._place, json.dumps(note))
        return self._generation

    def _go_on(self) -> None:
        if self._stop_by is not None and time.monotonic() > self._stop_by:
            raise StorageError(
                f"The last copy was not done within {STOP_WITHIN_S:.0f} seconds: the one before it counts."
            )

    def _run(self) -> None:
        while not self._closing.is_set():
            self.copy_now()
            if self._is_superseded:
                return
            self._closing.wait(PERIOD_S)
