"""What is printed in a terminal: text from elsewhere, spans of time, errors; whether a screen is near it."""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer

from search.errors import SearchError

_SAID_EVERY_S = 60.0  # in a log


def open_streams() -> None:
    """What was closed by who started us (`<&-`) leads nowhere, so that nothing else looks whether it is there."""
    sys.stdin = sys.stdin or os.fdopen(os.open(os.devnull, os.O_RDONLY))
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def plain(text: str) -> str:
    """Without control and direction characters, which would steer the terminal that shows it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def said_once() -> Callable[[str], None]:
    """Prints a sentence on stderr, unless it is the one before."""
    before = ""

    def say(sentence: str) -> None:
        nonlocal before
        if sentence != before:
            print(sentence, file=sys.stderr)
        before = sentence

    return say


@contextmanager
def live_line(
    *, is_terminal: bool | None = None, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[str], None]]:
    """What shows the latest sentence in place on stderr, and an empty one to make room for other lines; in a log, where
    lines stay, one a minute.
    """
    in_place = sys.stderr.isatty() if is_terminal is None else is_terminal
    said_at = now()

    def show(sentence: str) -> None:
        nonlocal said_at
        if in_place:
            print(f"\r\x1b[K{sentence}", end="", file=sys.stderr, flush=True)
        elif sentence and now() - said_at >= _SAID_EVERY_S:
            said_at = now()
            print(sentence, file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        show("")


def has_screen(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser that is opened here is seen by who asked; `platform` as in sys.platform."""
    is_far = any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "CI"))
    if platform in ("darwin", "win32"):
        return not is_far
    return not is_far and any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


@contextmanager
def told() -> Iterator[None]:
    """An error meant for a person becomes one sentence on stderr and exit code 1."""
    try:
        yield
    except SearchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except OSError as error:  # of what is printed into a file; what is kept has its own errors
        if error.errno != errno.ENOSPC:
            raise
        typer.echo("The disk is full: this was not finished. Free some space and try again.", err=True)
        raise typer.Exit(1) from error
