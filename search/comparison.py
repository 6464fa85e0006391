"""How a report differs from an earlier one that was asked the same labels, query by query; it keeps none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from search import intervals, measures
from search.intervals import Estimate
from search.measures import MEASURES, Outcome
from search.report import Report


@dataclass(frozen=True, slots=True)
class Comparison:
    """Each figure's change with its interval: paired, so that hard queries weigh on both alike."""

    before: Report  # without its outcomes
    queries: int  # asked both times
    changes: Mapping[str, Estimate]  # later − earlier

    def is_sure(self, name: str) -> bool:
        """Whether chance alone would seldom make such a change: the interval leaves out 0."""
        change = self.changes.get(name)
        return (
            change is not None
            and change.low is not None
            and change.high is not None
            and (change.low > 0 or change.high < 0)
        )


def compare(report: Report, before: Report) -> Comparison | None:
    """None where they were asked different labels, or no query of them both times."""
    if report.asked.sha256 != before.asked.sha256:
        return None
    earlier = {one.line: one for one in before.outcomes}
    pairs = [(one, earlier[one.line]) for one in report.outcomes if one.line in earlier]
    pairs = [(now, then) for now, then in pairs if now.is_answerable == then.is_answerable]
    if not pairs:
        return None
    after, then = [now for now, _ in pairs], [then for _, then in pairs]
    changes: dict[str, Estimate] = {}
    if any(one.is_answerable for one in after):
        difference = measures.table(after) - measures.table(then)
        changes |= zip(MEASURES, intervals.means(difference), strict=True)
    for name, answerable in (("flagged_answerable", True), ("flagged_unanswerable", False)):
        change = _flags_change(after, then, answerable=answerable)
        if change is not None:
            changes[name] = change
    return Comparison(replace(before, outcomes=()), len(pairs), changes)


def _flags_change(after: Sequence[Outcome], before: Sequence[Outcome], *, answerable: bool) -> Estimate | None:
    difference = measures.flags(after, answerable=answerable) - measures.flags(before, answerable=answerable)
    return intervals.means(difference)[0] if len(difference) else None
