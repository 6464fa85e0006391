"""What the query box sends and shows: the page's words for a query, and example queries for a start; no searching."""

from collections.abc import Iterable, Mapping, Sequence

from search.errors import BadQuery
from search.query import MINUS_WEIGHT, parse_request, parse_text
from search.types import Part, Query, Record
from ui.grid import title_of
from ui.picture_urls import thumb_url

EXAMPLES = 6
LONGEST_EXAMPLE = 44  # characters: fits a phone's width
# For collections whose images have no captions, and whose model knows photographs.
GENERAL_EXAMPLES = ("people at a table", "a dog outdoors", "a street at night", "mountains", "something red", "food")


def read_query(asked: Mapping[str, object]) -> Query:
    """The query that the page sent: typed text first, then its chips.

    Raises: EmptyQuery, QueryTooLong, UnknownField, BadQuery.
    """
    text, parts = asked.get("text", ""), asked.get("parts", [])
    if not isinstance(text, str) or not isinstance(parts, list):
        raise BadQuery("The page sent a query that can't be read; reload the page.")
    typed = [literal(part) for part in parse_text(text)] if text.strip() else []
    wanted = {name: asked[name] for name in ("where", "top_k", "offset") if name in asked}
    return parse_request({"query": [*typed, *map(_part, parts)], **wanted})


def shown_parts(
    collection: str, parts: Sequence[Part], examples: Mapping[str, Record]
) -> tuple[str, list[dict[str, object]]]:
    """The words that stay in the box, and the chips beside them: what is subtracted always becomes a chip."""
    words = next((part for part in parts if part.text is not None and part.weight > 0), None)
    chips = [_chip(collection, part, examples) for part in parts if part is not words]
    return (words.text or "" if words else ""), chips


def literal(part: Part) -> dict[str, object]:
    """A part as the HTTP API takes it."""
    given = {"text": part.text, "id": part.id, "image_hash": part.image_hash}
    return {**{name: value for name, value in given.items() if value is not None}, "weight": part.weight}


def example_queries(records: Iterable[Record], *, knows_photographs: bool) -> list[str]:
    """Short captions of the collection's own images, each about something else."""
    found: dict[str, str] = {}
    for record in records:
        caption = record.caption.strip().rstrip(".")
        if 8 <= len(caption) <= LONGEST_EXAMPLE:
            found.setdefault(" ".join(caption.lower().split()[:3]), caption)
    shortest_first = sorted(found.values(), key=len)
    if shortest_first:
        return shortest_first[:EXAMPLES]
    return list(GENERAL_EXAMPLES) if knows_photographs else []


def _part(sent: object) -> dict[str, object]:
    if not isinstance(sent, Mapping):
        raise BadQuery("The page sent a query that can't be read; reload the page.")
    given = {name: sent[name] for name in ("text", "id", "image_hash") if sent.get(name) is not None}
    return {**given, "weight": MINUS_WEIGHT if sent.get("minus") is True else 1.0}


def _chip(collection: str, part: Part, examples: Mapping[str, Record]) -> dict[str, object]:
    minus = part.weight < 0
    if part.text is not None:
        return {"text": part.text, "minus": minus}
    if part.id is not None:
        record = examples.get(part.id)
        if record is None:
            return {"id": part.id, "minus": minus, "label": ""}
        return {"id": part.id, "minus": minus, "label": title_of(record), "thumb": thumb_url(collection, record)}
    return {"image_hash": part.image_hash, "minus": minus}
