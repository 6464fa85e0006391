"""What a person or a program asks, checked and turned into parts; the vector algebra of those parts.

A part is a text, an image or an item of the collection with a weight; a query's vector is the normalised sum of
weight × embedding. Nothing here encodes or searches.
"""

import math
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from search.errors import BadQuery, EmptyQuery, QueryTooLong, UnknownField
from search.types import Condition, Embedding, Embeddings, Operator, Part, Query, Scalar, Where

MAX_TEXT = 2_000  # characters; every text tower cuts far earlier (77 tokens), so more can only be a mistake
MAX_PARTS = 16
MAX_TOP_K = 1_000
MAX_WEIGHT = 10.0
MAX_CONDITIONS = 16
MAX_CHOICES = 100

# Enough to push what is not wanted out of the first hits, little enough to leave the wish in front: measured,
# docs/decisions/0003-weak-answers-and-subtraction.md.
MINUS_WEIGHT = -0.25

OPERATORS: tuple[Operator, ...] = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "contains")

_MINUS = re.compile(
    r"""(?:(?<=\s)|^)-(?:"(?P<quoted>[^"]+)"|(?P<word>\w[^\s,]*))"""
    r"""|(?:(?<=\s)|^)without\s+(?P<without>[^,]+?)(?=\s*(?:,|$|\s-\w|\s-"|\swithout\s))""",
    re.IGNORECASE,
)
_ITEM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


def parse_text(text: str) -> tuple[Part, ...]:
    """Splits typed words into parts: `-word`, `-"two words"` and `without X` (up to a comma) are subtracted.

    >>> [(p.text, p.weight) for p in parse_text("a red boat -people")]
    [('a red boat', 1.0), ('people', -0.25)]
    """
    _check_text(text)
    minus = [match.group("quoted") or match.group("word") or match.group("without") for match in _MINUS.finditer(text)]
    wish = re.sub(r"(\s*,)+\s*$", "", " ".join(_MINUS.sub(" ", text).split()))
    wish = re.sub(r"\s+,", ",", wish)
    parts = [Part(text=wish)] if wish else []
    return (*parts, *(Part(text=" ".join(m.split()), weight=MINUS_WEIGHT) for m in minus))


def parse_request(body: object) -> Query:
    """Reads `{"query": text or list of parts, "top_k", "offset", "where"}` as the HTTP contract has it.

    Raises: EmptyQuery, QueryTooLong, UnknownField, BadQuery.
    """
    if not isinstance(body, Mapping):
        raise BadQuery('The request must be a JSON object such as {"query": "a red boat"}.')
    _known_fields(body, ("query", "top_k", "offset", "where", "collection"), "The request")
    wish = body.get("query")
    if wish is None:
        raise EmptyQuery('Nothing to search for: give "query" a text, or a list of {"text"}, {"image"} or {"id"}.')
    if isinstance(wish, str):
        parts = parse_text(wish)
    elif isinstance(wish, list):
        parts = tuple(_part(entry) for entry in _at_most(wish, MAX_PARTS, "parts"))
    else:
        raise BadQuery(
            f'"query" must be a text or a list of {{"text"}}, {{"image"}} or {{"id"}}, not {str(wish)[:40]!r}.'
        )
    top_k, offset = parse_window(body)
    return checked(Query(parts=parts, where=parse_where(body.get("where")), top_k=top_k, offset=offset))


def checked(query: Query) -> Query:
    """The query, if it can be answered. Raises: EmptyQuery, QueryTooLong, BadQuery."""
    if not query.parts:
        raise EmptyQuery("Nothing to search for: type words, or add a picture.")
    _at_most(query.parts, MAX_PARTS, "parts")
    for part in query.parts:
        _check_part(part)
    _check_window(query.top_k, query.offset)
    return query


def parse_window(body: Mapping[str, object]) -> tuple[int, int]:
    """Reads "top_k" and "offset": how many of the hits, and how many come before those. Raises: BadQuery."""
    return _check_window(body.get("top_k", 20), body.get("offset", 0))


def parse_where(value: object) -> Where:
    """Reads `{"year": {"gte": 2020}, "folder": "x"}`: all conditions must hold; a bare value means `eq`."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise BadQuery('"where" must be an object such as {"year": {"gte": 2020}}.')
    conditions = [condition for name, wanted in value.items() for condition in _conditions(str(name), wanted)]
    return tuple(_at_most(conditions, MAX_CONDITIONS, "conditions"))


def to_vector(embeddings: Embeddings, weights: Sequence[float]) -> Embedding:
    """The normalised sum of weight × embedding, (dim,). Raises: BadQuery where the parts cancel each other out."""
    total = np.asarray(weights, np.float32) @ embeddings  # (dim,)
    length = float(np.linalg.norm(total))
    if length < 1e-3:
        raise BadQuery("The parts of this query cancel each other out: change a weight or remove one.")
    vector: Embedding = total / np.float32(length)
    return vector


def _part(entry: object) -> Part:
    if not isinstance(entry, Mapping):
        raise BadQuery('Each part of the query must be an object: {"text": …}, {"image": base64} or {"id": …}.')
    _known_fields(entry, ("text", "image", "image_hash", "id", "weight"), "A part of the query")
    for name in ("text", "image", "image_hash", "id"):
        if name in entry and not isinstance(entry[name], str):
            raise BadQuery(f'"{name}" of a part must be a string.')
    weight = entry.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise BadQuery('"weight" must be a number, negative to subtract.')
    _check_weight(weight)
    return Part(
        text=entry.get("text"),
        image=_image_bytes(entry["image"]) if "image" in entry else None,
        image_hash=entry.get("image_hash"),
        id=entry.get("id"),
        weight=float(weight),
    )


def _image_bytes(encoded: str) -> bytes:
    try:
        return b64decode(encoded.partition(",")[2] if encoded.startswith("data:") else encoded, validate=True)
    except ValueError as error:  # binascii.Error is one; so is what a letter outside ASCII raises
        raise BadQuery('"image" must be the picture\'s bytes in base64.') from error


def _check_weight(weight: float) -> None:
    """Before it is made a float: a whole number may be too large for one."""
    if not -MAX_WEIGHT <= weight <= MAX_WEIGHT or weight == 0:
        raise BadQuery(f"A weight must be between -{MAX_WEIGHT:g} and {MAX_WEIGHT:g}, and not 0.")


def _check_part(part: Part) -> None:
    given = [value for value in (part.text, part.image, part.image_hash, part.id) if value is not None]
    if len(given) != 1:
        raise BadQuery("Each part of the query needs exactly one of text, image or id.")
    _check_weight(part.weight)
    if part.text is not None:
        _check_text(part.text)
    if part.image == b"":
        raise BadQuery("The picture in the query is empty (0 bytes).")
    if part.id is not None and not _ITEM_ID.fullmatch(part.id):
        raise BadQuery("An item's id is 1 to 64 letters, digits, - or _; take it from a hit.")
    if part.image_hash is not None and not _HASH.fullmatch(part.image_hash):
        raise BadQuery("A picture's hash is 64 hexadecimal digits.")


def _check_text(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise QueryTooLong(f"The query has {len(text):,} characters; at most {MAX_TEXT:,} are read. Shorten it.")
    if not text.strip() or "\x00" in text:
        raise EmptyQuery("Nothing to search for: type words, or add a picture.")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise BadQuery("The query holds half a character (a lone surrogate); send well-formed Unicode text.")


def _conditions(name: str, wanted: object) -> Iterable[Condition]:
    if not 1 <= len(name) <= 100:
        raise UnknownField("A filter's field name has 1 to 100 characters.")
    if not isinstance(wanted, Mapping):
        yield Condition(name, "eq", _scalar(name, wanted))
        return
    if not wanted:
        raise BadQuery(f'The filter on "{name}" is empty; give it one of {", ".join(OPERATORS)}.')
    for key, value in wanted.items():
        op = next((known for known in OPERATORS if known == key), None)
        if op is None:
            raise BadQuery(f'The filter on "{name}" uses "{str(key)[:40]}"; known are {", ".join(OPERATORS)}.')
        if op == "in":
            if not isinstance(value, list) or not value:
                raise BadQuery(f'"in" of the filter on "{name}" needs a list of values.')
            yield Condition(name, op, tuple(_scalar(name, v) for v in _at_most(value, MAX_CHOICES, "values")))
        else:
            yield Condition(name, op, _scalar(name, value))


def _scalar(name: str, value: object) -> Scalar:
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, bool | int) and abs(value) < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise BadQuery(f'A value of the filter on "{name}" must be a text, a finite number, true or false.')


def _whole(value: object, name: str, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_TOP_K:
        raise BadQuery(f'"{name}" must be a whole number from {least} to {MAX_TOP_K:,}, not {str(value)[:40]!r}.')
    return value


def _check_window(top_k: object, offset: object) -> tuple[int, int]:
    count, before = _whole(top_k, "top_k", least=1), _whole(offset, "offset", least=0)
    if before + count > MAX_TOP_K:
        raise BadQuery(f'"offset" + "top_k" is {before + count:,}; at most {MAX_TOP_K:,} hits can be asked for.')
    return count, before


def _known_fields(entry: Mapping[object, object], known: Sequence[str], what: str) -> None:
    for name in entry:
        if name not in known:
            raise UnknownField(f'{what} has a field "{str(name)[:40]}"; known are {", ".join(known)}.')


def _at_most(entries: Sequence[T], most: int, what: str) -> Sequence[T]:
    if len(entries) > most:
        raise BadQuery(f"The query has {len(entries):,} {what}; at most {most} are read.")
    return entries
