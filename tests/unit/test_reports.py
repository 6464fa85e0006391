"""Reports are kept as they are, a few of each collection, and compared query by query with the one before."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from search.comparison import compare
from search.errors import ItemNotFound, StoreUnavailable
from search.intervals import Estimate
from search.labels import Remark
from search.measures import MEASURES, Outcome
from search.report import Asked, Report, Slice, from_json, to_json
from search.reports import KEPT, Reports

FIGURES = {name: Estimate(0.5, 0.25, 0.75) for name in MEASURES}


def outcome(line: int, *places: int, relevant: int = 1, flagged: bool = False) -> Outcome:
    return Outcome(
        line=line,
        text="<b>red</b>",
        image="",
        values=("a",),
        relevant=relevant,
        places=places,
        first_rank=places[0] if places else None,
        score=0.3,
        flagged=flagged,
        found=("x", "y"),
        missed=("z",),
        took_ms=1.5,
        ann_recall=None,
    )


def report(*outcomes: Outcome, id: str = "20261123T080000-00000a", sha256: str = "one") -> Report:
    overall = Slice(
        "", "", 2, 2, {**FIGURES, "median_rank": Estimate(math.inf, 2.0, math.inf), "flagged_answerable": None}
    )
    return Report(
        id=id,
        made_at="2026-11-23T08:00:00+00:00",
        collection="my photos",
        version="v1",
        model="fake",
        fingerprint="fake-1",
        size=4,
        asked=Asked("own.csv", sha256, 3, ("kind",), (Remark(4, "why"),), 1),
        via="exact",
        overall=overall,
        curve=(Estimate(0.5, None, None),),
        slices=(replace(overall, column="kind", value="a"),),
        ann_recall_at_10=None,
        latency_ms={"p50": 1.0, "p95": 2.0},
        weak_below=-1.0,
        seconds=0.5,
        outcomes=outcomes or (outcome(2, 1), outcome(3)),
    )


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    return Reports(tmp_path / "reports")


def test_a_report_comes_back_as_it_was_kept(reports: Reports) -> None:
    reports.keep(report())
    assert reports.get("my photos") == report()
    assert reports.get("my photos", "20261123T080000-00000a") == report()


def test_what_is_written_is_json_without_infinities() -> None:
    written = json.dumps(to_json(report()), allow_nan=False)
    assert json.loads(written)["overall"]["figures"]["median_rank"] == {"value": None, "low": 2.0, "high": None}
    assert from_json(json.loads(written)) == report()


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "reports").touch()
    with pytest.raises(StoreUnavailable, match=r"The report can't be kept in the data folder: Not a directory\."):
        Reports(tmp_path / "reports").keep(report())


def test_the_last_few_are_kept(reports: Reports) -> None:
    ids = [f"20261123T0800{n:02}-00000a" for n in range(KEPT + 2)]
    for id in ids:
        reports.keep(report(id=id))
    assert reports.ids("my photos") == ids[:1:-1]
    assert reports.get("my photos").id == ids[-1]


def test_what_a_killed_process_was_writing_goes_and_what_another_writes_now_stays(
    reports: Reports, tmp_path: Path
) -> None:
    folder = tmp_path / "reports" / "my photos"
    folder.mkdir(parents=True)
    for id in ("20261123T070000-00000a", "20261123T090000-00000a", "20261123T070000-00000b"):
        (folder / f".{id}.json").touch()
    os.utime(folder / ".20261123T070000-00000a.json", (0, 0))
    (folder / ".my own.json").touch()
    os.utime(folder / ".my own.json", (0, 0))
    for n in range(KEPT + 1):
        reports.keep(report(id=f"20261123T0801{n:02}-00000a"))
    assert sorted(path.name for path in folder.glob(".*")) == [
        ".20261123T070000-00000b.json",
        ".20261123T090000-00000a.json",
        ".my own.json",
    ]


def test_a_file_of_somebody_elses_stays(reports: Reports, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "my photos"
    folder.mkdir(parents=True)
    (folder / "0 my own.json").touch()
    for n in range(KEPT + 1):
        reports.keep(report(id=f"20261123T0801{n:02}-00000a"))
    assert (folder / "0 my own.json").exists()


@pytest.mark.parametrize("id", [None, "20261123T080000-ffffff", "../../etc/passwd", "x" * 10_000])
def test_a_report_that_is_not_there_is_named(reports: Reports, id: str | None) -> None:
    with pytest.raises(ItemNotFound):
        reports.get("my photos", id)


def test_a_damaged_report_is_passed_over(reports: Reports, tmp_path: Path) -> None:
    reports.keep(report())
    (tmp_path / "reports" / "my photos" / "20261123T090000-00000a.json").write_text('{"format": 1}')
    (tmp_path / "reports" / "my photos" / "20261123T100000-00000a.json").write_text("torn {")
    strange = to_json(report()) | {"overall": {"figures": []}}
    (tmp_path / "reports" / "my photos" / "20261123T110000-00000a.json").write_text(json.dumps(strange))
    assert reports.get("my photos").id == "20261123T080000-00000a"


def test_a_collections_reports_go_with_it(reports: Reports) -> None:
    reports.keep(report())
    reports.forget("my photos")
    assert reports.ids("my photos") == []


def test_it_is_compared_with_the_last_one_before_it_on_the_same_labels(reports: Reports) -> None:
    earlier = report(outcome(2), outcome(3), id="20261123T070000-00000a")
    for one in (earlier, report(id="20261123T073000-00000a", sha256="other"), report()):
        reports.keep(one)
    comparison = reports.compared(report())
    assert comparison is not None
    assert comparison.before == replace(earlier, outcomes=())
    assert reports.compared(earlier) is None


def test_a_comparison_is_worked_out_once(reports: Reports, tmp_path: Path) -> None:
    for one in (report(outcome(2), outcome(3), id="20261123T070000-00000a"), report()):
        reports.keep(one)
    first = reports.compared(report())
    assert first is not None
    (tmp_path / "reports" / "my photos" / "20261123T070000-00000a.json").unlink()
    assert reports.compared(report()) is first


def test_changes_are_paired_by_line() -> None:
    before = report(outcome(2, 2), outcome(3, 1), outcome(9, 1))
    after = report(outcome(3, 1, flagged=True), outcome(2, 1), outcome(8))
    comparison = compare(after, before)
    assert comparison is not None
    assert comparison.queries == 2
    assert comparison.changes["recall_at_1"] == Estimate(0.5, 0.0, 1.0)
    assert comparison.changes["mrr"] == Estimate(0.25, 0.0, 0.5)
    assert comparison.changes["recall_at_10"] == Estimate(0.0, 0.0, 0.0)
    assert comparison.changes["flagged_answerable"] == Estimate(0.5, 0.0, 1.0)
    assert "flagged_unanswerable" not in comparison.changes


def test_a_change_is_sure_where_its_interval_leaves_out_0() -> None:
    before = report(*(outcome(line, 2) for line in range(2, 12)))
    after = report(*(outcome(line, 1) for line in range(2, 12)))
    comparison = compare(after, before)
    assert comparison is not None
    assert comparison.is_sure("recall_at_1")
    assert not comparison.is_sure("recall_at_10")
    assert not comparison.is_sure("median_rank")


def test_other_labels_are_not_compared() -> None:
    assert compare(report(), report(sha256="other")) is None
    assert compare(report(outcome(2, 1)), report(outcome(3, 1))) is None
