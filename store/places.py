"""Where copies are kept outside the data folder: a folder or a prefix in S3, as objects by name; not what they mean."""

import os
import secrets
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import BinaryIO, Protocol

from search.errors import StorageConflict, StorageError, StorageNotFound
from store.files import disk_errors, make_folder, sync_folder
from store.s3 import PUT_BYTES, S3, Address, connect, is_address, parse_address


class Place(Protocol):
    """Thread-safe. Names are relative, with `/` between their parts. Raises: StorageError, DiskFull."""

    @property
    def title(self) -> str:
        """As people may see it: of a folder only its name."""
        ...

    def names(self, folder: str) -> list[str]:
        """Of all objects below it, however deep."""
        ...

    def put(self, name: str, data: bytes | BinaryIO, *, new: bool = False) -> None:
        """Whole or not at all. `new`: only where there is none, else StorageConflict."""
        ...

    def fetch(self, name: str, into: BinaryIO, *, most_bytes: int) -> None:
        """Raises also: StorageNotFound."""
        ...


def open_place(text: str, *, bucket: Callable[[], S3] = connect) -> Place:
    """Asks nothing of it yet. Raises: SourceError for an address that is none."""
    return _Bucket(parse_address(text), bucket) if is_address(text) else _Folder(Path(text))


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def title(self) -> str:
        return f"the folder {self._root.name}"

    def names(self, folder: str) -> list[str]:
        return [
            path.relative_to(self._root).as_posix()
            for path in (self._root / folder).rglob("[!.]*")  # what begins with a dot is not whole yet
            if path.is_file()
        ]

    def put(self, name: str, data: bytes | BinaryIO, *, new: bool = False) -> None:
        path = self._root / name
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with disk_errors(f"{self.title}"):
            make_folder(path.parent)
            try:
                with partial.open("xb") as file:
                    if isinstance(data, bytes):
                        file.write(data)
                    else:
                        shutil.copyfileobj(data, file)
                    file.flush()
                    os.fsync(file.fileno())
                if new:
                    os.link(partial, path)
                else:
                    partial.replace(path)
            except FileExistsError as error:
                raise StorageConflict(f"{name} in {self.title} was made by another process meanwhile.") from error
            finally:
                partial.unlink(missing_ok=True)
            sync_folder(path.parent)

    def fetch(self, name: str, into: BinaryIO, *, most_bytes: int) -> None:
        try:
            file = (self._root / name).open("rb")
        except FileNotFoundError as error:
            raise StorageNotFound(f"There is no {name} in {self.title}.") from error
        except OSError as error:
            raise StorageError(f"{name} in {self.title} can't be read: {error.strerror}.") from error
        with file:
            if (size_bytes := os.fstat(file.fileno()).st_size) > most_bytes:
                raise StorageError(f"{name} in {self.title} has {size_bytes:,} bytes; {most_bytes:,} are the limit.")
            shutil.copyfileobj(file, into)


class _Bucket:
    def __init__(self, prefix: Address, bucket: Callable[[], S3]) -> None:
        self._prefix, self._bucket = prefix, cache(bucket)

    @property
    def title(self) -> str:
        return str(self._prefix).rstrip("/")

    def names(self, folder: str) -> list[str]:
        above = self._prefix.below("").key
        found = self._bucket().list(self._prefix.below(f"{folder}/"))
        return [stored.key.removeprefix(above) for stored in found]

    def put(self, name: str, data: bytes | BinaryIO, *, new: bool = False) -> None:
        if not isinstance(data, bytes) and (size_bytes := os.fstat(data.fileno()).st_size) > PUT_BYTES:
            raise StorageError(f"An object of {size_bytes:,} bytes was not sent to {self.title}: 5 GiB are the limit.")
        self._bucket().put(self._prefix.below(name), data, new=new)

    def fetch(self, name: str, into: BinaryIO, *, most_bytes: int) -> None:
        self._bucket().download(self._prefix.below(name), into, most_bytes=most_bytes)
