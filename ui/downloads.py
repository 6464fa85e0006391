"""What a person takes away from a result: a table as CSV, the originals as a zip that is made while it is sent."""

import csv
import io
import re
import time
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from search.errors import BadQuery, ItemNotFound, SourceError, StorageError
from search.types import Collection, Record, Scalar

MAX_ZIP_FILES = 500
MAX_ZIP_BYTES = 2 * 2**30

_COLUMNS = ("rank", "score", "id", "uri", "caption")
# A spreadsheet takes a cell that begins so for a formula. Source: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline; a terminal would obey them
_CHUNK_BYTES = 256 * 2**10
_LONGEST_NAME = 150  # bytes; file systems end at 255
_FORBIDDEN = re.compile(r'[\\/:*?"<>|]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows keeps for itself


@dataclass(frozen=True, slots=True)
class Row:
    """A record and where it stood in the result; None where it was not found by a query."""

    record: Record
    rank: int | None = None
    score: float | None = None


def csv_text(rows: Sequence[Row]) -> str:
    """Columns rank, score, id, uri, caption, then every metadata field that a row has, in alphabetical order."""
    fields = sorted({name for row in rows for name in row.record.metadata})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, *map(cell, fields)])
    for row in rows:
        record = row.record
        writer.writerow(
            [
                row.rank,
                None if row.score is None else f"{row.score:.6f}",
                cell(record.id),
                cell(record.uri),
                cell(record.caption),
                *(cell(record.metadata.get(name, "")) for name in fields),
            ]
        )
    return text.getvalue()


def check_zip(records: Sequence[Record]) -> None:
    """Raises: BadQuery that names the limit."""
    total = sum(record.size_bytes for record in records)
    if not records:
        raise BadQuery("No images are selected: select at least one to download.")
    if len(records) > MAX_ZIP_FILES or total > MAX_ZIP_BYTES:
        raise BadQuery(
            f"{len(records):,} originals of {_size(total)} are too much for one archive: at most {MAX_ZIP_FILES} files "
            f"and {_size(MAX_ZIP_BYTES)} go in. Select fewer."
        )


def zip_chunks(collection: Collection, records: Sequence[Record]) -> Iterator[bytes]:
    """The archive of the originals, a piece at a time; nothing of it is kept here.

    An original that can't be read by now is left out and named in the archive's last member, `left-out.txt`.
    """
    sink = _Sink()
    # An upload goes by the name that it came with; its uri is made of its hash.
    names = unique_names([str(record.metadata.get("name") or record.uri) for record in records])
    left_out: list[str] = []
    room_bytes = MAX_ZIP_BYTES
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # pictures do not shrink any further
        for record, name in zip(records, names, strict=True):
            try:
                original = collection.original(record.id)
            except (SourceError, StorageError, ItemNotFound) as error:
                left_out.append(f"{name}: {error}")
                continue
            with original:
                length = original.seek(0, io.SEEK_END)
                original.seek(0)
                if length > room_bytes:
                    left_out.append(f"{name}: no room in an archive of {_size(MAX_ZIP_BYTES)}")
                    continue
                room_bytes -= length
                for _ in _copy(original, archive, name):
                    yield sink.take()
        if left_out:
            archive.writestr(_member("left-out.txt"), "\n".join(left_out) + "\n")
    yield sink.take()


def unique_names(uris: Iterable[str]) -> list[str]:
    """A file name for each uri: its last part, safe on every system, made unique with ` (2)` and so on."""
    taken: set[str] = {"left-out.txt"}
    names = []
    for uri in uris:
        name = safe_name(uri)
        stem, dot, suffix = name.rpartition(".") if "." in name else (name, "", "")
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem} ({number}){dot}{suffix}"
        taken.add(name.casefold())
        names.append(name)
    return names


def safe_name(uri: str) -> str:
    """The last part of a uri without control and direction characters, separators, device names and excess length."""
    name = unicodedata.normalize("NFC", uri.rpartition("/")[2])
    name = "".join("_" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else c for c in name)
    name = _FORBIDDEN.sub("_", name).strip(" .")
    if _DEVICE.fullmatch(name):
        name = f"_{name}"
    stem, dot, suffix = name.rpartition(".") if "." in name else (name, "", "")
    suffix = suffix[:10]
    room = _LONGEST_NAME - len((dot + suffix).encode())
    return (stem.encode()[:room].decode(errors="ignore") + dot + suffix) or "image"


def _copy(original: BinaryIO, archive: zipfile.ZipFile, name: str) -> Iterator[None]:
    with archive.open(_member(name), "w") as member:
        while chunk := original.read(_CHUNK_BYTES):
            member.write(chunk)
            yield


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, date_time=time.localtime()[:6])


def cell(value: Scalar) -> Scalar:
    if not isinstance(value, str):
        return value
    clean = _CONTROL.sub("\ufffd", value.replace("\r\n", "\n"))
    return f"'{clean}" if clean.startswith(_FORMULA) else clean


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MB"


class _Sink(io.RawIOBase):
    """What zipfile writes into: a stream without a position, emptied by `take`."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        before = len(self._held)
        self._held += data  # type: ignore[arg-type]
        return len(self._held) - before

    def take(self) -> bytes:
        taken, self._held = bytes(self._held), bytearray()
        return taken
