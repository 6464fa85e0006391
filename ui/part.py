"""A part that `index --part` made: opened, and what it brings, item by item; nothing it says is taken on trust."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from search.errors import BadQuery, SearchError, SourceError
from search.made_from import MadeFrom, as_made_from
from search.share import MOST_SHARES, Share
from search.shipped_item import MOST_THUMBNAIL_BYTES, ShippedItem, check_item, is_text
from search.types import Collection, Failure, Record, Release
from ui.joining import Odd
from ui.stores import Stores

_AT_ONCE = 200  # records read
_UPLOADS = "uploads"  # the source of what was copied in, in any collection
_BUCKET = re.compile(r"s3://[a-z0-9.-]{3,63}")
_MOST_SOURCES = 1_000
_MOST_UNUSABLE = 10_000  # by name
_THUMBNAILS = "collection/thumbs/"
_LARGEST_DIM = 2**16
_LONGEST_NAME = 512  # of a model


@dataclass(frozen=True, slots=True)
class Part:
    where: str
    release: Release
    share: Share
    sources: tuple[str, ...]
    unusable: tuple[Failure, ...] | None  # None: it does not say which
    unusable_count: int
    made_from: MadeFrom | None  # None: of an earlier version, which did not say


def open_part(stores: Stores, where: str, cache: Path) -> Part:
    """Raises: SourceError, ReleaseDamaged, StorageError, StoreUnavailable, DiskFull."""
    release = stores.open_release(where, cache=cache)
    share = _share_of(release)
    if share is None or release.collection is None:
        raise SourceError("It is no part that `index --part` made.")
    thumbnails = (known["bytes"] for name, known in release.told["files"].items() if name.startswith(_THUMBNAILS))
    if max(thumbnails, default=0) > MOST_THUMBNAIL_BYTES:
        raise SourceError(f"It has a thumbnail of more than {MOST_THUMBNAIL_BYTES:,} bytes, the limit.")
    names = (release.model, release.fingerprint)
    if not 0 < release.dim <= _LARGEST_DIM or any(len(n) > _LONGEST_NAME or not n.isprintable() for n in names):
        raise SourceError("Its model is none.")
    with closing(stores.open_folder(release.collection_dir)) as there:
        sources = tuple(there.sources())
    if len(sources) > _MOST_SOURCES or any("/" in name or name in ("", ".", "..") for name in _local(sources)):
        raise SourceError("It names what is no source of images.")
    unusable = _unusable(release.told.get("unusable_files"))
    count = _count(release.told.get("unusable"), unusable or ())
    return Part(where, release, share, sources, unusable, count, as_made_from(release.told.get("made_from")))


def _share_of(release: Release) -> Share | None:
    told = release.told.get("part")
    if not isinstance(told, dict):
        return None
    number, of = told.get("number"), told.get("of")
    if type(number) is not int or type(of) is not int or not 1 <= number <= of <= MOST_SHARES:
        return None
    return Share(number, of)


def _unusable(told: object) -> tuple[Failure, ...] | None:
    if not isinstance(told, list):
        return None
    listed = [(one.get("uri"), one.get("code"), one.get("message")) for one in told if isinstance(one, dict)]
    return tuple(Failure(*map(str, texts)) for texts in listed[:_MOST_UNUSABLE] if all(map(is_text, texts)))


def _count(told: object, listed: Sequence[Failure]) -> int:
    return told if type(told) is int and len(listed) <= told < 2**31 else len(listed)


def roots_of(part: Part, known: Mapping[str, Path | None], folder: Path | None) -> dict[str, Path | None]:
    """Where on this machine the images of each source are, which a part never says itself: in `folder`, or for several
    sources in those of their names in it. `known`: where the collection's sources are.

    Raises: SourceError for one that the collection has elsewhere.
    """
    local = _local(part.sources)
    given = {name: folder if len(local) == 1 else folder / name for name in local} if folder else {}
    for name in local:
        if known.get(name) not in (None, given.get(name)):
            raise SourceError(
                f'Its images are of a folder "{name}", and the collection has one of that name elsewhere: give that '
                "one as --source if it is the same, or import into another collection."
            )
    return {name: given.get(name) for name in part.sources}


def is_bucket_source(name: str) -> bool:
    return _BUCKET.fullmatch(name) is not None


def _local(sources: Sequence[str]) -> list[str]:
    return [name for name in sources if not is_bucket_source(name) and name != _UPLOADS]


def brought(part: Part, stores: Stores) -> Iterator[ShippedItem | Odd]:
    """Its items; an error in reading ends them, and is the last odd one."""
    try:
        with closing(stores.open_folder(part.release.collection_dir)) as there:
            count = len(there)
            for source in part.sources:
                records = there.known(source)
                while some := list(islice(records, _AT_ONCE)):
                    yield from _items(part.release, there, some)
                    count -= len(some)
            if count:
                yield Odd(part.where, f"{count:,} of its images are of no source that it names.")
    except SearchError as error:
        yield Odd(part.where, f"Not all of it can be read. {error}")


def _items(release: Release, there: Collection, records: Sequence[Record]) -> Iterator[ShippedItem | Odd]:
    embeddings = there.embeddings([record.id for record in records])
    for record in records:
        if record.id not in embeddings:
            yield Odd(record.uri, "Its embedding is damaged.")
            continue
        thumbnail = there.thumbnail(record.id) or b""
        item = ShippedItem(record, embeddings[record.id], thumbnail, release.model, release.fingerprint)
        try:
            check_item(item)
            _check_upload(record)
            yield item
        except BadQuery as error:
            yield Odd(record.uri, str(error))


def _check_upload(record: Record) -> None:
    """An upload is kept by its hash: under the name of one it could take another's place. Raises: BadQuery."""
    hash = record.content_hash
    if record.uri.startswith(f"{_UPLOADS}/") and not record.uri.startswith(f"{_UPLOADS}/{hash[:2]}/{hash}"):
        raise BadQuery("It is no item that Sightline made: an upload is not named by its hash.")
