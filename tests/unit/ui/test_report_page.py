"""A report as a page: plots from known figures, strips of what was wanted and found, and no name that is markup."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from search.comparison import compare
from search.intervals import Estimate
from search.workspace import Workspace
from tests.contract.served import open_workspace
from tests.unit.test_reports import outcome, report
from ui.markup import Markup, element, joined
from ui.plots import HEIGHT, first_ranks, of_report, recall_curve, scores
from ui.report_page import page
from ui.report_text import as_text, figure, interval, worst

HOSTILE = '"><img src=x onerror=alert(1)>{{x}} ${x} $x </style><script>alert(1)</script>'


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    assert (
        element("p", {"title": HOSTILE[:5]}, "<b>", element("i")) == '<p title="&quot;&gt;&lt;im">&lt;b&gt;<i></i></p>'
    )
    assert element("img", {"alt": "", "hidden": True, "src": None, "x": 1.50}) == '<img alt="" hidden="" x="1.5"/>'
    assert joined(["a&b", None, Markup("<br/>")]) == "a&amp;b<br/>"


def test_the_curve_and_its_band_stand_where_the_figures_say() -> None:
    drawn = recall_curve([Estimate(0.0, 0.0, 0.5), Estimate(1.0, 0.5, 1.0)])
    top, middle, bottom = 14.0, (14 + HEIGHT - 32) / 2, float(HEIGHT - 32)
    assert f'class="curve" points="113.0,{bottom} 259.0,{top}"' in drawn
    assert f'points="113.0,{middle} 259.0,{top} 259.0,{middle} 113.0,{bottom}"' in drawn
    assert 'aria-label="Recall rises from 0% at 1 to 100% at 10."' in drawn


def test_ranks_are_counted_in_bins() -> None:
    outcomes = [outcome(2, 1), outcome(3, 1), outcome(4, 5), replace(outcome(5), first_rank=700), outcome(6)]
    counts = re.findall(r'class="count"[^>]*>([\d,]*)<', first_ranks(outcomes))
    assert counts == ["2", "", "", "1", "", "", "", "1", "1"]


def test_scores_of_both_kinds_are_drawn_with_the_limit_between_them() -> None:
    asked = [replace(outcome(2, 1), score=0.4), replace(outcome(3, relevant=0), score=0.2)]
    drawn = scores(asked, 0.3)
    assert ['class="steps with"' in drawn, 'class="steps without"' in drawn, "flagged" in drawn] == [True] * 3
    assert 'class="limit"' not in scores(asked, -1.0)
    assert 'class="steps with"' in scores(asked[:1] * 2, -1.0)  # all of one score


def test_without_answerable_queries_only_scores_are_drawn() -> None:
    unanswerable = replace(report(outcome(2, relevant=0)), curve=())
    assert [title for title, _, _ in of_report(unanswerable)] == ["Best scores"]


def test_the_worst_are_those_of_least_worth_and_then_of_deepest_rank() -> None:
    outcomes = [outcome(2, 1), replace(outcome(3), first_rank=40), outcome(4), outcome(5, 9), outcome(6, relevant=0)]
    assert [one.line for one in worst(outcomes, 9)] == [4, 3, 5]


def test_figures_are_written_by_their_kind() -> None:
    infinite = Estimate(float("inf"), 2.0, float("inf"))
    assert (figure("recall_at_1", Estimate(0.8416, 0.8, 0.9)), figure("mrr", None)) == ("84.2 %", "–")
    assert interval("recall_at_1", Estimate(0.8416, 0.8, 0.9)) == "80.0 – 90.0"
    assert (figure("median_rank", infinite), interval("median_rank", infinite)) == ("> 1,000", "2 – > 1,000")
    assert interval("mrr", Estimate(0.5, None, None)) == ""


def test_hostile_text_steers_no_terminal() -> None:
    shown = as_text(report(replace(outcome(2, 3), text="\x1b[31mred\nblue")), None)
    assert "\x1b" not in shown
    assert "\ufffd[31mred\ufffdblue" in shown


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path)
    yield opened
    opened.close()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def page_of(workspace: Workspace, *, most_picture_bytes: int = 2**20) -> str:
    hostile = replace(
        outcome(2, 3, relevant=9),
        text=HOSTILE,
        image=HOSTILE,
        values=(HOSTILE,),
        found=("blue", "nowhere", "red"),
        missed=("green",),
    )
    now = report(hostile, replace(outcome(3, relevant=0), found=("red",)))
    now = replace(
        now, collection=HOSTILE, model=HOSTILE, slices=(replace(now.slices[0], column=HOSTILE, value=HOSTILE),)
    )
    now = replace(now, asked=replace(now.asked, name=HOSTILE))
    before = replace(report(replace(outcome(2, 1), text="x")), model=HOSTILE)
    return page(
        now,
        compare(now, before),
        collection=workspace.open("colours"),
        decoder=workspace.decoder,
        most_picture_bytes=most_picture_bytes,
    )


def test_nothing_that_was_asked_or_named_becomes_markup(workspace: Workspace) -> None:
    tags = Tags()
    shown = page_of(workspace)
    tags.feed(shown)
    assert "script" not in tags.seen
    assert {name for name in tags.attributes if name.startswith("on")} == set()
    assert shown.count("</style>") == 1


def test_the_page_holds_each_picture_and_says_which_are_gone(workspace: Workspace) -> None:
    shown = page_of(workspace)
    assert shown.count('src="data:image/webp;base64,') == 4  # blue, red, green, and red again
    assert "no longer in the collection" in shown
    assert '<span class="thumb-more">+7</span>' in shown
    assert 'class="thumb-place right"><img' in shown


def test_pictures_stop_at_the_limit_of_bytes(workspace: Workspace) -> None:
    assert "data:image" not in page_of(workspace, most_picture_bytes=10)


def test_the_style_has_the_pages_tokens_and_asks_for_nothing(workspace: Workspace) -> None:
    shown = page_of(workspace)
    assert "--accent: light-dark(" in shown
    assert "url(" not in shown
    assert "@import" not in shown
