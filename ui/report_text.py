"""A report of an evaluation in words and figures, as every face writes them, and as the table for a terminal."""

import math
from collections.abc import Sequence

from search.comparison import Comparison
from search.intervals import Estimate
from search.measures import Outcome, ndcg_at_10
from search.report import Report, Slice
from ui.terminal import plain

NAMES = {
    "recall_at_1": "recall@1",
    "recall_at_5": "recall@5",
    "recall_at_10": "recall@10",
    "precision_at_10": "P@10",
    "mrr": "MRR",
    "ndcg_at_10": "nDCG@10",
    "median_rank": "median rank",
    "flagged_answerable": "flagged wrongly",
    "flagged_unanswerable": "flagged rightly",
}
_SHARES = (
    "recall_at_1",
    "recall_at_5",
    "recall_at_10",
    "precision_at_10",
    "flagged_answerable",
    "flagged_unanswerable",
)
_TABLE = ("recall_at_1", "recall_at_5", "recall_at_10", "precision_at_10", "mrr", "ndcg_at_10", "median_rank")
_REMARKS_SHOWN = 10
_WORST_SHOWN = 5
BEYOND = "> 1,000"


def figure(name: str, estimate: Estimate | None) -> str:
    """`84.2 %`, `.713`, `3`, or `–` where there is nothing to judge it by."""
    return "–" if estimate is None else _number(name, estimate.value)


def interval(name: str, estimate: Estimate | None) -> str:
    """`82.1 – 86.0`; empty where one query tells nothing of it."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    low, high = (_number(name, end).removesuffix(" %") for end in (estimate.low, estimate.high))
    return f"{low} – {high}"


def change(name: str, comparison: Comparison | None) -> str:
    """`+1.3 (0.2 … 2.4)`: points where the figure is a share; empty where nothing is compared."""
    estimate = comparison.changes.get(name) if comparison else None
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return _signed(name, estimate.value)
    if estimate.value == estimate.low == estimate.high == 0:
        return "no change"
    return f"{_signed(name, estimate.value)} ({_signed(name, estimate.low)} … {_signed(name, estimate.high)})"


def about(report: Report) -> str:
    """What was judged, in one line."""
    return f"{report.collection}: {report.size:,} images · {report.model} ({report.fingerprint[:12]})"


def about_queries(report: Report) -> str:
    overall = report.overall
    without = overall.queries - overall.answerable
    nothing = f", {without:,} of them with no image to find" if without else ""
    out = report.asked.lines - overall.queries
    left = f"; {out:,} {'line' if out == 1 else 'lines'} left out" if out else ""
    return f"{report.asked.name}: {overall.queries:,} {'query' if overall.queries == 1 else 'queries'}{nothing}{left}"


def when(report: Report) -> str:
    return f"{report.made_at[:16].replace('T', ' ')} UTC"


def ann(report: Report) -> str:
    """How much of the exact first ten the index found."""
    if report.ann_recall_at_10 is None:
        return "exact: every image was compared"
    return f"{figure('recall_at_10', report.ann_recall_at_10)} ({interval('recall_at_10', report.ann_recall_at_10)})"


def asked(outcome: Outcome) -> str:
    return " + ".join(part for part in (outcome.text, outcome.image and f"[{outcome.image}]") if part)


def worst(outcomes: Sequence[Outcome], most: int) -> list[Outcome]:
    """The answerable queries whose answers are worth least: by nDCG@10, then by how deep the first image lies."""

    def worth(one: Outcome) -> tuple[float, float]:
        return ndcg_at_10(one), -(one.first_rank or math.inf)

    failing = [one for one in outcomes if one.is_answerable and ndcg_at_10(one) < 1]
    return sorted(failing, key=worth)[:most]


def as_text(report: Report, comparison: Comparison | None) -> str:
    lines = [plain(about(report)), plain(about_queries(report)), ""]
    head = f"{'':<20}{'value':>9}   {'95 % interval':<17}"
    lines.append((head + (f"since {comparison.before.made_at[:10]}" if comparison else "")).rstrip())
    for name, title in NAMES.items():
        estimate = report.overall.figures.get(name)
        shown = figure(name, estimate)
        lines.append(f"{title:<20}{shown:>9}   {interval(name, estimate):<17}{change(name, comparison)}".rstrip())
    lines.append(f"{'ann_recall@10':<20}{ann(report)}")
    lines.append(f"{'latency':<20}p50 {report.latency_ms['p50']:.1f} ms, p95 {report.latency_ms['p95']:.1f} ms")
    for column in dict.fromkeys(one.column for one in report.slices):
        lines += ["", *_slices(column, [one for one in report.slices if one.column == column])]
    lines += _worst(report)
    lines += _remarks(report)
    return "\n".join(lines)


def _slices(column: str, slices: Sequence[Slice]) -> list[str]:
    width = max(14, *(len(plain(one.value)) for one in slices)) + 2
    heads = "".join(f"{NAMES[name].replace('recall', 'R').replace('median ', ''):>9}" for name in _TABLE)
    lines = [f"{plain(column):<{width}}{'queries':>8}{heads}{'flagged':>9}"]
    for one in slices:
        figures = "".join(f"{figure(name, one.figures[name]):>9}" for name in _TABLE)
        flagged = one.figures["flagged_answerable" if one.answerable else "flagged_unanswerable"]
        shown = figure("flagged_answerable", flagged)
        lines.append(f"{plain(one.value) or '–':<{width}}{one.queries:>8,}{figures}{shown:>9}")
    return lines


def _worst(report: Report) -> list[str]:
    lines = [
        f"  line {one.line:<6}{_place(one):>16}   {plain(asked(one))[:80]}"
        for one in worst(report.outcomes, _WORST_SHOWN)
    ]
    return ["", "worst answered: first image wanted at rank", *lines] if lines else []


def _place(outcome: Outcome) -> str:
    return BEYOND if outcome.first_rank is None else f"{outcome.first_rank:,}"


def _remarks(report: Report) -> list[str]:
    remarks = report.asked.remarks[:_REMARKS_SHOWN]
    lines = [f"  line {one.line}: {plain(one.reason)}" for one in remarks]
    more = report.asked.remarks_count - len(remarks)
    if more:
        lines.append(f"  and {more:,} more")
    return ["", "lines that could not be used as they are:", *lines] if lines else []


def _number(name: str, value: float) -> str:
    if name == "median_rank":
        return f"{value:,.0f}" if math.isfinite(value) else BEYOND
    return f"{100 * value:.1f} %" if name in _SHARES else f"{value:.3f}"


def _signed(name: str, value: float) -> str:
    shown = f"{100 * value:+.1f}" if name in _SHARES else f"{value:+.3f}"
    return shown.replace("-", "−")
