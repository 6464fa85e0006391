"""Takes the images out of hostile zip archives, one at a time and within limits; its names are only names."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from search.errors import ImageTooLarge, SourceError, shown
from search.types import ZIP_STARTS, Failure, Upload

_MEMBER = b"PK\x01\x02"  # begins an entry of the list of members (APPNOTE.TXT 4.3.12)
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class Limits:
    images: int = 100_000
    members: int = 250_000  # of any kind; zipfile takes about 600 bytes of memory for each
    list_bytes: int = 64 * 2**20  # of the list of members
    total_bytes: int = 50 * 2**30
    ratio: int = 100  # of all that is unpacked to the archive's size: images hardly shrink, bombs do
    ratio_from_bytes: int = 256 * 2**20  # flat drawings in BMP or TIFF shrink more; a little of that is harmless


def is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in ZIP_STARTS
    except OSError:
        return False


def unpack(
    path: Path,
    *,
    name: str,
    wanted: Callable[[Sequence[str]], bool],
    keep: Callable[[bytes, str], str],
    max_bytes: int,
    limits: Limits = Limits(),
) -> Iterator[Upload | Failure]:
    """Yields each member whose name's parts are `wanted`, kept by `keep(bytes, suffix)`, in the archive's order.

    An archive with none of them is a Failure.

    `name`: the archive's, as the person knows it.

    Raises: SourceError for an archive that is damaged or beyond a limit; what it yielded before is kept.
    """
    name = shown(name)
    try:
        packed_bytes, total_bytes, count = path.stat().st_size, 0, 0
        file = _Limited(path.open("rb"), limits)
    except _BROKEN as error:
        raise SourceError(f"{name} is not a zip archive that can be read: pack it again.") from error
    with file.opened, _listed(file, name, limits) as archive:
        for member in archive.infolist():
            parts = name_parts(member.filename)
            if not parts or member.is_dir() or stat.S_ISLNK(member.external_attr >> 16) or not wanted(parts):
                continue
            count += 1
            if count > limits.images:
                raise SourceError(f"{name} holds more than {limits.images:,} images, the limit: pack it into several.")
            data = _read(archive, member, uri=f"{name}/{'/'.join(parts)}", max_bytes=max_bytes)
            if isinstance(data, Failure):
                yield data
                continue
            total_bytes += len(data)
            if total_bytes > min(limits.total_bytes, max(limits.ratio_from_bytes, limits.ratio * packed_bytes)):
                raise SourceError(
                    f"{name} unpacks to more than {limits.ratio} times its size or {limits.total_bytes // 2**30} GB, "
                    "the limits: pack it into several."
                )
            yield Upload(path=keep(data, Path(parts[-1]).suffix), name="/".join(parts))
    if not count:
        yield Failure(name, SourceError.code, f"{name} holds no images: archives inside it and links are not followed.")


class _TooLong(Exception):
    """The list of members is."""


class _Limited:
    """A file that zipfile reads, and that gives it no longer list of members than may be, however long it says it is.

    zipfile takes the list's place and length from whichever of two records it believes, and reads it at one go.
    """

    def __init__(self, opened: BinaryIO, limits: Limits) -> None:
        self.opened = opened
        self.limits: Limits | None = limits  # None once the list is read
        self.seek, self.tell, self.seekable, self.close = opened.seek, opened.tell, opened.seekable, opened.close

    def read(self, size: int = -1) -> bytes:
        if self.limits is None:
            return self.opened.read(size)
        data = self.opened.read(self.limits.list_bytes + 1 if size < 0 else min(size, self.limits.list_bytes + 1))
        if len(data) > self.limits.list_bytes or data.count(_MEMBER) > self.limits.members:
            raise _TooLong
        return data


def _listed(file: _Limited, name: str, limits: Limits) -> zipfile.ZipFile:
    """Raises: SourceError."""
    try:
        archive = zipfile.ZipFile(cast(IO[bytes], file))
    except _TooLong as error:
        raise SourceError(
            f"{name} lists more than {limits.members:,} files or {limits.list_bytes // 2**20} MB of names, the limits: "
            "pack it into several."
        ) from error
    except _BROKEN as error:
        raise SourceError(f"{name} is not a zip archive that can be read: pack it again.") from error
    file.limits = None
    return archive


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, uri: str, max_bytes: int) -> bytes | Failure:
    """Its bytes; the size it claims is not trusted."""
    name = shown(member.filename)
    if member.flag_bits & 0x1:
        return Failure(uri, SourceError.code, f"{name} is encrypted in its archive: unpack it first.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others may take gigabytes to unpack
        return Failure(uri, SourceError.code, f"{name} is packed in an unusual way: pack it as plain zip.")
    try:
        with archive.open(member) as file:
            data = file.read(max_bytes + 1)
    except _BROKEN:
        return Failure(uri, SourceError.code, f"{name} is damaged in its archive: pack it again.")
    if len(data) > max_bytes:
        return Failure(
            uri,
            ImageTooLarge.code,
            f"{name} has more than {max_bytes // 2**20} MB, the limit (SIGHTLINE_MAX_IMAGE_MB): make it smaller.",
        )
    return data


def name_parts(name: str) -> list[str]:
    """The parts of a name from elsewhere that are names: `../`, drives and leading slashes lead nowhere."""
    clean = name.encode("utf-8", "replace").decode()
    return [part for part in clean.replace("\\", "/").split("/") if part not in ("", ".", "..") and part[1:] != ":"]
