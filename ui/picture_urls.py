"""The addresses at which `ui` serves a record's pictures, relative to the page's own, which may lie below a path."""

from collections.abc import Callable
from urllib.parse import quote

from search.types import Record

ThumbUrl = Callable[[str, Record], str | None]  # of a collection's name and a record


def thumb_url(collection: str, record: Record) -> str:
    """It changes with the picture, so that browsers can keep it for good."""
    return f"thumb/{quote(record.id)}?{_of(collection, record)}"


def image_url(collection: str, record: Record, *, px: int) -> str:
    """As `thumb_url`; the picture's longest side is `px`."""
    return f"image/{quote(record.id)}?px={px}&{_of(collection, record)}"


def no_thumb_url(collection: str, record: Record) -> None:
    """For `serve`, which has no address for thumbnails."""


def _of(collection: str, record: Record) -> str:
    return f"collection={quote(collection)}&v={record.content_hash[:12]}"
