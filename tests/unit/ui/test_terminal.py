"""Where a browser may be opened for who sits at the terminal."""

from pathlib import Path

import pytest

from ui.terminal import has_screen

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
