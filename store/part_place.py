"""Finished parts, each whole or not there: in a folder as a folder, in a bucket as one object; not what is in them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from search.errors import ReleaseDamaged, SourceError
from search.types import Release
from store.release import MANIFEST, build_release, parse_manifest, read_manifest
from store.s3 import PUT_BYTES, S3, Address, connect, is_address, parse_address
from store.tarballs import first_file

_HEADS_BYTES = (2**20, 2**24, 2**28)  # of an object, where its manifest is: for 10,000, 160,000 and 2.5 million files
_PACKED = ".tar.gz"


@dataclass(frozen=True, slots=True)
class PartPlace:
    """Where one part is, or is to be."""

    at: str  # a path, or an address
    open_s3: Callable[[], S3]
    at_once_bytes: int  # of an object: a larger one is sent in pieces

    @property
    def key(self) -> str:
        """A short name for it, the same whichever way it was named."""
        whole = self.at if is_address(self.at) else str(Path(self.at).resolve())
        return sha256(whole.encode("utf-8", "replace")).hexdigest()[:16]

    def find(self) -> Release | None:
        """As its manifest says; no other file of it is looked at. Raises: ReleaseDamaged, StorageError."""
        if not is_address(self.at):
            return read_manifest(Path(self.at)) if Path(self.at).exists() else None
        address, s3 = parse_address(self.at), self.open_s3()
        if not any(stored.key == address.key for stored in s3.list(address)):
            return None
        return parse_manifest(_manifest_in(address, s3), Path(address.key))

    def prepare(self) -> None:
        """That it can be kept, asked before hours of work. Of a bucket only keeping shows it. Raises: SourceError."""
        if is_address(self.at):
            return
        folder = _made(Path(self.at)).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SourceError(f"{folder} can't be written: name another --out.")

    def keep(
        self,
        *,
        name: str,
        model: Mapping[str, object],
        snapshot: Callable[[Path], Mapping[str, object]],
        told: Mapping[str, object],
        work: Path,
    ) -> None:
        """Builds it, in `work` where it goes to a bucket. The others are as for `build_release`.

        Raises: SourceError or StorageConflict where another process has kept it meanwhile, StorageError, DiskFull.
        """
        if not is_address(self.at):
            build_release(_made(Path(self.at)), name=name, model=model, files={}, snapshot=snapshot, told=told)
            return
        packed = work / f"{name}{_PACKED}"
        packed.unlink(missing_ok=True)  # of a process that was killed while it sent it
        build_release(packed, name=name, model=model, files={}, snapshot=snapshot, told=told)
        with packed.open("rb") as file:
            if packed.stat().st_size > self.at_once_bytes:
                self.open_s3().put_in_pieces(parse_address(self.at), file)
            else:
                self.open_s3().put(parse_address(self.at), file, new=True)


def part_place(
    out: str, name: str, *, open_s3: Callable[[], S3] = connect, at_once_bytes: int = PUT_BYTES
) -> PartPlace:
    """Of the part of that name in a folder or bucket. Raises: SourceError for an address or a folder that is none."""
    if not out:  # would be the folder that one is in
        raise SourceError("--out is empty: name the folder or address that parts are to be kept in.")
    at = str(parse_address(out).below(f"{name}{_PACKED}")) if is_address(out) else str(Path(out).expanduser() / name)
    return PartPlace(at, open_s3, at_once_bytes)


def _made(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"{path.parent} can't be made: {error.strerror}: name another --out.") from error
    return path


def _manifest_in(address: Address, s3: S3) -> bytes:
    """`build_release` packs it first."""
    for most_bytes in _HEADS_BYTES:
        head = s3.read(address, most_bytes=most_bytes)[1]
        if first := first_file(BytesIO(head), called=str(address)):
            name, data = first
            if name == MANIFEST:
                return data
            break
    raise ReleaseDamaged(f"{address} is no part that `index --part` made, or is damaged: take it away.")
