"""Whether this process has made a real embedding and a real search lately; a thread finds out, `/ping` reads it."""

import logging
import threading
import time
from collections.abc import Callable

from search.errors import SearchError
from search.workspace import Workspace

log = logging.getLogger(__name__)

PERIOD_S = 30.0
RETRY_S = 1.0  # while it is not ready
STOP_WITHIN_S = 5.0
LATELY_S = 90.0  # two missed checks: the process hangs


class Readiness:
    """Checks in a thread of its own from `start` to `close`; `when_ready` is called once, after the first success."""

    def __init__(
        self,
        check: Callable[[], None],
        *,
        when_ready: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._when_ready = when_ready
        self._clock = clock
        self._succeeded_at: float | None = None
        self._reason = "it has only just been started"
        self._is_withdrawn = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="readiness", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Waits for the check that runs: it uses what is closed next."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN_S)

    @property
    def is_ready(self) -> bool:
        at = self._succeeded_at
        return not self._is_withdrawn and at is not None and self._clock() - at < LATELY_S

    @property
    def reason(self) -> str:
        """Why it is not ready, as the end of a sentence."""
        return "it is stopping" if self._is_withdrawn else self._reason

    def withdraw(self) -> None:
        """It is not ready from now on: a load balancer is to send no more."""
        self._is_withdrawn = True

    def check_now(self) -> bool:
        try:
            self._check()
        except SearchError as error:
            self._fail(str(error))
            log.warning("not ready: %s", error)
        except Exception:  # a thread's entry point: the check must go on, and the log has the traceback
            self._fail("its self-check failed; the log says why")
            log.exception("self-check failed")
        else:
            self._succeeded_at = self._clock()
            self._reason = "its self-check is late"
        return self.is_ready

    def _fail(self, reason: str) -> None:
        self._succeeded_at = None
        self._reason = reason

    def _run(self) -> None:
        while not self._closing.is_set():
            ready = self.check_now()
            if ready and self._when_ready is not None:
                begin, self._when_ready = self._when_ready, None
                try:
                    begin()
                except SearchError as error:
                    log.error("not everything could be started: %s", error)
            self._closing.wait(PERIOD_S if ready else RETRY_S)


def search_check(workspace: Workspace, *, model: str) -> Callable[[], None]:
    """A real embedding, past every cache, and a real search with it in the default collection, where there is one.

    A configured collection that this process can make may come yet; one that it can't make must be there.
    """

    def check() -> None:
        names = [info.name for info in workspace.library.list()]
        if workspace.default in names or (names and workspace.jobs is None):
            engine = workspace.engine()
            held = workspace.encoders.loaded()
            if held and engine.collection.info.model not in held:
                # another model needed its memory, and this check must not take that back
                workspace.encoder(held[0]).encode_texts(["a picture"])
            else:
                engine.collection.search(engine.encoder.encode_texts(["a picture"])[0], top_k=1)
        else:
            workspace.encoder(model).encode_texts(["a picture"])

    return check
