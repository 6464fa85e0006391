"""Labelled queries are judged by what they find; exact figures on four colours, and on a fan of thirty."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.engine import SearchEngine
from search.errors import BadQuery, SourceError
from search.evaluate import evaluate
from search.intervals import Estimate
from search.labels import Remark, read_labels
from search.report import Report
from search.types import Collection, Embedding, Found, Where
from search.workspace import Workspace
from tests.contract.served import open_workspace, picture
from tests.fakes import FakeEncoder
from tests.stored import item

NDCG_OF_2_AND_4 = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def engine(workspace: Workspace) -> SearchEngine:
    return workspace.engine("colours")


def judge(
    engine: SearchEngine, *lines: str, head: str = "query,relevant,kind", by: Sequence[str] | None = None
) -> Report:
    labels = read_labels("\n".join([head, *lines]).encode(), name="own.csv")
    report = evaluate(engine, labels, by=by)
    assert report is not None
    return report


def value(figures: object, name: str) -> float:
    estimate = figures[name]  # type: ignore[index]
    assert isinstance(estimate, Estimate)
    return estimate.value


def test_figures_are_means_over_the_answerable_queries(engine: SearchEngine) -> None:
    report = judge(engine, "red,red,a", "red,yellow green,a", "red,,b")
    figures = report.overall.figures
    assert (report.overall.queries, report.overall.answerable) == (3, 2)
    assert (value(figures, "recall_at_1"), value(figures, "recall_at_5"), value(figures, "recall_at_10")) == (0.5, 1, 1)
    assert value(figures, "precision_at_10") == pytest.approx((0.1 + 0.2) / 2)
    assert value(figures, "mrr") == pytest.approx((1 + 1 / 2) / 2)
    assert value(figures, "ndcg_at_10") == pytest.approx((1 + NDCG_OF_2_AND_4) / 2)
    assert value(figures, "median_rank") == 1
    assert [point.value for point in report.curve] == [0.5, 0.75, 0.75, *[1.0] * 7]


def test_an_outcome_says_what_was_found_and_what_was_missed(engine: SearchEngine) -> None:
    [outcome] = judge(engine, "red,yellow,a").outcomes
    assert outcome.found[:2] == ("red", "yellow")
    assert (outcome.places, outcome.first_rank, outcome.relevant, outcome.missed) == ((2,), 2, 1, ())
    assert (outcome.score, outcome.values, outcome.flagged, outcome.ann_recall) == (1.0, ("a",), False, None)


def test_slices_follow_every_other_column_in_the_order_they_come(engine: SearchEngine) -> None:
    lines = ("red,red,b,1", "blue,blue,a,1", "red,green,b,2")
    report = judge(engine, *lines, head="query,relevant,kind,part")
    assert [(one.column, one.value, one.queries) for one in report.slices] == [
        ("kind", "b", 2),
        ("kind", "a", 1),
        ("part", "1", 2),
        ("part", "2", 1),
    ]
    assert value(report.slices[0].figures, "recall_at_1") == 0.5
    only = judge(engine, *lines, head="query,relevant,kind,part", by=["part"])
    assert [one.column for one in only.slices] == ["part", "part"]
    assert judge(engine, *lines, head="query,relevant,kind,part", by=["part", "part"]).slices == only.slices


def test_a_column_of_too_many_values_splits_nothing(engine: SearchEngine) -> None:
    report = judge(engine, *(f"red,red,note {n}" for n in range(41)))
    assert report.slices == ()


def test_a_column_that_is_none_is_refused_by_name(engine: SearchEngine) -> None:
    with pytest.raises(BadQuery, match=r"own\.csv has no column \"size\" to split by; there are: kind\."):
        judge(engine, "red,red,a", by=["size"])


def test_unanswerable_queries_count_as_flagged_or_not_and_nothing_else(engine: SearchEngine) -> None:
    report = judge(engine, "red,,none", "blue,,none")
    assert report.curve == ()
    assert {name: one.value for name, one in report.overall.figures.items() if one} == {"flagged_unanswerable": 0.0}


def test_lines_that_can_not_be_asked_are_told_and_the_others_are(engine: SearchEngine) -> None:
    report = judge(engine, "red,red,a", "red,gone,a", "red,red", "-red red,red,a")
    assert report.overall.queries == 2
    assert (report.asked.lines, report.asked.remarks_count) == (4, 2)
    assert [(remark.line, remark.is_left_out) for remark in report.asked.remarks] == [(3, True), (4, True)]
    assert report.asked.remarks[0] == Remark(3, '"gone" is no image of the collection.')


def test_parts_that_cancel_each_other_out_cost_their_line_only(engine: SearchEngine) -> None:
    report = judge(engine, "red,red,a", "-red,red,a", "red -red -red -red -red,blue,a")
    assert [remark.line for remark in report.asked.remarks] == [4]
    assert "cancel each other out" in report.asked.remarks[0].reason


def test_a_file_of_which_nothing_can_be_asked_is_refused_with_the_first_reason(engine: SearchEngine) -> None:
    with pytest.raises(SourceError) as refused:
        judge(engine, "red,gone,a", "red")
    assert str(refused.value) == (
        'own.csv holds no query that can be asked of this collection. Line 2: "gone" is no image of the collection.'
    )


def test_a_picture_can_ask(engine: SearchEngine) -> None:
    labels = read_labels(b"image,query,relevant\nsea.png,,blue\nlost.png,,red\n", name="own.csv", with_images=True)

    def read_image(name: str) -> bytes:
        if name != "sea.png":
            raise SourceError(f"{name} can't be read.")
        return picture("blue")

    report = evaluate(engine, labels, read_image=read_image)
    assert report is not None
    assert [(one.image, one.places) for one in report.outcomes] == [("sea.png", (1,))]
    assert report.asked.remarks == (Remark(3, "lost.png can't be read."),)


def test_progress_is_told_and_a_cancelled_run_gives_no_report(engine: SearchEngine) -> None:
    labels = read_labels(b"query,relevant\nred,red\nblue,blue\n", name="own.csv")
    told: list[tuple[int, int]] = []
    assert evaluate(engine, labels, tell=lambda done, total: told.append((done, total))) is not None
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert evaluate(engine, labels, cancelled=lambda: True) is None


def test_a_run_is_cancelled_before_the_first_query_and_after_the_last(engine: SearchEngine) -> None:
    unknown = read_labels(b"query,relevant\nred,gone\n", name="own.csv")
    assert evaluate(engine, unknown, cancelled=lambda: True) is None
    known, told = read_labels(b"query,relevant,kind\nred,red,a\n", name="own.csv"), list[tuple[int, ...]]()
    assert evaluate(engine, known, tell=lambda *at: told.append(at), cancelled=lambda: (1, 1) in told) is None
    assert told == [(0, 1), (1, 1)]


def test_a_run_uses_no_embedding_that_a_person_left_and_leaves_none(workspace: Workspace) -> None:
    engine = workspace.engine("colours")
    with workspace.encoders.using("fake") as encoder:
        assert isinstance(encoder, FakeEncoder)
    engine.embedder.embed_texts(["red"])
    before = encoder.texts_encoded
    judge(engine, "red,red,a")
    assert encoder.texts_encoded > before
    before = encoder.texts_encoded
    engine.embedder.embed_texts(["red"])
    judge(engine, "blue,blue,a")
    engine.embedder.embed_texts(["blue"])
    assert encoder.texts_encoded >= before + 2


@pytest.fixture
def fan(workspace: Workspace) -> SearchEngine:
    """Thirty images, each a little further from red: fan-1 is the first hit of "red", fan-30 the last."""
    workspace.create("fan", model="fake")
    engine = workspace.engine("fan")
    angles = np.radians(np.arange(1, 31) * 2.5)
    engine.collection.put(
        [item(n, (math.cos(a), math.sin(a), 0), id=f"fan-{n}") for n, a in enumerate(angles.tolist(), 1)]
    )
    return engine


def test_ranks_beyond_ten_are_known(fan: SearchEngine) -> None:
    report = judge(fan, "red,fan-25 fan-26,a", "red,fan-3,a", "red,fan-12,a")
    assert [one.first_rank for one in report.outcomes] == [25, 3, 12]
    assert value(report.overall.figures, "mrr") == pytest.approx((1 / 25 + 1 / 3 + 1 / 12) / 3)
    assert value(report.overall.figures, "median_rank") == 12
    assert value(report.overall.figures, "recall_at_10") == pytest.approx(1 / 3)
    assert report.outcomes[0].missed == ("fan-25", "fan-26")


def test_a_collection_that_is_compared_image_by_image_says_so(fan: SearchEngine) -> None:
    report = judge(fan, "red,fan-1,a")
    assert (report.via, report.ann_recall_at_10) == ("exact", None)


class Emptied:
    """A collection that the index still answers from, while the last image is removed."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def __len__(self) -> int:
        return len(self._collection)

    def search(self, vector: Embedding, *, top_k: int, where: Where = (), exact: bool = False) -> Found:
        return Found([], [], "exact") if exact else Found(["red"], [1.0], "chroma")


def test_images_that_go_meanwhile_leave_an_index_unjudged(engine: SearchEngine) -> None:
    engine.collection = Emptied(engine.collection)
    report = judge(engine, "red,blue,a")
    assert (report.via, report.ann_recall_at_10, report.outcomes[0].first_rank) == ("chroma", None, None)


class Losing:
    """A collection whose index has lost one image on the first page and finds it again on deeper ones, as HNSW may."""

    def __init__(self, collection: Collection, lost: str) -> None:
        self._collection, self._lost = collection, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def __len__(self) -> int:
        return len(self._collection)

    def search(self, vector: Embedding, *, top_k: int, where: Where = (), exact: bool = False) -> Found:
        if exact:
            return self._collection.search(vector, top_k=top_k, exact=True)
        found = self._collection.search(vector, top_k=top_k + 1)
        pairs = list(zip(found.ids, found.scores, strict=True))
        if top_k == 10:
            pairs = [(id, score) for id, score in pairs if id != self._lost]
        return Found([id for id, _ in pairs[:top_k]], [score for _, score in pairs[:top_k]], "chroma")


def test_an_image_that_the_index_lost_counts_for_no_figure(fan: SearchEngine) -> None:
    fan.collection = Losing(fan.collection, "fan-2")
    report = judge(fan, "red,fan-2,a", "red,fan-2 fan-15,a", "red,fan-3,a")
    assert [one.places for one in report.outcomes] == [(), (), (2,)]
    assert [one.first_rank for one in report.outcomes] == [None, 15, 2]
    assert [one.ann_recall for one in report.outcomes] == [0.9, 0.9, 0.9]
    assert value(report.overall.figures, "mrr") == pytest.approx((0 + 1 / 15 + 1 / 2) / 3)


def test_reports_of_one_second_are_in_the_order_of_time(engine: SearchEngine) -> None:
    ids = [judge(engine, "red,red,a").id for _ in range(5)]
    assert ids == sorted(ids)
