"""The lock of a data folder: one writing process, and how others reach it; it does not say what may be written."""

import fcntl
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from search.errors import DiskFull, StoreBusy, StoreUnavailable
from store.files import disk_errors

_TRIES, _PAUSE_S = 5, 0.02  # a process that only asks who holds the lock holds it itself for a moment


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that writes. `address` is None where it serves no API; `token` is new for each process."""

    pid: int
    address: str | None
    token: str


class Lock:
    """Held from construction to `close` or to the end of the process, however that ends."""

    def __init__(self, data_dir: Path) -> None:
        """Raises: StoreBusy with the holder's pid and address, DiskFull, StoreUnavailable."""
        self._file = _open(data_dir / "lock")
        try:
            _acquire(self._file, data_dir)
            self.holder = Holder(os.getpid(), None, secrets.token_urlsafe(32))
            self.announce(None)
        except (StoreBusy, StoreUnavailable, DiskFull):
            os.close(self._file)
            raise

    def announce(self, address: str | None) -> None:
        """Raises: DiskFull, StoreUnavailable."""
        self.holder = Holder(self.holder.pid, address, self.holder.token)
        text = json.dumps({"pid": self.holder.pid, "address": address, "token": self.holder.token}).encode()
        with disk_errors("the lock"):
            os.pwrite(self._file, text, 0)
            os.ftruncate(self._file, len(text))

    def close(self) -> None:
        # Blank, not empty: the block stays, so that on a full disk what frees space can still be asked for.
        with suppress(OSError):
            os.pwrite(self._file, b" " * os.fstat(self._file).st_size, 0)
        os.close(self._file)


def read_holder(data_dir: Path) -> Holder | None:
    """Who writes in this data folder now; None where nobody does."""
    try:
        file = os.open(data_dir / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"The data folder's lock can't be read: {error.strerror}.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _parsed(os.pread(file, 4096, 0))
    except OSError as error:
        raise _without_locks(data_dir, error) from error
    finally:
        os.close(file)


def _open(path: Path) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(file, 0o600)
    except OSError as error:
        raise StoreUnavailable(
            f"The data folder {path.parent} can't be written: {error.strerror}: set SIGHTLINE_DATA_DIR to one that can."
        ) from error
    return file


def _acquire(file: int, data_dir: Path) -> None:
    for last in [False] * (_TRIES - 1) + [True]:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if last:
                raise StoreBusy(_busy(read_holder(data_dir))) from error
            time.sleep(_PAUSE_S)
        except OSError as error:
            raise _without_locks(data_dir, error) from error


def _without_locks(data_dir: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"The data folder {data_dir} can't be locked: {error.strerror}: set SIGHTLINE_DATA_DIR to one on a disk of "
        "this machine."
    )


def _busy(holder: Holder | None) -> str:
    if holder is None:
        return "Another process just opened this data folder. Try again."
    where = f" at {holder.address}" if holder.address else ""
    return f"Process {holder.pid}{where} has this data folder open for writing. Use that one, or stop it first."


def _parsed(text: bytes) -> Holder | None:
    try:
        values = json.loads(text)
        return Holder(int(values["pid"]), values["address"], str(values["token"]))
    except (ValueError, KeyError, TypeError):
        return None
