"""The folders of fetched and unpacked releases: whose turn it is to write there, which are in use, and which go."""

import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from search.errors import StoreUnavailable

_KEPT_S = 86_400.0  # so long whoever opened one and holds none (`import`, `release verify`) may read it
_NAME = re.compile(r"[0-9a-f]{32}")

log = logging.getLogger(__name__)


def tags_of(folder: Path) -> Path:
    """Where the ETags of what was fetched into it are."""
    return folder.with_name(f"{folder.name}-etags")


@contextmanager
def turn(cache: Path, *, waits: bool = True) -> Iterator[None]:
    """One process unpacks at a time, and the next finds it done.

    Raises: StoreUnavailable; BlockingIOError where it is another's and this one does not wait.
    """
    file = _taken(cache, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        os.close(file)


def _taken(cache: Path, how: int) -> int:
    try:
        file = os.open(cache / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, how)
        except OSError:
            os.close(file)
            raise
    except BlockingIOError:
        raise
    except OSError as error:
        raise StoreUnavailable(
            f"A release can't be unpacked in {cache}: {error.strerror}: set SIGHTLINE_DATA_DIR to a folder on a disk "
            "of this machine that can be written, or name a release that is a folder already."
        ) from error
    return file


def note_use(folder: Path) -> None:
    """To be called in one's turn: `drop_unused` then leaves the folder alone for a day."""
    with suppress(OSError):
        os.utime(folder)


def hold(folder: Path) -> None:
    """Until this process ends: the system gives the lock back then, so the handle is never closed."""
    with suppress(OSError):
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH | fcntl.LOCK_NB)


def drop_unused(cache: Path) -> None:
    """Those that no process holds and none opened for a day. What can't be removed now stays: nobody is kept by it."""
    if not cache.is_dir():
        return
    with suppress(StoreUnavailable, OSError), turn(cache, waits=False):
        for folder in filter(_is_unused, list(cache.iterdir())):
            with suppress(OSError):
                gone = folder.rename(folder.with_name(f".{folder.name}.partial"))  # as if it never came whole
                shutil.rmtree(gone, ignore_errors=True)
                shutil.rmtree(tags_of(folder), ignore_errors=True)
                log.info("release_dropped=%s", folder.name)


def _is_unused(folder: Path) -> bool:
    if not _NAME.fullmatch(folder.name):
        return False
    with suppress(OSError):
        return time.time() - folder.stat().st_mtime > _KEPT_S and not _is_held(folder)
    return False


def _is_held(folder: Path) -> bool:
    """So it is told, too, where a file system has no such locks."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)
