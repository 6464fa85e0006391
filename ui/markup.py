"""HTML and SVG from values: every text and attribute is escaped, so that names from outside can never become markup."""

from collections.abc import Iterable, Mapping
from html import escape

_EMPTY = frozenset(("img", "br", "input", "link", "path", "line", "rect", "circle", "polyline", "polygon", "progress"))

Attributes = Mapping[str, str | float | bool | None]


class Markup(str):
    """What is markup already; only `element` and `joined` make it."""

    __slots__ = ()


def element(tag: str, attributes: Attributes | None = None, *children: str | None) -> Markup:
    """None and False leave an attribute out; a child that is no Markup is text."""
    written = "".join(_attribute(name, value) for name, value in (attributes or {}).items())
    if tag in _EMPTY and not children:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(children: Iterable[str | None]) -> Markup:
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children if c is not None))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f' {name}=""'
    return f' {name}="{escape(f"{value:g}" if isinstance(value, float) else str(value))}"'
