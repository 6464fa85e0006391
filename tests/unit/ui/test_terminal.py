"""What a terminal and a log are shown, and where a browser may be opened for who sits there."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ui.terminal import has_screen, live_line, told

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


def test_a_disk_that_is_full_of_what_is_printed_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), told():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert capsys.readouterr().err == "The disk is full: this was not finished. Free some space and try again.\n"


def test_a_fault_of_another_kind_is_not_told_as_a_full_disk() -> None:
    with pytest.raises(OSError, match="Bad address"), told():
        raise OSError(errno.EFAULT, "Bad address")


@pytest.mark.parametrize(
    ("closed", "command", "code", "said"),
    [
        ("<&-", "collections delete nope", 1, 'Delete the collection "nope" and what is known of its images? [y/N]: '),
        ("2>&-", "index tests/images/green.jpg -c own", 0, '"own": 1 added or changed.\n'),
    ],
)
def test_a_stream_that_is_closed_when_a_command_starts_is_no_fault(
    tmp_path: Path, closed: str, command: str, code: int, said: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" app.py {command} {closed}', sys.executable],
        cwd=MAKEFILE.parent,
        env={**os.environ, "SIGHTLINE_DATA_DIR": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        text=True,
        timeout=500,
        check=False,
    )
    assert (done.returncode, done.stdout[: len(said)]) == (code, said)
