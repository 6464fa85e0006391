"""One measured figure and the table of them."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    wanted: str  # "≤ 12", "≥ 60" or ""

    @property
    def holds(self) -> bool | None:
        """Whether the wish is met; None where there is none."""
        if not self.wanted:
            return None
        sign, limit = self.wanted.split()
        return self.value <= float(limit) if sign == "≤" else self.value >= float(limit)


def as_table(figures: Sequence[Figure], *, date: str) -> str:
    """Markdown, headed by machine, versions and commit."""
    lines = [
        f"## {date}, commit {commit()}",
        "",
        f"{machine()}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "chromadb", "gradio", "torch")),
        "",
        "| figure | measured | wanted | |",
        "|---|---|---|---|",
    ]
    marks = {True: "yes", False: "**no**", None: ""}
    lines += [f"| {f.name} | {f.value:,.3g} {f.unit} | {f.wanted} | {marks[f.holds]} |" for f in figures]
    return "\n".join(lines) + "\n"


def machine() -> str:
    import psutil

    model = next(
        (line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"{model}, {psutil.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()}"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (
        " with changes" if git("status", "--porcelain") else ""
    )
