"""What a key of deploy.toml may hold: declared beside each field, checked when the file is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from deploy.errors import BadConfig

T = TypeVar("T")
_MISSING: Any = MISSING
LONGEST = 1_024  # characters of a text
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def text(form: str, pattern: str = r"[^\n]*", default: str = _MISSING) -> str:
    """`form`: what is expected, in words. Without a default the key must be there."""

    def wrong(value: object) -> bool:
        return (
            not isinstance(value, str)
            or not re.fullmatch(pattern, value)
            or bool(CONTROL.search(value))
            or len(value) > LONGEST
        )

    return _declared(form, wrong, default)


def one_of(*allowed: T, default: T = _MISSING) -> T:
    form = "one of " + ", ".join(str(value) for value in allowed)
    return _declared(form, lambda value: type(value) is not type(allowed[0]) or value not in allowed, default)


def whole(least: int, most: int, default: int = _MISSING) -> int:
    def wrong(value: object) -> bool:
        return isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most

    return _declared(f"a whole number from {least:,} to {most:,}", wrong, default)


def number(least: float, most: float, default: float = _MISSING) -> float:
    def wrong(value: object) -> bool:
        return isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most

    return _declared(f"a number from {least:,} to {most:,}", wrong, default)


def yes_or_no(*, default: bool) -> bool:
    return _declared("true or false", lambda value: not isinstance(value, bool), default)


def texts(form: str, pattern: str) -> tuple[str, ...]:
    """None unless given; a list in the file, a tuple in the section."""

    def wrong(value: object) -> bool:
        return not isinstance(value, list) or any(
            not isinstance(entry, str) or not re.fullmatch(pattern, entry) for entry in value
        )

    return _declared(f"a list of {form}", wrong, ())


def _declared(form: str, wrong: Callable[[object], bool], default: T) -> T:
    return field(default=default, metadata={"form": form, "wrong": wrong})  # dataclass() makes it the default


def read_section(kind: type[T], name: str, values: object) -> T:
    """Raises: BadConfig."""
    if not isinstance(values, Mapping):
        raise BadConfig(f"{name} = {values!r}: expected a section [{name}].")
    known: dict[str, Field[Any]] = {declared.name: declared for declared in fields(kind)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise BadConfig(f"[{name}] {key} is not a key of this section; known are {', '.join(known)}.")
        if known[key].metadata["wrong"](value):
            shown = repr(value) if len(repr(value)) <= LONGEST else f"{repr(value)[:100]}…"
            raise BadConfig(f"[{name}] {key} = {shown}: expected {known[key].metadata['form']}.")
    for key, declared in known.items():
        if declared.default is MISSING and key not in values:
            raise BadConfig(f"[{name}] {key} is missing: expected {declared.metadata['form']}.")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
