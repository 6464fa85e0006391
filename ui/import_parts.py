"""The parts that `import` is given, each taken in or named, and the missing ones named; reads none itself."""

from collections.abc import Sequence
from pathlib import Path

import typer

from search.errors import CollectionNotFound, EncoderMismatch, SearchError, SourceError
from search.made_from import named
from search.types import Collection, Library
from ui.joining import Odd, check_model, open_target, say, take_in
from ui.part import Part, brought, open_part, roots_of
from ui.stores import Stores
from ui.terminal import plain

_NAMED = 20  # missing parts, unusable files


def import_parts(
    library: Library, stores: Stores, given: Sequence[str], *, cache: Path, collection: str, folder: Path | None
) -> bool:
    """Whether all that was given is in, and no part is missing; what is not is named.

    `folder`: where on this machine the parts' images are. Raises: EncoderMismatch before anything is written.
    """
    parts, odd_count = _opened(stores, given, cache)
    _check_models(library, collection, parts)
    missing = _missing(parts)
    for sentence in missing:
        typer.echo(sentence, err=True)
    whole = [_take_in(library, stores, part, collection, folder) for part in parts]
    _tell_unusable([part for part, is_whole in zip(parts, whole, strict=True) if is_whole])
    return not odd_count and not missing and all(whole)


def _opened(stores: Stores, given: Sequence[str], cache: Path) -> tuple[list[Part], int]:
    """And how many places there are that can't be opened."""
    parts, odd_count = list[Part](), 0
    for where in given:
        try:
            found = stores.find_parts(where)
        except SearchError as error:
            say(Odd(where, str(error)))
            odd_count += 1
            continue
        for one in found:
            try:
                parts.append(open_part(stores, one, cache))
            except SearchError as error:
                say(Odd(one, str(error)))
                odd_count += 1
    return parts, odd_count


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
        groups = [
            f"{places[0]} and {len(places) - 1:,} more" if places[1:] else places[0] for places in by_model.values()
        ]
        raise EncoderMismatch(
            f"The parts are of {len(by_model)} models and a collection is of one; nothing was imported. Name those of "
            f"one model: {plain(', or '.join(groups))}."
        )


def _missing(parts: Sequence[Part]) -> list[str]:
    """A sentence for each set of parts that some belong to: those of one number, made of the same."""
    numbers: dict[tuple[int, tuple[str, ...]], set[int]] = {}
    for part in parts:
        made_from = part.made_from.sources if part.made_from else ()
        numbers.setdefault((part.share.of, made_from), set()).add(part.share.number)
    said = []
    for (of, made_from), there in numbers.items():
        if absent := sorted(set(range(1, of + 1)) - there):
            what = f" of {plain(named(made_from))}" if made_from else ""
            more = f" and {len(absent) - _NAMED:,} more" if len(absent) > _NAMED else ""
            said.append(f"Of {of} parts{what} these are missing: {', '.join(map(str, absent[:_NAMED]))}{more}.")
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
    is_whole = take_in(part.where, brought(part, stores), lambda item: target) == 0
    _keep_unusable(target, part)
    return is_whole


def _keep_unusable(target: Collection, part: Part) -> None:
    """As the collection's own failures: of its share a part says all, of others nothing."""
    if part.unusable is None:
        return
    failures = [failure for failure in target.failures() if not part.share.has(failure.uri)]
    failures += [failure for failure in part.unusable if part.share.has(failure.uri)]
    for source in part.sources:
        target.set_failures(source, [failure for failure in failures if failure.uri.startswith(f"{source}/")])


def _tell_unusable(parts: Sequence[Part]) -> None:
    failures = [failure for part in parts for failure in part.unusable or ()]
    if count := sum(part.unusable_count for part in parts):
        typer.echo(f"{count:,} {'file was' if count == 1 else 'files were'} unusable{':' if failures else '.'}")
    for failure in failures[:_NAMED]:
        typer.echo(f"  {plain(failure.uri)}: {plain(failure.message)}", err=True)
    if failures and count > _NAMED:
        typer.echo(f"  and {count - _NAMED:,} more; the page's Library lists those that the parts name.", err=True)
