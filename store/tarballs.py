"""Packs files into a .tar.gz that is the same whenever they are; unpacks one that may be hostile; no more of tar.

Why not `tarfile`: docs/decisions/0011-releases.md.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from search.errors import ReleaseDamaged, shown
from store.files import disk_errors

_BLOCK, _CHUNK = 512, 1 << 20
_FILE, _FOLDER, _EXTRA = (b"0", b"\0"), b"5", b"x"  # POSIX.1-1988 and pax, as IEEE Std 1003.1 `pax` has them
_EXTRA_BYTES = 8_192
_ABOUT_TIME = re.compile(rb"(?:\d{1,5} (?:[amc]time|LIBARCHIVE\.creationtime)=[0-9.-]+\n)*\0*")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_LEVEL = 1  # weights and pictures hardly shrink
LONGEST_NAME = 100  # fits in the oldest tar header


@dataclass(frozen=True, slots=True)
class Limits:
    files: int = 2_000_000
    total_bytes: int = 256 * 2**30
    ratio: int = 100  # of all that is unpacked to the archive's size
    ratio_from_bytes: int = 256 * 2**20


def is_plain(name: str) -> bool:
    """Whether a name may lie in a release: relative, ASCII, no `..`, not hidden, not long."""
    return len(name) <= LONGEST_NAME and all(_PART.fullmatch(part) for part in name.split("/"))


def pack(folder: Path, names: Sequence[str], out: Path) -> None:
    """Regular files only, those at the top first, each in the order of names, of nobody, from 1970, under a header
    without name or time."""
    with disk_errors("the release"), out.open("xb") as file:
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as squeezed,
            tarfile.open(fileobj=squeezed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            for name in sorted(names, key=lambda name: ("/" in name, name)):
                member = tarfile.TarInfo(name)
                member.size, member.mode = (folder / name).stat().st_size, 0o644
                with (folder / name).open("rb") as content:
                    tar.addfile(member, content)
        file.flush()


def unpack(archive: Path, into: Path, *, limits: Limits = Limits()) -> None:
    """Writes its regular files below `into`, which is there and empty. Raises: ReleaseDamaged, DiskFull."""
    packed_bytes = archive.stat().st_size
    most_bytes = min(limits.total_bytes, max(limits.ratio_from_bytes, limits.ratio * packed_bytes))
    try:
        with gzip.open(archive, "rb") as stream:
            _unpack(_Stream(stream, most_bytes, shown(archive.name)), into, limits.files)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ReleaseDamaged(
            f"{shown(archive.name)} is no .tar.gz that can be read to its end: fetch it again."
        ) from error


def first_file(head: BinaryIO, *, called: str) -> tuple[str, bytes] | None:
    """Its name and bytes; None where the head of the archive ends before they do. Raises: ReleaseDamaged."""
    try:
        with gzip.GzipFile(fileobj=head) as stream:
            inside = _Stream(stream, Limits().ratio_from_bytes, called)
            name, size, kind = _member(inside.read(_BLOCK), called)
            return (name, b"".join(inside.chunks(size))[:size]) if kind in _FILE else (name, b"")
    except EOFError:
        return None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ReleaseDamaged(f"{called} is no .tar.gz: take it away.") from error


class _Stream:
    """What is inside, never read beyond the limit."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, most_bytes: int, name: str) -> None:
        self._stream, self._most_bytes, self.name = stream, most_bytes, name
        self._read_bytes = 0

    def read(self, count: int) -> bytes:
        """Exactly so many, at most 1 MiB. Raises: EOFError, ReleaseDamaged."""
        data = self._stream.read(count)
        self._read_bytes += len(data)
        if self._read_bytes > self._most_bytes:
            raise ReleaseDamaged(f"{self.name} unpacks to more than it may: 256 GB, and 100 times its size.")
        if len(data) < count:
            raise EOFError
        return data

    def chunks(self, count: int) -> Iterator[bytes]:
        """So many bytes and what fills their last block."""
        left = count
        while left > 0:
            data = self.read(min(left, _CHUNK))
            left -= len(data)
            yield data
        self.read(-count % _BLOCK)


def _unpack(stream: _Stream, into: Path, most_files: int) -> None:
    count = 0
    while any(header := stream.read(_BLOCK)):
        name, size, kind = _member(header, stream.name)
        if kind == _EXTRA:
            if size > _EXTRA_BYTES or not _ABOUT_TIME.fullmatch(b"".join(stream.chunks(size))):
                raise ReleaseDamaged(f"{stream.name} holds a tar header that no release needs: pack it again.")
        elif kind == _FOLDER and size == 0:
            continue
        elif kind not in _FILE or not is_plain(name):
            raise ReleaseDamaged(
                f"{stream.name} holds {shown(name)}, which is no plain file of a release: pack it again."
            )
        else:
            count += 1
            if count > most_files:
                raise ReleaseDamaged(f"{stream.name} holds more than {most_files:,} files, the limit.")
            _write(into / name, stream, size)


def _member(header: bytes, archive: str) -> tuple[str, int, bytes]:
    """Name, size and type. Raises: ReleaseDamaged."""
    try:
        told = int(header[148:156].strip(b" \0"), 8)
        if told != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
            raise ValueError("the checksum is another one")
        size = header[124:136]
        # the second form is GNU's, for 8 GB and more
        size_bytes = int(size.strip(b" \0") or b"0", 8) if size[0] < 128 else int.from_bytes(size[1:], "big")
        name = header[:100].partition(b"\0")[0].decode("ascii")
        if header[257:263] == b"ustar\0" and header[345]:
            name = header[345:500].partition(b"\0")[0].decode("ascii") + "/" + name
    except ValueError as error:
        raise ReleaseDamaged(
            f"{archive} holds something that is no tar archive of a release: fetch it again."
        ) from error
    return name.removeprefix("./"), size_bytes, header[156:157]


def _write(path: Path, stream: _Stream, size: int) -> None:
    with disk_errors("the release"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ReleaseDamaged(f"{stream.name} holds {shown(path.name)} twice: pack it again.") from error
        with file:
            for data in stream.chunks(size):
                file.write(data)
