"""Where the parts lie that `import` is given a folder or prefix of; opens none."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from search.errors import SourceError
from store.release import MANIFEST, PACKED
from store.s3 import S3, connect, is_address, parse_address

_PART = re.compile(r"part-\d+-of-\d+(/|\.tar\.gz)")


def find_parts(where: str, *, open_s3: Callable[[], S3] = connect) -> list[str]:
    """`where` itself where it is a part; else those directly below it, by the names that `index --part` gives them.

    Raises: SourceError where there is none, StorageError.
    """
    if where.endswith(PACKED):
        return [where]
    names = list(open_s3().names(parse_address(where)) if is_address(where) else _names(where))
    if MANIFEST in names:
        return [where]
    below = sorted(name.rstrip("/") for name in names if _PART.fullmatch(name))
    if not below:
        raise SourceError(
            "There is no part: name parts or a folder of them, or for what a batch job wrote --source s3://… too."
        )
    return [f"{where.rstrip('/')}/{name}" for name in below]


def _names(folder: str) -> Iterator[str]:
    """A folder's ends with a slash, as in S3; a file has none. Raises: SourceError."""
    try:
        with os.scandir(Path(folder).expanduser() if folder else "") as entries:
            for entry in entries:
                yield f"{entry.name}/" if entry.is_dir() else entry.name
    except NotADirectoryError:
        return
    except FileNotFoundError as error:
        raise SourceError("There is nothing of that name: name parts or a folder of them.") from error
    except OSError as error:
        raise SourceError(f"It can't be read: {error.strerror}.") from error
