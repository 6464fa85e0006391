"""The store's functions that the shell's commands are given by app.py, since the faces may not import the store."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from search.types import Collection, Library, Release, Source


@dataclass(frozen=True, slots=True)
class Stores:
    """Each as in its module."""

    open_library: "Callable[..., Library]"
    open_sources: "Callable[..., list[Source]]"
    origins: "Callable[[Sequence[Source]], list[str]]"
    build_release: Callable[..., Any]
    open_release: "Callable[..., Release]"
    find_parts: Callable[[str], list[str]]
    part_place: Callable[[str, str], Any]
    open_folder: "Callable[[Path], Collection]"
    read_outputs: Callable[[str], Iterator[tuple[str, Callable[[], bytes]]]]
    open_place: Callable[..., Any]
