from collections.abc import Mapping, Sequence

import pytest

from search.errors import StoreBusy
from ui.indexing import run_index
from ui.job_view import JobView


class Stopping:
    """Takes a job and is then gone."""

    def collections(self) -> Mapping[str, str]:
        return {"photos": "fake"}

    def create(self, name: str, *, model: str, description: str) -> None: ...

    def delete(self, name: str) -> None: ...

    def start(self, paths: Sequence[str], *, collection: str, prune: bool) -> JobView:
        return {"id": "x", "is_finished": False, "progress": None}

    def job(self, id: str) -> JobView:
        raise StoreBusy("It does not answer.")

    def cancel(self, id: str) -> None: ...


def test_a_job_whose_server_stops_is_said_to_be_kept() -> None:
    with pytest.raises(StoreBusy) as told:
        run_index(Stopping(), ["/p"], collection="photos", model=None, usual_model="fake", prune=False)
    assert str(told.value) == (
        "The server that does this stopped meanwhile. What is indexed is kept, and it goes on with the rest as soon as "
        "`index` or `ui` is run again."
    )
