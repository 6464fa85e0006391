"""One of n shares of a source's files, the same on every machine; embeds and keeps nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from search.errors import BadQuery
from search.types import Failure, Source, SourceFile

MOST_SHARES = 10_000
_SHARE = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Share:
    number: int  # 1 … of
    of: int

    def has(self, uri: str) -> bool:
        return int.from_bytes(sha256(uri.encode()).digest()[:8], "big") % self.of == self.number - 1


def read_share(text: str) -> Share:
    """`3/8`. Raises: BadQuery."""
    found = _SHARE.fullmatch(text)
    share = Share(int(found[1]), int(found[2])) if found else Share(0, 0)
    if not 1 <= share.number <= share.of <= MOST_SHARES:
        raise BadQuery(f'"{text[:40]}" names no part: expected i/n such as 1/4, with n up to {MOST_SHARES:,}.')
    return share


class SharedSource:
    """The files of one share, for a collection that holds no others; remembers what it listed."""

    def __init__(self, source: Source, share: Share) -> None:
        self._source, self._share = source, share
        self.listed: dict[str, int] = {}  # by uri its size in bytes, -1 where it can't be read

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def root(self) -> Path | None:
        return self._source.root

    @property
    def scope(self) -> str | None:
        return self._source.scope

    def files(self) -> Iterator[SourceFile | Failure]:
        for found in self._source.files():
            if self._share.has(found.uri):
                self.listed[found.uri] = found.size_bytes if isinstance(found, SourceFile) else -1
                yield found

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        return self._source.read(file, most_bytes=most_bytes)
