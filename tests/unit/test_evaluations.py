"""Evaluations in the background: asked for, followed, cancelled, kept."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.engine import SearchEngine
from search.errors import BadQuery, Busy, JobNotFound, SourceError
from search.evaluations import MOST_WAITING, Evaluation, Evaluations
from search.report import Report
from search.reports import Reports
from search.workspace import Workspace
from tests.contract.served import open_workspace
from tests.stored import wait_until

LABELS = b"query,relevant\nred,red\nblue,blue\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def evaluations(workspace: Workspace) -> Evaluations:
    assert workspace.evaluations is not None
    return workspace.evaluations


def finished(evaluations: Evaluations, id: str) -> Evaluation:
    wait_until(lambda: evaluations.get(id).is_finished)
    return evaluations.get(id)


def test_an_evaluation_runs_and_its_report_is_kept(evaluations: Evaluations) -> None:
    made = evaluations.submit("colours", LABELS, name="own.csv")
    done = finished(evaluations, made.id)
    assert (done.state, done.done, done.total, done.labels) == ("done", 2, 2, "own.csv")
    assert done.report is not None
    assert evaluations.reports.get("colours", done.report).overall.queries == 2


def test_one_that_can_not_be_asked_says_why(evaluations: Evaluations) -> None:
    made = evaluations.submit("colours", b"query,relevant\nred,gone\n", name="own.csv")
    done = finished(evaluations, made.id)
    assert (done.state, done.error_code) == ("failed", "source_error")
    assert done.error is not None
    assert '"gone" is no image of the collection' in done.error


def test_a_file_that_is_no_table_is_refused_at_once(evaluations: Evaluations) -> None:
    with pytest.raises(SourceError, match="needs the columns"):
        evaluations.submit("colours", b"red", name="own.csv")
    assert evaluations.list() == []


def test_labels_that_come_with_a_collection_need_not_be_sent(tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "bundled.csv"
    path.write_bytes(LABELS)
    own = Evaluations(Reports(tmp_path / "reports"), open_engine=workspace.engine, labels={"colours": path})
    assert own.has_labels("colours")
    assert finished(own, own.submit("colours", None, name="").id).labels == "bundled.csv"
    own.close()


def test_without_labels_of_its_own_a_collection_needs_a_file(evaluations: Evaluations) -> None:
    assert not evaluations.has_labels("colours")
    with pytest.raises(BadQuery, match='No labelled queries come with "colours"'):
        evaluations.submit("colours", None, name="")


class Held:
    """Evaluations whose engine is not there before `go`."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.go = threading.Event()
        self.opened = threading.Event()
        self._workspace = workspace
        self.evaluations = Evaluations(Reports(folder), open_engine=self._open, labels={})

    def _open(self, name: str) -> SearchEngine:
        self.opened.set()
        assert self.go.wait(60)
        return self._workspace.engine(name)


@pytest.fixture
def held(workspace: Workspace, tmp_path: Path) -> Iterator[Held]:
    made = Held(workspace, tmp_path / "reports")
    yield made
    made.go.set()
    made.evaluations.close()


def test_a_cancelled_one_leaves_no_report(held: Held) -> None:
    made = held.evaluations.submit("colours", LABELS, name="own.csv")
    assert held.opened.wait(60)
    assert held.evaluations.cancel(made.id).state == "running"
    held.go.set()
    assert finished(held.evaluations, made.id).state == "cancelled"
    assert held.evaluations.reports.ids("colours") == []


def test_one_that_waits_is_cancelled_at_once_and_makes_room(held: Held) -> None:
    first, *others = [held.evaluations.submit("colours", LABELS, name="own.csv") for _ in range(MOST_WAITING)]
    assert held.opened.wait(60)
    assert held.evaluations.cancel(others[0].id).state == "cancelled"
    last = held.evaluations.submit("colours", LABELS, name="own.csv")
    held.go.set()
    assert finished(held.evaluations, last.id).state == "done"
    assert held.evaluations.get(first.id).state == "done"
    assert held.evaluations.get(others[0].id).state == "cancelled"


def test_only_a_few_wait(held: Held) -> None:
    for _ in range(MOST_WAITING):
        held.evaluations.submit("colours", LABELS, name="own.csv")
    with pytest.raises(Busy):
        held.evaluations.submit("colours", LABELS, name="own.csv")
    assert [one.state for one in held.evaluations.list()][:-1] == ["waiting"] * (MOST_WAITING - 1)


def test_what_is_known_of_a_deleted_collection_is_forgotten(workspace: Workspace, evaluations: Evaluations) -> None:
    finished(evaluations, evaluations.submit("colours", LABELS, name="own.csv").id)
    assert len(evaluations.reports.ids("colours")) == 1
    workspace.delete("colours")
    assert evaluations.reports.ids("colours") == []


class Slow(Reports):
    """Its collection is deleted while a report of it is being written."""

    deleting: threading.Thread

    def keep(self, report: Report) -> None:
        self.deleting.start()
        self.deleting.join(0.2)  # as far as it comes
        super().keep(report)


def test_no_report_outlives_a_collection_that_is_deleted_as_it_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    reports = Slow(tmp_path / "reports")
    evaluations = Evaluations(reports, open_engine=workspace.engine, labels={})
    reports.deleting = threading.Thread(target=evaluations.forget, args=["colours"])
    finished(evaluations, evaluations.submit("colours", LABELS, name="own.csv").id)
    evaluations.close()
    reports.deleting.join()
    assert reports.ids("colours") == []


def test_one_that_is_none_is_named(evaluations: Evaluations) -> None:
    with pytest.raises(JobNotFound):
        evaluations.get("nowhere")
