"""Images in S3: listed, read one at a time, never copied; where AWS is and who asks is `store.s3`'s."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import BinaryIO

from search.errors import SourceError, StorageConflict, StorageNotFound, StorageRefused, shown
from search.types import Failure, SourceFile
from store.image_names import is_skipped, looks_like_image
from store.s3 import S3, SCHEME, Address, Stored, is_key, parse_address


@dataclass(frozen=True, slots=True)
class BucketSource:
    """One image where the key is named like one, else all below the key as below a folder."""

    address: Address
    connect: Callable[[], S3]
    root: None = None

    @property
    def name(self) -> str:
        return f"{SCHEME}{self.address.bucket}"

    @property
    def scope(self) -> str | None:
        return None if self._is_one else str(self._folder)

    @property
    def _is_one(self) -> bool:
        return looks_like_image(self.address.key)

    @property
    def _folder(self) -> Address:
        return self.address.below("") if self.address.key else self.address

    def files(self) -> Iterator[SourceFile | Failure]:
        """Raises: StorageError, also where nothing at all is there, lest all in it seem to be gone."""
        if self._is_one:
            yield self._file(self.connect().find(self.address))
            return
        is_empty = True
        for stored in self.connect().list(self._folder):
            is_empty = False
            parts = stored.key.removeprefix(self._folder.key).split("/")
            if looks_like_image(parts[-1]) and not any(is_skipped(part) for part in parts):
                yield self._file(stored)
        if is_empty:
            raise StorageNotFound(f"There is nothing below {self._folder}: check the name.")

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        try:
            stored, data = self.connect().read(parse_address(file.uri), most_bytes=most_bytes)
        except (StorageNotFound, StorageRefused, StorageConflict) as error:  # of this one; S3 itself answers
            raise SourceError(str(error)) from error
        return replace(file, size_bytes=len(data), mtime_ns=stored.mtime_ns), data

    def _file(self, stored: Stored) -> SourceFile | Failure:
        uri = str(Address(self.address.bucket, stored.key))
        if not is_key(stored.key):
            clean = "".join(c if c.isprintable() else "\ufffd" for c in uri)
            return Failure(
                clean, SourceError.code, f'{shown(uri)} has control characters or ".." in its key: rename it.'
            )
        return SourceFile(uri=uri, size_bytes=stored.size_bytes, mtime_ns=stored.mtime_ns, path=None)


def open_object(s3: S3, uri: str, *, size_bytes: int) -> BinaryIO:
    """The original of an image that was indexed at that size. Raises: SourceError, StorageUnreachable."""
    try:
        _, data = s3.read(parse_address(uri), most_bytes=size_bytes)
    except (StorageNotFound, StorageRefused, StorageConflict) as error:
        raise SourceError(f"The original of {shown(uri)!r} can't be had. {error}") from error
    if len(data) > size_bytes:
        raise SourceError(f"The original of {shown(uri)!r} was replaced by a larger one; index its bucket again.")
    return BytesIO(data)
