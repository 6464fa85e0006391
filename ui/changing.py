"""Changes asked for in a shell: made in this process, or handed to the one that holds the data folder's lock."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from search.encoders.removal import Removed
from search.errors import ReadOnly, StoreBusy
from search.job import JobSpec
from search.jobs import Jobs
from search.types import Holder
from search.workspace import Workspace
from ui.handover import ask
from ui.job_view import JobView, job_json
from ui.terminal import said_once

if TYPE_CHECKING:
    from settings import Settings
    from ui.start import Join


class Changing(Protocol):
    def collections(self) -> Mapping[str, str]:
        """Name → model."""
        ...

    def create(self, name: str, *, model: str, description: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def start(self, paths: Sequence[str], *, collection: str, prune: bool) -> JobView: ...
    def job(self, id: str) -> JobView: ...
    def cancel(self, id: str) -> None: ...
    def remove_model(self, name: str) -> Removed: ...


@contextmanager
def open_changing(settings: "Settings", join: "Join", holder: Callable[[], Holder | None]) -> "Iterator[Changing]":
    """Changes are made here, or by the process that has the data folder open for writing.

    Raises: StoreBusy, ReadOnly.
    """
    refuse_where_released(settings)
    try:
        workspace = join(settings, write=True)
    except StoreBusy:
        other = holder()
        if other is None:
            raise
        yield There(other, said_once())
        return
    with closing(workspace):
        yield Here(workspace)


def refuse_where_released(settings: "Settings") -> None:
    """Raises: ReadOnly."""
    if settings.release:
        raise ReadOnly(
            "SIGHTLINE_RELEASE is set, and a release is never changed: unset it to change what the data folder holds."
        )


class Here:
    """Jobs begin to run with the first that is started: one that an earlier process left goes first."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def collections(self) -> Mapping[str, str]:
        return {info.name: info.model for info in self._workspace.library.list()}

    def create(self, name: str, *, model: str, description: str) -> None:
        self._workspace.create(name, model=model, description=description)

    def delete(self, name: str) -> None:
        self._workspace.delete(name)

    def start(self, paths: Sequence[str], *, collection: str, prune: bool) -> JobView:
        self._jobs.start()
        return job_json(self._jobs.submit(JobSpec(collection, paths=tuple(paths), prune=prune)))

    def job(self, id: str) -> JobView:
        return job_json(self._jobs.get(id))

    def cancel(self, id: str) -> None:
        self._jobs.cancel(id)

    def remove_model(self, name: str) -> Removed:
        return self._workspace.remove_model(name)

    @property
    def _jobs(self) -> Jobs:
        if self._workspace.jobs is None:
            raise ReadOnly("The data folder is open for reading only.")
        return self._workspace.jobs


class There:
    """`tell` hears what the other process does, where that takes its time."""

    def __init__(self, holder: Holder, tell: Callable[[str], None]) -> None:
        self._ask = partial(ask, holder, tell=tell)

    def collections(self) -> Mapping[str, str]:
        return {entry["name"]: entry["model"] for entry in self._ask("GET", "/api/collections")["collections"]}

    def create(self, name: str, *, model: str, description: str) -> None:
        self._ask("POST", "/api/collections", {"name": name, "model": model, "description": description})

    def delete(self, name: str) -> None:
        self._ask("DELETE", f"/api/collections/{quote(name)}")

    def start(self, paths: Sequence[str], *, collection: str, prune: bool) -> JobView:
        body = {"paths": list(paths), "collection": collection, "prune": prune}
        return self.job(str(self._ask("POST", "/api/jobs", body)["job"]))

    def job(self, id: str) -> JobView:
        return self._ask("GET", f"/api/jobs/{quote(id)}")

    def cancel(self, id: str) -> None:
        self._ask("DELETE", f"/api/jobs/{quote(id)}")

    def remove_model(self, name: str) -> Removed:
        removed = self._ask("POST", "/api/models/remove", {"model": name})
        return Removed(removed["freed_bytes"], removed["kept_bytes"])
