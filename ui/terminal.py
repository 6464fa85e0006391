"""Text from elsewhere and spans of time, fit to be printed in a terminal."""


def plain(text: str) -> str:
    """Without control and direction characters, which would steer the terminal that shows it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
