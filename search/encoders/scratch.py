"""A folder to write in beside where it will belong; gone at the end, and after a kill, unless it was moved."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_in(parent: Path, *, kind: str) -> Iterator[Path]:
    """`parent`/.`kind`-PID-…: may be renamed into `parent`, which is made where it is not there. Raises: OSError."""
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent, kind)
    scratch = Path(tempfile.mkdtemp(dir=parent, prefix=f".{kind}-{os.getpid()}-"))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _remove_abandoned(parent: Path, kind: str) -> None:
    """What processes that were killed left behind, by the process id in its name."""
    for scratch in parent.glob(f".{kind}-*-*"):
        try:
            os.kill(int(scratch.name.split("-")[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(scratch, ignore_errors=True)
        except PermissionError:
            pass  # somebody else's, and alive
