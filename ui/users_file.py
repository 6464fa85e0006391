"""The users file on disk: read again when it changes, written whole or not at all; what is in it, users.py says."""

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ui.users import BadUsers, Users, from_json, new_users, to_json

log = logging.getLogger(__name__)

MOST_BYTES = 4 * 2**20  # a thousand users and a thousand tokens are a tenth of it

VARIABLE = "SIGHTLINE_AUTH"


def open_users(setting: str) -> Callable[[], Users]:
    """Who may sign in at this moment. `setting`: the file, or what would be in it, as platforms hand secrets over.

    Raises: BadUsers, here and at any later call, where the file can't be used: then nobody can sign in.
    """
    if setting.startswith("{"):
        users = from_json(setting, name=f"What {VARIABLE} holds")

        def read() -> Users:
            return users
    else:
        read = UsersFile(Path(setting).expanduser()).now
    if not (read().users or read().tokens):
        raise BadUsers(
            f"Nobody could sign in, because {VARIABLE} names no user and no token: `python app.py user add NAME --role "
            "editor` adds the first."
        )
    return read


class UsersFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None  # how the file was when it was read
        self._users: Users | None = None

    def now(self) -> Users:
        """Raises: BadUsers."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._users is None or seen != self._seen:
            self._users = None  # what is not read whole opens nothing
            self._users = _read(self._path)
            self._seen = seen
            if stat.S_IMODE(found.st_mode) & 0o077:
                log.warning("%s can be read by other users of this machine; `chmod 600` mends that", self._path)
        return self._users


@contextmanager
def changing(path: Path) -> Iterator[Callable[[Users], None]]:
    """Holds the file for one change; other commands wait. Yields what keeps the changed users.

    Raises: BadUsers.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BadUsers(f"{path} can't be written: {path.parent}: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
        except OSError as error:
            raise BadUsers(
                f"{path.parent} can't be locked: {error.strerror}: keep the users file on a disk of this machine."
            ) from error
        yield lambda users: _write(path, users)
    finally:
        os.close(folder)


def users_in(path: Path) -> Users:
    """Of a file that need not be there yet. Raises: BadUsers."""
    return _read(path) if path.exists() else new_users()


def _read(path: Path) -> Users:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > MOST_BYTES:
        raise BadUsers(f"{path} is larger than {MOST_BYTES // 2**20} MB, the most that a users file may be.")
    return from_json(data.decode("utf-8", "replace"), name=str(path))


def _write(path: Path, users: Users) -> None:
    """Raises: BadUsers."""
    try:
        descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(to_json(users))
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink()
            raise
    except OSError as error:
        raise BadUsers(f"{path} can't be written: {error.strerror}.") from error


def _unreadable(path: Path, error: OSError) -> BadUsers:
    if isinstance(error, FileNotFoundError):
        return BadUsers(
            f"{path}, the users file that {VARIABLE} names, is not there: `python app.py user add NAME --role editor` "
            "makes it."
        )
    return BadUsers(f"{path}, the users file that {VARIABLE} names, can't be read: {error.strerror}.")
