"""The rooms import only what the tables in docs/architecture.md allow."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("search", "store", "ui", "settings", "app", "deploy", "pocket", "bench")


def rows(heading: str) -> Iterator[tuple[set[str], set[str]]]:
    """The rows of the table whose head begins with `heading`, as two sets of the words in backticks."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index(f"| {heading} |") :].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        left, right = line.strip("|").split("|")
        yield set(re.findall(r"`([\w.]+)`", left)), set(re.findall(r"`([\w.]+)`", right))


def modules() -> dict[str, Path]:
    paths = [ROOT / f"{room}.py" for room in ROOMS] + [p for room in ROOMS for p in (ROOT / room).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
        if path.exists()
    }


def imports(path: Path) -> set[str]:
    """Every name that a module imports, at its top or inside its functions, dotted as far as it is known."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def lies_in(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    room = module.split(".")[0]
    allowed = {room} | next(right for left, right in rows("room") if room in left)
    ours = {name for name in imports(modules()[module]) if name.split(".")[0] in ROOMS}
    assert {name for name in ours if not any(lies_in(name, place) for place in allowed)} == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_library_is_imported_only_where_it_belongs(module: str) -> None:
    for libraries, places in rows("library"):
        if not any(lies_in(module, place) for place in places):
            assert {name for name in imports(modules()[module]) if name.split(".")[0] in libraries} == set()


def test_every_module_of_a_room_is_named_on_the_architecture_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page.split("## Rooms\n```")[1].split("```")[0]))
    rooms = ("search", "store", "ui", "deploy")
    stems = {name.split(".")[-1] for name in modules() if name.split(".")[0] in rooms}
    assert stems - words == set()
