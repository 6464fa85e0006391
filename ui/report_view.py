"""A report's body as markup: figures, plots, slices, the worst queries as strips; the tab and the file share it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from search.comparison import Comparison
from search.intervals import Estimate
from search.measures import Outcome, ndcg_at_10
from search.report import Report, Slice
from ui import plots
from ui.markup import Markup, element, joined
from ui.report_text import BEYOND, NAMES, about_queries, ann, change, figure, interval, when, worst

WORST_SHOWN = 12
WANTED_SHOWN = 4
UNFLAGGED_SHOWN = 4
_REMARKS_SHOWN = 50
_SLICED = ("recall_at_1", "recall_at_5", "recall_at_10", "precision_at_10", "mrr", "ndcg_at_10", "median_rank")
_LESS_IS_BETTER = ("flagged_answerable",)
_HINTS = {
    "recall_at_1": "share of the wanted images that come first",
    "recall_at_5": "among the first five",
    "recall_at_10": "among the first ten",
    "precision_at_10": "share of the first ten that is wanted",
    "mrr": "mean of 1 / rank of the first image wanted",
    "ndcg_at_10": "first ten against the best order of them",
    "median_rank": "of the first image wanted",
    "flagged_answerable": "told “nothing here fits well” though something does",
    "flagged_unanswerable": "told so where nothing does",
}


@dataclass(frozen=True, slots=True)
class Links:
    """How images, queries and slices are shown: to be opened in the tab, as they are in the file."""

    picture: Callable[[str], Markup]  # of an id
    query: Callable[[Outcome], Markup]
    slice: Callable[[Slice], Markup]


def body(report: Report, comparison: Comparison | None, links: Links) -> Markup:
    return joined(
        [
            _figures(report, comparison),
            _plots(report),
            *(_table(column, report, links) for column in dict.fromkeys(one.column for one in report.slices)),
            strips(report.outcomes, links),
            _remarks(report),
        ]
    )


def strips(outcomes: Sequence[Outcome], links: Links, *, of: str = "") -> Markup:
    """The worst answered queries, and those that nothing answers and that seemed answered best; `of` a slice."""
    failed, unflagged = _shown(outcomes)
    title = f"Worst answered: {of}" if of else "Worst answered"
    return element(
        "div",
        {"class": "worst-of"},
        _list(title, failed, links) if failed or not unflagged else None,
        _list("Not flagged, though nothing here answers them", unflagged, links) if unflagged else None,
    )


def shown_ids(outcomes: Sequence[Outcome]) -> list[str]:
    """Of the images that the strips show."""
    failed, unflagged = _shown(outcomes)
    return list(dict.fromkeys(id for one in (*failed, *unflagged) for id in (*one.missed[:WANTED_SHOWN], *one.found)))


def outcomes_of(report: Report, column: str, value: str) -> list[Outcome]:
    """Of a slice; none where there is no such column."""
    if column not in report.asked.columns:
        return []
    at = report.asked.columns.index(column)
    return [one for one in report.outcomes if one.values[at] == value]


def slice_name(one: Slice) -> str:
    return one.value or "(none)"


def _shown(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    unflagged = [one for one in outcomes if not one.is_answerable and not one.flagged and one.score is not None]
    unflagged.sort(key=lambda one: -(one.score or 0))
    return worst(outcomes, WORST_SHOWN), unflagged[:UNFLAGGED_SHOWN]


def _figures(report: Report, comparison: Comparison | None) -> Markup:
    tiles = [_tile(name, report, comparison) for name in NAMES if report.overall.figures.get(name) is not None]
    ms = report.latency_ms
    tiles.append(_plain_tile("ann_recall@10", *ann(report).partition(": ")[::2], "the index against the exact scan"))
    tiles.append(_plain_tile("latency", f"{ms['p50']:.1f} ms", f"p95 {ms['p95']:.1f} ms", "of a query, p50"))
    intro = [element("p", {"class": "report-about"}, about_queries(report))]
    if comparison:
        intro.append(element("p", {"class": "report-about"}, _since(comparison)))
    return element("section", {"aria-label": "Figures"}, *intro, element("dl", {"class": "figures-grid"}, *tiles))


def _since(comparison: Comparison) -> str:
    before = comparison.before
    return (
        f"Changes since {when(before)}, the last report on the same labels: "
        f"{before.model} ({before.fingerprint[:12]}), {before.size:,} images. In brackets the paired 95 % interval; "
        "better or worse is said where it leaves out 0."
    )


def _tile(name: str, report: Report, comparison: Comparison | None) -> Markup:
    estimate = report.overall.figures.get(name)
    within = interval(name, estimate)
    return element(
        "div",
        {"title": _HINTS[name]},
        element("dt", {}, NAMES[name]),
        element("dd", {"class": "value-large"}, figure(name, estimate)),
        element("dd", {"class": "value-note"}, within) if within else None,
        _change(name, comparison),
    )


def _change(name: str, comparison: Comparison | None) -> Markup | None:
    said = change(name, comparison)
    if not said or comparison is None:
        return None
    verdict = ""
    if comparison.is_sure(name):
        is_up = comparison.changes[name].value > 0
        verdict = "worse" if is_up == (name in _LESS_IS_BETTER) else "better"
    value, space, ends = said.partition(" (")
    within = element("span", {}, f"({ends}") if space else None
    return element("dd", {"class": f"value-change {verdict}".rstrip()}, f"{value} {verdict} ", within)


def _plain_tile(title: str, value: str, note: str, hint: str) -> Markup:
    return element(
        "div",
        {"title": hint},
        element("dt", {}, title),
        element("dd", {"class": "value-large"}, value),
        element("dd", {"class": "value-note"}, note) if note else None,
    )


def _plots(report: Report) -> Markup:
    drawn = [
        element("figure", {}, element("figcaption", {}, element("h2", {}, title), element("p", {}, note)), plot)
        for title, note, plot in plots.of_report(report)
    ]
    return element("section", {"class": "plots", "aria-label": "Plots"}, *drawn)


def _table(column: str, report: Report, links: Links) -> Markup:
    slices = [one for one in report.slices if one.column == column]
    heads = [element("div", {}, column), "queries", *(NAMES[name] for name in _SLICED), "flagged"]
    head = element("tr", {}, *(element("th", {"scope": "col"}, h) for h in heads))
    table = element(
        "table", {}, element("thead", {}, head), element("tbody", {}, *(_row(one, links) for one in slices))
    )
    title = element("h2", {}, f"By {column}")
    scroller = {"class": "table-scroll", "tabindex": "0", "role": "region", "aria-label": f"Figures by {column}"}
    return element("section", {}, title, element("div", scroller, table))


def _row(one: Slice, links: Links) -> Markup:
    flagged = "flagged_answerable" if one.answerable else "flagged_unanswerable"
    cells = [_cell(name, one.figures.get(name)) for name in (*_SLICED, flagged)]
    name = element("th", {"scope": "row"}, element("div", {}, links.slice(one)))
    return element("tr", {}, name, element("td", {}, f"{one.queries:,}"), *cells)


def _cell(name: str, estimate: Estimate | None) -> Markup:
    within = interval(name, estimate)
    return element("td", {}, figure(name, estimate), element("small", {}, within) if within else None)


def _list(title: str, outcomes: Sequence[Outcome], links: Links) -> Markup:
    rows = [_strip(one, links) for one in outcomes]
    shown = element("ul", {"class": "worst"}, *rows) if rows else element("p", {}, "Every one is answered perfectly.")
    return element("section", {}, element("h2", {}, title), shown)


def _strip(one: Outcome, links: Links) -> Markup:
    shown = one.missed[:WANTED_SHOWN]
    wanted = _pictures("Wanted", shown, links, more=one.relevant - len(one.places) - len(shown))
    found = _pictures("Found", one.found, links, right=frozenset(one.found[place - 1] for place in one.places))
    return element(
        "li",
        {},
        element("p", {"class": "worst-query"}, links.query(one), *_facts(one)),
        element("div", {"class": "strips"}, wanted if shown else None, found),
    )


def _facts(one: Outcome) -> list[Markup]:
    facts = [value for value in one.values if value]
    if one.is_answerable:
        rank = f"rank {one.first_rank:,}" if one.first_rank else f"rank {BEYOND}"
        facts += [f"first at {rank}", f"nDCG@10 {ndcg_at_10(one):.2f}"]
    elif one.score is not None:
        facts.append(f"score {one.score:.3f}")
    return [element("span", {"class": "fact"}, fact) for fact in facts]


def _pictures(
    title: str, ids: Iterable[str], links: Links, *, right: frozenset[str] = frozenset(), more: int = 0
) -> Markup:
    tiles = [
        element("span", {"class": "thumb-place right" if id in right else "thumb-place"}, links.picture(id))
        for id in ids
    ]
    if more > 0:
        tiles.append(element("span", {"class": "thumb-more"}, f"+{more:,}"))
    return element(
        "div",
        {"class": "strip"},
        element("span", {"class": "strip-name"}, title),
        element("span", {"class": "thumbs"}, *tiles),
    )


def _remarks(report: Report) -> Markup | None:
    count = report.asked.remarks_count
    if not count:
        return None
    remarks = report.asked.remarks[:_REMARKS_SHOWN]
    rows = [element("li", {}, element("span", {"class": "fact"}, f"line {one.line}"), one.reason) for one in remarks]
    if count > len(remarks):
        rows.append(element("li", {}, f"and {count - len(remarks):,} more"))
    said = f"{count:,} {'line' if count == 1 else 'lines'} of {report.asked.name} could not be used as they are"
    return element("details", {"class": "remarks"}, element("summary", {}, said), element("ul", {}, *rows))
