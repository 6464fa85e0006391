"""Labelled queries, what is asked and which images should come: read from a CSV file, matched with a collection."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from search.errors import BadQuery, SourceError, shown
from search.query import parse_text
from search.types import Collection, Condition

MOST_BYTES = 8 * 2**20
MOST_QUERIES = 20_000
MOST_COLUMNS = 12  # that split the queries
FORM = "columns query and relevant (ids, uris or paths of the images it should find; empty where there are none)"

_OURS = ("query", "image", "relevant")
_LONGEST_VALUE = 80  # characters of a slice's name
_QUOTED = 60  # characters of a cell in a remark
_AT_ONCE = 500  # names looked up in one query


@dataclass(frozen=True, slots=True)
class Remark:
    """What is wrong with a line of the labels file, and whether it was left out for that."""

    line: int
    reason: str
    is_left_out: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A line as it was read."""

    line: int
    text: str  # empty where a picture alone asks
    image: str  # a path; empty where only words ask
    relevant: str
    values: tuple[str, ...]  # one for each column that splits the queries


@dataclass(frozen=True, slots=True)
class Labels:
    name: str
    sha256: str
    columns: tuple[str, ...]  # by which queries are split: all but query, image and relevant
    rows: tuple[Row, ...]
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    row: Row
    relevant: frozenset[str]  # ids; empty where nothing in the collection answers it


def read_labels(data: bytes, *, name: str, with_images: bool = False) -> Labels:
    """A CSV file in UTF-8, separated by commas, semicolons or tabs. `with_images`: pictures may ask.

    Raises: SourceError for a file that is no such table; a bad line is only remarked on.
    """
    name = shown(name)
    if len(data) > MOST_BYTES:
        raise SourceError(f"{name} is larger than {MOST_BYTES // 2**20} MB, the most that is read: split the queries.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} can't be read: save it as CSV in UTF-8.") from error
    lines = _lines(text)
    head = _head(next(lines, (1, []))[1], name)
    rows: list[Row] = []
    remarks: list[Remark] = []
    for line, cells in lines:
        if len(rows) + len(remarks) == MOST_QUERIES:
            raise SourceError(
                f"{name} has more than {MOST_QUERIES:,} queries, the most that are asked: leave some out."
            )
        try:
            rows.append(_row(line, cells, head, with_images=with_images))
        except (BadQuery, SourceError) as error:
            remarks.append(Remark(line, str(error)))
    return Labels(name, hashlib.sha256(data).hexdigest(), head.columns, tuple(rows), tuple(remarks))


def match(
    rows: Sequence[Row], collection: Collection, *, cancelled: Callable[[], bool] = lambda: False
) -> tuple[list[LabelledQuery], list[Remark]]:
    """The queries with the ids of the images they name; what names none is remarked on. Once cancelled, of no worth."""
    wanted = {name for row in rows for name in (row.relevant.strip(), *_pieces(row.relevant)) if name}
    known = _ids(collection, wanted, cancelled=cancelled)
    queries: list[LabelledQuery] = []
    remarks: list[Remark] = []
    for row in rows:
        whole = row.relevant.strip()
        names = [whole] if whole in known else _pieces(whole)
        ids = {next(iter(known[name])) for name in names if len(known.get(name, ())) == 1}
        reasons = [_why(name, known) for name in names if len(known.get(name, ())) != 1]
        is_left_out = bool(names) and not ids
        if reasons:
            more = f" (and {len(reasons) - 1:,} more like it)" if len(reasons) > 1 else ""
            kept = "" if is_left_out else f"; it was asked for the other {len(ids):,}"
            remarks.append(Remark(row.line, f"{reasons[0]}{more}{kept}.", is_left_out))
        if not is_left_out:
            queries.append(LabelledQuery(row, frozenset(ids)))
    return queries, remarks


def _lines(text: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """The number at which each record begins, and its cells; blank ones are passed over."""
    first = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, error
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


@dataclass(frozen=True, slots=True)
class _Head:
    """The first line: where each named column is, how many cells there are, and which columns split the queries."""

    at: Mapping[str, int]
    width: int
    columns: tuple[str, ...]


def _head(cells: list[str] | csv.Error, name: str) -> _Head:
    """Raises: SourceError."""
    at: dict[str, int] = {}
    for place, cell in enumerate(cells if isinstance(cells, list) else ()):
        column = cell.strip()[:_LONGEST_VALUE]
        column = column.lower() if column.lower() in _OURS else column
        if column in at:
            raise SourceError(f"{name} has two columns {column!r}: rename one.")
        if column:
            at[column] = place
    if "relevant" not in at or not at.keys() & {"query", "image"}:
        raise SourceError(f"{name} needs the {FORM}.")
    columns = tuple(column for column in at if column not in _OURS)
    if len(columns) > MOST_COLUMNS:
        raise SourceError(f"{name} has {len(columns)} columns to split queries by; at most {MOST_COLUMNS} are read.")
    return _Head(at, len(cells) if isinstance(cells, list) else 0, columns)


def _row(line: int, cells: list[str] | csv.Error, head: _Head, *, with_images: bool) -> Row:
    """Raises: SourceError, BadQuery, with what is wrong with the line."""
    if not isinstance(cells, list):
        raise SourceError(f"It is no line of a CSV file: {cells}.")
    if len(cells) != head.width:
        if any("\n" in cell for cell in cells):
            raise SourceError("It goes on over several lines: close the quote that is opened in it.")
        raise SourceError(
            f"It has {len(cells)} cells and the head has {head.width}: put a cell that holds a comma in quotes, and "
            "end a query that nothing answers with its comma."
        )
    cell = {name: cells[place].strip() for name, place in head.at.items()}
    text, image = cell.get("query", ""), cell.get("image", "")
    if image and not with_images:
        raise SourceError("It asks with a picture, and pictures ask only in the shell.")
    if "\0" in image:
        raise SourceError("Its picture's name holds a character that no file has in its name.")
    if text or not image:
        parse_text(text)
    return Row(line, text, image, cell["relevant"], tuple(cell[column][:_LONGEST_VALUE] for column in head.columns))


def _pieces(cell: str) -> list[str]:
    """Names are separated by spaces, or by | or lines where a name holds a space."""
    apart = "|" in cell or "\n" in cell
    pieces = [piece.strip() for piece in (cell.replace("\n", "|").split("|") if apart else cell.split())]
    return [piece for piece in pieces if piece] or [cell] * bool(cell)  # a cell of nothing but bars is a name too


def _why(name: str, known: Mapping[str, set[str]]) -> str:
    quoted = name if len(name) <= _QUOTED else f"{name[:_QUOTED]}…"
    if name in known:
        return f'"{quoted}" names {len(known[name])} images of the collection: write the uri'
    return f'"{quoted}" is no image of the collection'


def _ids(collection: Collection, names: Iterable[str], *, cancelled: Callable[[], bool]) -> dict[str, set[str]]:
    """By name the images that it may mean: by id, else by uri, by path below a source, by the name of an upload."""
    found: dict[str, set[str]] = {}
    wanted = sorted(names)
    sources = ["", *(f"{source}/" for source in collection.sources())]
    for some in _chunks(wanted):
        if cancelled():
            return {}
        found |= {id: {id} for id in collection.records(some)}
        for name, id in _by_uri(collection, [name for name in some if name not in found], sources):
            found.setdefault(name, set()).add(id)
    unknown = set(wanted) - found.keys()
    for name, id in _uploads(collection) if unknown else ():
        if name in unknown:
            found.setdefault(name, set()).add(id)
    return found


def _by_uri(collection: Collection, names: Sequence[str], sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The names that are uris, whole or below one of the sources, and the ids of their images."""
    named_by: dict[str, list[str]] = {}
    for name in names:
        for source in sources:
            named_by.setdefault(f"{source}{name}", []).append(name)
    for some in _chunks(named_by):
        for record in collection.page(offset=0, count=len(some), where=(Condition("uri", "in", tuple(some)),)):
            yield from ((name, record.id) for name in named_by[record.uri])


def _uploads(collection: Collection) -> Iterator[tuple[str, str]]:
    """The names by which people know the images that they sent, and their ids; the uris are made of hashes."""
    for source, root in collection.sources().items():
        for record in collection.known(source) if root is None else ():
            name, folder = record.metadata.get("name"), record.metadata.get("folder")
            if name:
                yield str(name), record.id
                if folder:
                    yield f"{folder}/{name}", record.id


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(names)
    while some := list(islice(waiting, _AT_ONCE)):
        yield some
