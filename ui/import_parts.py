"""The parts that `import` is given: which are whole, which are missing, and what each brings; it keeps nothing."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import typer

from search.errors import CollectionNotFound, EncoderMismatch, SearchError, SourceError
from search.share import MOST_SHARES, Share
from search.shipped_item import ShippedItem
from search.types import Collection, Library, Record, Release
from ui.joining import Odd, check_model, open_target, say, take_in
from ui.stores import Stores
from ui.terminal import plain

_AT_ONCE = 200  # records read
_NAMED = 20  # missing parts


@dataclass(frozen=True, slots=True)
class Part:
    where: str
    release: Release
    share: Share


def import_parts(
    library: Library, stores: Stores, given: Sequence[str], *, cache: Path, collection: str, folder: Path | None
) -> bool:
    """Whether all that was given is in, and no part is missing; what is not is named.

    `folder`: where on this machine the parts' images are. Raises: EncoderMismatch before anything is written.
    """
    parts = list[Part]()
    for where in given:
        try:
            parts.append(_opened(stores, where, cache))
        except SearchError as error:
            say(Odd(where, str(error)))
    _check_models(library, collection, parts)
    missing = _missing(parts)
    for sentence in missing:
        typer.echo(sentence, err=True)
    whole = [_take_in(library, stores, part, collection, folder) for part in parts]
    return len(parts) == len(given) and not missing and all(whole)


def _opened(stores: Stores, where: str, cache: Path) -> Part:
    release = stores.open_release(where, cache=cache)
    share = _share_of(release)
    if share is None or release.collection is None:
        raise SourceError("It is no part that `index --part` made.")
    return Part(where, release, share)


def _share_of(release: Release) -> Share | None:
    told = release.told.get("part")
    if not isinstance(told, dict):
        return None
    number, of = told.get("number"), told.get("of")
    if type(number) is not int or type(of) is not int or not 1 <= number <= of <= MOST_SHARES:
        return None
    return Share(number, of)


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
    try:
        target = open_target(library, name, model=release.model, fingerprint=release.fingerprint, dim=release.dim)
        check_model(target, release.fingerprint)
    except EncoderMismatch as error:
        say(Odd(part.where, str(error)))
        return False
    return take_in(_brought(stores, part, target, folder), lambda item: target) == 0


def _brought(stores: Stores, part: Part, target: Collection, folder: Path | None) -> Iterator[ShippedItem | Odd]:
    """Its items; an error in reading ends them, and is the last odd one."""
    try:
        shipped = [(str(part.release.collection), part.release.collection_dir)]
        with closing(stores.open_library(part.release.folder, bundled=shipped, write=False)) as library:
            there = library.open(str(part.release.collection))
            for source in there.sources():
                _set_source(target, source, folder)
                records = there.known(source)
                while some := list(islice(records, _AT_ONCE)):
                    yield from _items(part.release, there, some)
    except SearchError as error:
        yield Odd(part.where, f"Not all of it can be read. {error}")


def _set_source(target: Collection, source: str, folder: Path | None) -> None:
    """A part never says itself where on this machine its images are."""
    if folder is not None and not source.startswith("s3://"):
        target.set_source(source, folder.resolve())
    elif source not in target.sources():
        target.set_source(source, None)


def _items(release: Release, there: Collection, records: Sequence[Record]) -> Iterator[ShippedItem | Odd]:
    embeddings = there.embeddings([record.id for record in records])
    for record in records:
        if record.id not in embeddings:
            yield Odd(record.uri, "Its embedding is damaged.")
            continue
        thumbnail = there.thumbnail(record.id) or b""
        yield ShippedItem(record, embeddings[record.id], thumbnail, release.model, release.fingerprint)
