"""Speed tests of models on this machine: one at a time in the background, their results kept by fingerprint.

What is measured, and how, is decided in search.encoders.speed.
"""

import json
import logging
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.encoders.fingerprint import write_kept
from search.encoders.speed import Speed
from search.errors import Busy, ModelError, SearchError

log = logging.getLogger(__name__)

_KEPT = "speeds.json"
_LONGEST_S = 180


@dataclass(frozen=True, slots=True)
class SpeedTest:
    """The last one that was asked for; `error` where it gave nothing."""

    name: str
    is_running: bool
    error: str = ""


class Speeds:
    """Thread-safe. `measure` takes a model's name and returns its fingerprint and speed."""

    def __init__(self, models_dir: Path, measure: Callable[[str], tuple[str, Speed]], *, machine: str = "") -> None:
        self._path, self._measure = models_dir / _KEPT, measure
        self.machine = machine or this_machine()
        self._test: SpeedTest | None = None
        self._lock = threading.Lock()  # guards the test and the file

    def start(self, name: str) -> SpeedTest:
        """In the background. Raises: Busy."""
        with self._lock:
            if self._test is not None and self._test.is_running:
                raise Busy(f'The speed of "{self._test.name}" is being measured: wait some seconds.')
            self._test = SpeedTest(name, is_running=True)
            threading.Thread(target=self._run, args=(name,), name="speed", daemon=True).start()
            return self._test

    @property
    def test(self) -> SpeedTest | None:
        with self._lock:
            return self._test

    def of(self, fingerprint: str | None) -> dict[str, Any] | None:
        """What was measured here; what another machine left in the data folder is not told."""
        if fingerprint is None:
            return None
        entry = self._read().get(fingerprint)
        return entry if isinstance(entry, dict) and entry.get("machine") == self.machine else None

    def _run(self, name: str) -> None:
        error = ""
        try:
            fingerprint, speed = self._measure(name)
            with self._lock:
                at = datetime.now(UTC).isoformat(timespec="seconds")
                known = self._read()
                known[fingerprint] = {
                    "text_ms": speed.text_ms,
                    "images_per_s": speed.images_per_s,
                    "memory_bytes": speed.memory_bytes,
                    "load_s": speed.load_s,
                    "machine": self.machine,
                    "measured_at": at,
                }
                write_kept(self._path, known)
            log.info("speed model=%s text_ms=%.1f images_per_s=%.1f", name, speed.text_ms, speed.images_per_s)
        except SearchError as refused:
            error = str(refused)
        except Exception:
            log.exception("speed model=%s state=failed", name)
            error = "A defect stopped it; the log says more."
        with self._lock:
            self._test = SpeedTest(name, is_running=False, error=error)

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def measure_in_process(name: str, *, models_dir: Path, bundled: Path) -> tuple[str, Speed]:
    """In a child process that gives way to searches. Raises: ModelError."""
    command = [sys.executable, "-m", "search.encoders.speed", "--models-dir", str(models_dir.resolve())]
    try:
        done = subprocess.run(
            [*command, "--bundled", str(bundled.resolve()), "--", name],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        if "refused" in found:
            raise ModelError(str(found["refused"]))
        return str(found.pop("fingerprint")), Speed(**found)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f'"{name}" did not come to an end within {_LONGEST_S} seconds.') from error
    except (ValueError, IndexError, KeyError, TypeError) as error:
        status = done.returncode
        why = "as happens where memory runs out" if status < 0 else "the log of the server says no more"
        raise ModelError(f'"{name}" could not be measured: its process ended with {status}, {why}.') from error


def this_machine() -> str:
    """Its processor and cores, so that figures do not travel with a data folder."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, UnicodeDecodeError, StopIteration):
        return platform.processor() or platform.machine() or "unknown processor"
