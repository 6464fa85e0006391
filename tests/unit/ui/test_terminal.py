"""What a terminal and a log are shown, and where a browser may be opened for who sits there."""

from pathlib import Path

import pytest

from ui.terminal import has_screen, live_line

MAKEFILE = Path(__file__).parents[3] / "Makefile"


@pytest.mark.parametrize(
    ("platform", "environment", "opens"),
    [
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "10.0.0.9 1 10.0.0.1 22"}, False),
        ("linux", {"DISPLAY": ":99", "CI": "true"}, False),
        ("darwin", {}, True),
        ("win32", {}, True),
        ("darwin", {"SSH_TTY": "/dev/ttys001"}, False),
    ],
)
def test_a_browser_opens_where_there_is_a_screen(platform: str, environment: dict[str, str], opens: bool) -> None:
    assert has_screen(environment, platform) is opens


def test_make_run_asks_for_the_browser() -> None:
    lines = MAKEFILE.read_text().splitlines()
    assert lines[lines.index(next(line for line in lines if line.startswith("run:"))) + 1].endswith(" ui --open")


def test_a_terminal_shows_the_latest_sentence_in_place_and_nothing_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with live_line(is_terminal=True) as show:
        show("1 of 2")
        show("2 of 2")
    assert capsys.readouterr().err == "\r\x1b[K1 of 2\r\x1b[K2 of 2\r\x1b[K"


def test_a_log_has_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = 0.0
    with live_line(is_terminal=False, now=lambda: seconds) as show:
        for seconds in (1.0, 59.0, 60.0, 61.0, 119.0, 121.0):
            show(f"after {seconds:.0f} s")
        show("")
    assert capsys.readouterr().err == "after 60 s\nafter 121 s\n"
