"""The parts that `import` is given, each taken in or named, and the missing ones named; reads none itself."""

from collections.abc import Sequence
from pathlib import Path

import typer

from search.errors import CollectionNotFound, EncoderMismatch, SearchError, SourceError
from search.types import Library
from ui.joining import Odd, check_model, open_target, say, take_in
from ui.part import Part, brought, open_part, roots_of
from ui.stores import Stores
from ui.terminal import plain

_NAMED = 20  # missing parts


def import_parts(
    library: Library, stores: Stores, given: Sequence[str], *, cache: Path, collection: str, folder: Path | None
) -> bool:
    """Whether all that was given is in, and no part is missing; what is not is named.

    `folder`: where on this machine the parts' images are. Raises: EncoderMismatch before anything is written.
    """
    parts = list[Part]()
    for where in given:
        try:
            parts.append(open_part(stores, where, cache))
        except SearchError as error:
            say(Odd(where, str(error)))
    _check_models(library, collection, parts)
    missing = _missing(parts)
    for sentence in missing:
        typer.echo(sentence, err=True)
    whole = [_take_in(library, stores, part, collection, folder) for part in parts]
    return len(parts) == len(given) and not missing and all(whole)


def _check_models(library: Library, collection: str, parts: Sequence[Part]) -> None:
    """The first part is not to decide what model a new collection is of."""
    try:
        library.open(collection)
        return
    except CollectionNotFound:
        pass
    by_model: dict[str, list[str]] = {}
    for part in parts:
        by_model.setdefault(part.release.fingerprint, []).append(part.where)
    if len(by_model) > 1:
        named = [
            f"{places[0]} and {len(places) - 1:,} more" if places[1:] else places[0] for places in by_model.values()
        ]
        raise EncoderMismatch(
            f"The parts are of {len(by_model)} models and a collection is of one; nothing was imported. Name those of "
            f"one model: {plain(', or '.join(named))}."
        )


def _missing(parts: Sequence[Part]) -> list[str]:
    """A sentence for each number of parts that some belong to."""
    numbers: dict[int, set[int]] = {}
    for part in parts:
        numbers.setdefault(part.share.of, set()).add(part.share.number)
    said = []
    for of, there in numbers.items():
        if absent := sorted(set(range(1, of + 1)) - there):
            more = f" and {len(absent) - _NAMED:,} more" if len(absent) > _NAMED else ""
            said.append(f"Of {of} parts these are missing: {', '.join(map(str, absent[:_NAMED]))}{more}.")
    return said


def _take_in(library: Library, stores: Stores, part: Part, name: str, folder: Path | None) -> bool:
    release = part.release
    target = open_target(library, name, model=release.model, fingerprint=release.fingerprint, dim=release.dim)
    known = target.sources()
    try:
        check_model(target, release.fingerprint)
        roots = roots_of(part, known, folder)
    except (EncoderMismatch, SourceError) as error:
        say(Odd(part.where, str(error)))
        return False
    for source, root in roots.items():
        if source not in known or root not in (None, known[source]):
            target.set_source(source, root)
    return take_in(brought(part, stores), lambda item: target) == 0
