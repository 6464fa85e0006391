"""Text from elsewhere, fit to be printed in a terminal."""


def plain(text: str) -> str:
    """Without control and direction characters, which would steer the terminal that shows it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
