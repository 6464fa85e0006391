"""Judges retrieval: asks a collection labelled queries one after another and sums up what came back."""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from search import intervals, measures
from search.engine import SearchEngine
from search.errors import BadImage, BadQuery, SourceError
from search.intervals import Estimate
from search.labels import LabelledQuery, Labels, Remark, match
from search.measures import DEPTH, MEASURES, Outcome
from search.query import MAX_TOP_K, parse_text
from search.report import Asked, Figures, Report, Slice
from search.types import Part, Query

MOST_VALUES = 40  # of a column that splits the queries: more are no slices but names
MOST_REMARKS = 200  # kept with a report
MISSED_KEPT = 4

ReadImage = Callable[[str], bytes]


def evaluate(
    engine: SearchEngine,
    labels: Labels,
    *,
    by: Sequence[str] | None = None,
    read_image: ReadImage | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Report | None:
    """None where it was cancelled. `by`: the columns to split by, all where None; `tell`: queries asked, and in all.

    Raises: BadQuery for a column that is none, SourceError where no query can be asked, CollectionError.
    """
    for column in by or ():
        if column not in labels.columns:
            known = ", ".join(labels.columns) or "none"
            raise BadQuery(f'{labels.name} has no column "{column[:40]}" to split by; there are: {known}.')
    started = time.perf_counter()
    engine = engine.apart()
    queries, remarks = match(labels.rows, engine.collection, cancelled=cancelled)
    outcomes: list[Outcome] = []
    vias: set[str] = set()
    engine.weak_below()  # measured before the first query is timed
    for done, query in enumerate(queries):
        if cancelled():
            return None
        tell(done, len(queries))
        try:
            outcome, via = _ask(engine, query, read_image)
        except (BadQuery, BadImage, SourceError) as error:
            remarks.append(Remark(query.row.line, str(error)))
            continue
        outcomes.append(outcome)
        vias.add(via)
    tell(len(queries), len(queries))
    if cancelled():
        return None
    every = sorted((*labels.remarks, *remarks), key=lambda remark: remark.line)
    if not outcomes:
        first = f" Line {every[0].line}: {every[0].reason}" if every else ""
        raise SourceError(f"{labels.name} holds no query that can be asked of this collection.{first}")
    columns = labels.columns if by is None else dict.fromkeys(by)
    slices = _slices(labels.columns, outcomes, by=columns, cancelled=cancelled)
    if cancelled():
        return None
    return _report(engine, labels, outcomes, every, slices=slices, vias=vias, seconds=time.perf_counter() - started)


def _ask(engine: SearchEngine, query: LabelledQuery, read_image: ReadImage | None) -> tuple[Outcome, str]:
    """The outcome, and which path answered."""
    row = query.row
    parts = parse_text(row.text) if row.text else ()
    if row.image and read_image:
        parts = (*parts, Part(image=read_image(row.image)))
    asked = Query(parts=parts, top_k=DEPTH)
    answer = engine.search(asked)
    found = [hit.id for hit in answer.hits]
    places = tuple(rank for rank, id in enumerate(found, 1) if id in query.relevant)
    first_rank = places[0] if places else _rank_behind(engine, asked, query.relevant)
    ann_recall = None
    if answer.via == "chroma":
        exact = engine.collection.search(engine.vector(asked), top_k=DEPTH, exact=True)
        if exact.scores:  # all images may have been removed in between
            tenth = exact.scores[-1]  # an image that ties with it is as good
            ann_recall = sum(hit.score >= tenth for hit in answer.hits) / len(exact.scores)
    outcome = Outcome(
        line=row.line,
        text=row.text,
        image=row.image,
        values=row.values,
        relevant=len(query.relevant),
        places=places,
        first_rank=first_rank,
        score=answer.hits[0].score if answer.hits else None,
        flagged=answer.weak,
        found=tuple(found),
        missed=tuple(sorted(query.relevant - set(found))[:MISSED_KEPT]),
        took_ms=round(sum(answer.took_ms.values()), 3),
        ann_recall=ann_recall,
    )
    return outcome, answer.via


def _rank_behind(engine: SearchEngine, asked: Query, relevant: frozenset[str]) -> int | None:
    """Where somebody who goes on behind the first ten comes upon a relevant image, by whichever path answers there.

    One that ranks higher there was lost on the first page, and is not seen on the pages behind it either.
    """
    if not relevant:
        return None
    found = engine.collection.search(engine.vector(asked), top_k=MAX_TOP_K)
    return next((rank for rank, id in enumerate(found.ids, 1) if rank > DEPTH and id in relevant), None)


def _report(
    engine: SearchEngine,
    labels: Labels,
    outcomes: Sequence[Outcome],
    remarks: Sequence[Remark],
    *,
    slices: Sequence[Slice],
    vias: set[str],
    seconds: float,
) -> Report:
    info, now = engine.collection.info, datetime.now(UTC)
    took = [one.took_ms for one in outcomes]
    curve = measures.recalls(outcomes)
    ann = np.array([[one.ann_recall] for one in outcomes if one.ann_recall is not None], np.float64)
    return Report(
        id=f"{now:%Y%m%dT%H%M%S}-{now.microsecond:05x}{secrets.token_hex(1)[0]}",  # in the order of time
        made_at=now.isoformat(timespec="seconds"),
        collection=info.name,
        version=info.version,
        model=info.model,
        fingerprint=info.fingerprint,
        size=len(engine.collection),
        asked=Asked(
            name=labels.name,
            sha256=labels.sha256,
            lines=len(labels.rows) + len(labels.remarks),
            columns=labels.columns,
            remarks=tuple(remarks[:MOST_REMARKS]),
            remarks_count=len(remarks),
        ),
        via="both" if len(vias) > 1 else "chroma" if "chroma" in vias else "exact",
        overall=_slice("", "", outcomes),
        curve=tuple(intervals.means(curve)) if len(curve) else (),
        slices=tuple(slices),
        ann_recall_at_10=intervals.means(ann)[0] if len(ann) else None,
        latency_ms={"p50": round(float(np.percentile(took, 50)), 2), "p95": round(float(np.percentile(took, 95)), 2)},
        weak_below=engine.weak_below(),
        seconds=round(seconds, 2),
        outcomes=tuple(outcomes),
    )


def _slices(
    columns: Sequence[str], outcomes: Sequence[Outcome], *, by: Iterable[str], cancelled: Callable[[], bool]
) -> list[Slice]:
    """In the order in which the values first come; a column of too many values, such as a note, splits nothing."""
    found = []
    for column in by:
        at = columns.index(column)
        groups: dict[str, list[Outcome]] = {}
        for one in outcomes:
            groups.setdefault(one.values[at], []).append(one)
        if len(groups) <= MOST_VALUES:
            found += [_slice(column, value, group) for value, group in groups.items() if not cancelled()]
    return found


def _slice(column: str, value: str, outcomes: Sequence[Outcome]) -> Slice:
    answerable = sum(one.is_answerable for one in outcomes)
    return Slice(column, value, len(outcomes), answerable, _figures(outcomes))


def _figures(outcomes: Sequence[Outcome]) -> Figures:
    table, ranks = measures.table(outcomes), measures.first_ranks(outcomes)
    figures: dict[str, Estimate | None] = dict.fromkeys((*MEASURES, "median_rank"))
    if len(table):
        figures |= zip(MEASURES, intervals.means(table), strict=True)
        figures["median_rank"] = intervals.median(ranks)
    for name, answerable in (("flagged_answerable", True), ("flagged_unanswerable", False)):
        flags = measures.flags(outcomes, answerable=answerable)
        figures[name] = intervals.means(flags)[0] if len(flags) else None
    return figures
