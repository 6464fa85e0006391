"""The pages for people: every link leads somewhere, and every decision is named where it counts."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("bench", "deploy", "docs", "pocket", "search", "store", "tests", "ui")
DECISIONS = ROOT / "docs" / "decisions"
FILES = [*(path for room in ROOMS for path in (ROOT / room).rglob("*")), *ROOT.iterdir()]
PAGES = sorted(path for path in FILES if path.suffix == ".md")
_BLOCK = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def links_of(text: str) -> list[str]:
    """Those that lead to something of this repository."""
    found = _LINK.findall(_CODE.sub("", _BLOCK.sub("", text)))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors_of(text: str) -> set[str]:
    """Of headings, as GitHub makes them: no punctuation, hyphens for spaces; the same again gets a number."""
    anchors: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.*)$", _BLOCK.sub("", text), re.MULTILINE):
        plain = _LINK.sub("]", heading)
        made = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        number = next(n for n in range(100) if (f"{made}-{n}" if n else made) not in anchors)
        anchors.add(f"{made}-{number}" if number else made)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_the_repository_leads_somewhere(page: Path) -> None:
    for link in links_of(page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / unquote(name) if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.resolve().is_relative_to(ROOT.resolve()), f"{link} leads out of the repository"
        assert not anchor or anchor in anchors_of(target.read_text(encoding="utf-8")), f"{link}: no such heading"


def test_every_decision_is_named_by_a_page_or_by_the_code_that_rests_on_it() -> None:
    named = set()
    for path in FILES:
        if path.suffix in (".md", ".py", ".yaml", ".yml", ".toml") and not path.is_relative_to(DECISIONS):
            named |= set(re.findall(r"decisions/(\d{4}[-\w]*\.md)", path.read_text(encoding="utf-8")))
    assert named == {path.name for path in DECISIONS.iterdir()}


def test_every_page_that_code_refers_to_is_there() -> None:
    for path in FILES:
        if path.suffix == ".py":
            for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
                assert (ROOT / page).exists(), f"{path.relative_to(ROOT)} refers to {page}"


def test_links_and_headings_are_read_as_a_reader_sees_them() -> None:
    text = "# One, *two*\n\n[a](b.md#c) [x](https://d.example) `[e](f)`\n\n```\n# no\n[g](h)\n```\n\n## One two\n"
    assert links_of(text) == ["b.md#c"]
    assert anchors_of(text) == {"one-two", "one-two-1"}
