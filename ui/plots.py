"""The plots of a report as SVG by plain arithmetic; colours and type are the style sheet's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.intervals import Estimate
from search.measures import Outcome
from search.report import Report
from ui.markup import Markup, element, joined

WIDTH, HEIGHT = 340, 210
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 14, 32
_BINS = 24  # of scores
_RANKS = (
    ("1", 1, 1),
    ("2", 2, 2),
    ("3", 3, 3),
    ("4–5", 4, 5),
    ("6–10", 6, 10),
    ("≤30", 11, 30),
    ("≤100", 31, 100),
    ("≤1k", 101, 1000),
)


def recall_curve(curve: Sequence[Estimate]) -> Markup:
    """Recall at 1 … 10, and the band in which it lies with 95 %."""
    xs = [_x((k - 0.5) / len(curve)) for k in range(1, len(curve) + 1)]
    band = [(x, _y(point.high)) for x, point in zip(xs, curve, strict=True) if point.high is not None]
    band += [(x, _y(point.low)) for x, point in reversed(list(zip(xs, curve, strict=True))) if point.low is not None]
    line = [(x, _y(point.value)) for x, point in zip(xs, curve, strict=True)]
    dots = [
        element(
            "circle", {"class": "dot", "cx": x, "cy": y, "r": 3}, element("title", {}, f"recall@{k}: {p.value:.1%}")
        )
        for k, ((x, y), p) in enumerate(zip(line, curve, strict=True), 1)
    ]
    said = f"Recall rises from {curve[0].value:.0%} at 1 to {curve[-1].value:.0%} at 10."
    return _plot(
        said,
        _shares(1.0),
        element("polygon", {"class": "band", "points": _points(band)}) if band else None,
        element("polyline", {"class": "curve", "points": _points(line)}),
        *dots,
        *(_label(x, str(k)) for k, x in enumerate(xs, 1)),
    )


def first_ranks(outcomes: Sequence[Outcome]) -> Markup:
    """How many queries have their first relevant image at which rank."""
    ranks = [one.first_rank for one in outcomes if one.is_answerable]
    bars = [(name, sum(rank is not None and low <= rank <= high for rank in ranks)) for name, low, high in _RANKS]
    bars.append(("none", ranks.count(None)))
    most = max(1, *(count for _, count in bars))
    wide = (WIDTH - LEFT - RIGHT) / len(bars)
    drawn = []
    for at, (name, count) in enumerate(bars):
        x, y = LEFT + at * wide, _y(count / most * 0.92)
        shape = {"x": x + 2, "y": y, "width": wide - 4, "height": HEIGHT - BOTTOM - y}
        drawn.append(element("rect", {"class": "bar" if at < 5 else "bar late", **shape}))
        drawn.append(element("text", {"class": "count", "x": x + wide / 2, "y": y - 4}, f"{count:,}" if count else ""))
        drawn.append(_label(x + wide / 2, name, small=True))
    within = sum(count for _, count in bars[:5])
    return _plot(f"{within:,} of {len(ranks):,} queries find their first image among the first ten.", *drawn)


def scores(outcomes: Sequence[Outcome], weak_below: float) -> Markup:
    """Best scores of answerable queries against those of unanswerable ones, each as shares of its kind."""
    asked = [one for one in outcomes if one.score is not None]
    kinds = [
        (name, [one.score for one in asked if one.score is not None and one.is_answerable is is_answerable])
        for name, is_answerable in (("with", True), ("without", False))
    ]
    every = [score for _, found in kinds for score in found]
    low, high = min(every), max(every)
    edges = np.linspace(low - 1e-6, high + 1e-6 if high > low else low + 0.01, _BINS + 1)
    shares = [(name, np.histogram(found, edges)[0] / len(found)) for name, found in kinds if found]
    most = max(float(share.max()) for _, share in shares)

    def x_of(score: float) -> float:
        return _x((score - edges[0]) / (edges[-1] - edges[0]))

    drawn = [_steps(name, share / most * 0.9, [x_of(edge) for edge in edges]) for name, share in shares]
    ticks = [_label(x_of(score), f"{score:.2f}") for score in np.linspace(edges[0], edges[-1], 4)]
    if edges[0] < weak_below < edges[-1]:
        x = x_of(weak_below)
        drawn.append(element("line", {"class": "limit", "x1": x, "x2": x, "y1": TOP, "y2": HEIGHT - BOTTOM}))
        drawn.append(element("text", {"class": "limit-name", "x": x - 4, "y": TOP + 8}, "← flagged"))
    said = ", ".join(
        f"{'with' if name == 'with' else 'without'} an image to find: median {np.median(found):.2f}"
        for name, found in kinds
        if found
    )
    return _plot(f"Best scores of queries {said}.", *drawn, *ticks)


def of_report(report: Report) -> list[tuple[str, Markup, Markup]]:
    """Title, what it shows, and the plot, of those that there is something to draw for."""
    drawn = []
    if report.curve:
        note = "Share of the wanted images among the first k; the band holds it with 95 %."
        drawn.append(("Recall@k", joined([note]), recall_curve(report.curve)))
        note = "Queries by the rank at which it came."
        drawn.append(("First image wanted", joined([note]), first_ranks(report.outcomes)))
    if any(one.score is not None for one in report.outcomes):
        drawn.append(("Best scores", _legend(report), scores(report.outcomes, report.weak_below)))
    return drawn


def _legend(report: Report) -> Markup:
    """Of the scores' two kinds, and of one alone where there is no other."""
    overall = report.overall
    kinds = [("with", "with an image to find", overall.answerable)]
    kinds.append(("without", "without", overall.queries - overall.answerable))
    named = [element("span", {"class": f"swatch {name}"}, f"{said} ({n:,})") for name, said, n in kinds if n]
    return joined(["Shares of queries by the score of their best hit: ", *named])


def _plot(said: str, *children: Markup | None) -> Markup:
    floor = HEIGHT - BOTTOM
    axis = element("line", {"class": "axis", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": floor, "y2": floor})
    frame = {"class": "plot", "viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": said}
    return element("svg", {"xmlns": "http://www.w3.org/2000/svg", **frame}, *children, axis)


def _shares(most: float) -> Markup:
    """Lines at quarters of the height, with their percentages."""
    lines = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        lines.append(element("line", {"class": "level", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y}))
        lines.append(element("text", {"class": "level-name", "x": LEFT - 6, "y": y + 4}, f"{share * most:.0%}"))
    return joined(lines)


def _steps(name: str, heights: NDArray[np.float64], xs: Sequence[float]) -> Markup:
    points = [(xs[0], _y(0.0))]
    for at, height in enumerate(heights):
        points += [(xs[at], _y(float(height))), (xs[at + 1], _y(float(height)))]
    return element("polygon", {"class": f"steps {name}", "points": _points([*points, (xs[-1], _y(0.0))])})


def _label(x: float, text: str, *, small: bool = False) -> Markup:
    return element("text", {"class": "tick small" if small else "tick", "x": x, "y": HEIGHT - BOTTOM + 16}, text)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _x(share: float) -> float:
    return round(float(LEFT + share * (WIDTH - LEFT - RIGHT)), 1)


def _y(share: float) -> float:
    return round(float(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)), 1)
