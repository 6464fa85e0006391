"""Which models leave the memory so that another fits, and how much of it there is."""

from pathlib import Path

import pytest

from search.memory import Held, available_bytes, to_drop

GB = 10**9
LIMIT = "memory.max", "memory.current", "memory.stat"
OLD_LIMIT = "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"


def held(*sizes_gb: float, in_use: tuple[int, ...] = ()) -> list[Held]:
    """Named by their place, least recently used first."""
    return [Held(str(place), int(size * GB), place in in_use) for place, size in enumerate(sizes_gb)]


@pytest.mark.parametrize(
    ("there", "wanted_gb", "available_gb", "dropped"),
    [
        ([], 1, 10, []),
        ([], 9, 10, []),
        (held(1, 1), 1, 8, []),  # 3 of 6 GB
        (held(1, 1), 4.5, 8, ["0"]),
        (held(1, 1), 6, 8, ["0", "1"]),
        (held(1, 1, in_use=(0,)), 4.5, 8, ["1"]),
        (held(1, 1, in_use=(0, 1)), 6, 8, []),
        (held(3, 1, 1), 1, 4, ["0"]),
        (held(2, 2), 0, 1, ["0"]),  # another program took what there was
        (held(2, 2), 0, 6, []),
    ],
    ids=[
        "nothing held",
        "nothing to gain",
        "all fit",
        "the oldest goes",
        "both go",
        "in use stays",
        "all in use",
        "one is enough",
        "memory asks",
        "memory does not ask",
    ],
)
def test_the_least_recently_used_goes_first(
    there: list[Held], wanted_gb: float, available_gb: float, dropped: list[str]
) -> None:
    assert to_drop(there, wanted_bytes=int(wanted_gb * GB), available_bytes=int(available_gb * GB)) == dropped


def write(root: Path, *, meminfo: str = "", names: tuple[str, ...] = (), contents: tuple[str, ...] = ()) -> Path:
    (root / "proc").mkdir()
    (root / "proc" / "meminfo").write_text(meminfo)
    for name, content in zip(names, contents, strict=True):
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MEMINFO = "MemTotal:  24000 kB\nMemFree:  1000 kB\nMemAvailable:  8000 kB\n"


@pytest.mark.parametrize(
    ("meminfo", "names", "contents", "expected"),
    [
        (MEMINFO, (), (), 8_192_000),
        (MEMINFO, LIMIT, ("3000000", "2500000", "anon 9\ninactive_file 400000\n"), 900_000),
        (MEMINFO, LIMIT, ("max", "2500000", "inactive_file 0\n"), 8_192_000),
        (MEMINFO, LIMIT, ("90000000", "1", ""), 8_192_000),
        (MEMINFO, LIMIT, ("100", "200", ""), 0),
        (MEMINFO, OLD_LIMIT, ("3000000", "1000000", "inactive_file 0\n"), 2_000_000),
        (MEMINFO, OLD_LIMIT, (str(0x7FFFFFFFFFFFF000), "1000000", ""), 8_192_000),
        ("nonsense", (), (), None),
    ],
    ids=["machine", "cgroup", "no limit", "large limit", "over the limit", "version 1", "version 1 unlimited", "none"],
)
def test_what_is_free_is_the_least_that_is_told(
    tmp_path: Path, meminfo: str, names: tuple[str, ...], contents: tuple[str, ...], expected: int | None
) -> None:
    assert available_bytes(write(tmp_path, meminfo=meminfo, names=names, contents=contents)) == expected
