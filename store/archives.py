"""Takes the images out of hostile zip archives, one at a time and within limits; its names are only names."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.errors import ImageTooLarge, SourceError, shown
from search.types import ZIP_STARTS, Failure, Upload

_DIRECTORY_BYTES = 64 * 2**20  # the list at the archive's end; a thousand times that is needed to hold it here
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
        _check_directory(path, name)
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise SourceError(f"{name} is not a zip archive that can be read: pack it again.") from error
    with archive:
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


def _check_directory(path: Path, name: str) -> None:
    """Before zipfile reads the whole list of members: how long that is stands near the end (APPNOTE.TXT 4.3.14–16)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_557))
        end = file.read()
        at = end.rfind(b"PK\x05\x06")
        size_bytes = int.from_bytes(end[at + 12 : at + 16], "little") if at >= 0 else 0
        if size_bytes == 0xFFFFFFFF and end[at - 20 : at - 16] == b"PK\x06\x07":
            file.seek(int.from_bytes(end[at - 12 : at - 4], "little") + 40)
            size_bytes = int.from_bytes(file.read(8), "little")
    if size_bytes > _DIRECTORY_BYTES:
        raise SourceError(f"{name} lists more files than can be read: pack it into several.")
