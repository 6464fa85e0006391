"""`import`: parts that `index --part` made, or a Batch Transform job's output, joined into one collection."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from search.errors import BadQuery, CollectionNotFound, EncoderMismatch, SearchError, SourceError
from search.share import MOST_SHARES, Share
from search.shipped_item import ShippedItem, as_item, read_item
from search.types import Collection, Condition, Item, Record, Release
from settings import Settings
from ui.stores import Stores
from ui.terminal import plain

if TYPE_CHECKING:
    from search.workspace import Workspace
    from ui.start import Join

_AT_ONCE = 200  # records of one acknowledgement
_TOLD = 20  # unusable files by name


def import_all(
    settings: Settings, join: "Join", stores: Stores, given: Sequence[str], *, collection: str, source: str | None
) -> None:
    """Whole parts come in though others are damaged or missing, which is said at the end. Raises: SearchError."""
    with closing(join(settings, write=True)) as workspace:
        if source is not None and source.startswith("s3://"):
            for where in given:
                _import_outputs(workspace, stores.read_outputs(where), collection, source.rstrip("/"))
            return
        trouble: list[str] = []
        parts = [part for where in given if (part := _opened(stores, where, settings, trouble)) is not None]
        for part in parts:
            _import_part(workspace, stores, part, collection, Path(source).expanduser() if source else None)
        trouble += _missing(parts)
        if parts:
            typer.echo(f'"{plain(collection)}" has {len(workspace.open(collection)):,} images.')
    if trouble:
        raise SourceError(" ".join(trouble))


def _opened(stores: Stores, where: str, settings: Settings, trouble: list[str]) -> Release | None:
    try:
        part = stores.open_release(where, cache=settings.data_dir / "releases")
    except SearchError as error:
        trouble.append(f"{plain(where)} was left out: {error}")
        return None
    if _share_of(part) is None or part.collection is None:
        trouble.append(f"{plain(where)} was left out: it is no part that `index --part` made.")
        return None
    return part


def _share_of(part: Release) -> Share | None:
    told = part.told.get("part")
    if not isinstance(told, dict):
        return None
    number, of = told.get("number"), told.get("of")
    if type(number) is not int or type(of) is not int or not 1 <= number <= of <= MOST_SHARES:
        return None
    return Share(number, of)


def _missing(parts: Sequence[Release]) -> list[str]:
    """A sentence for each number of parts that some belong to."""
    of: dict[int, set[int]] = {}
    for share in map(_share_of, parts):
        if share is not None:
            of.setdefault(share.of, set()).add(share.number)
    said = []
    for count, numbers in of.items():
        if absent := sorted(set(range(1, count + 1)) - numbers):
            said.append(f"Of {count} parts these are missing: {', '.join(map(str, absent[:_TOLD]))}.")
    return said


def _import_part(workspace: "Workspace", stores: Stores, part: Release, name: str, folder: Path | None) -> None:
    """`folder`: where on this machine the part's images are, which a part never says itself."""
    target = _target(workspace, name, part.model, part.fingerprint, part.dim)
    shipped = [(part.collection, part.collection_dir)]
    with closing(stores.open_library(part.folder, bundled=shipped, write=False)) as library:
        there = library.open(str(part.collection))
        for source in there.sources():
            if source.startswith("s3://") or folder is None:
                if source not in target.sources():
                    target.set_source(source, None)
            else:
                target.set_source(source, folder.resolve())
        for offset in range(0, len(there), _AT_ONCE):
            records = there.page(offset=offset, count=_AT_ONCE)
            embeddings = there.embeddings([record.id for record in records])
            items = [
                Item(record, embeddings[record.id], there.thumbnail(record.id))
                for record in records
                if record.id in embeddings
            ]
            _put(target, items)


def _import_outputs(workspace: "Workspace", outputs: Iterator[tuple[str, bytes]], name: str, source: str) -> None:
    bad: list[str] = []
    batch: list[ShippedItem] = []
    now = datetime.now(UTC).isoformat(timespec="seconds")

    def put() -> None:
        first = batch[0]
        target = _target(workspace, name, first.model, first.fingerprint, len(first.embedding))
        bucket = "/".join(source.split("/")[:3])
        if bucket not in target.sources():
            target.set_source(bucket, None)
        _put(target, [as_item(one, secrets.token_hex(8), added_at=now) for one in batch])

    for key, data in outputs:
        try:
            one = read_item(data, uri=f"{source}/{key}")
        except BadQuery as error:
            bad.append(f"{key}: {error}")
            continue
        if batch and one.fingerprint != batch[0].fingerprint:
            raise EncoderMismatch(
                f"{plain(key)} was embedded by another model than those before it: run the job again."
            )
        batch.append(one)
        if len(batch) == _AT_ONCE:
            put()
            batch = batch[:1]  # what the next are compared with; it is left as it is there
    if batch:
        put()
        typer.echo(f'"{plain(name)}" has {len(workspace.open(name)):,} images.')
    for line in bad[:_TOLD]:
        typer.echo(f"  {plain(line)}", err=True)
    if bad:
        raise SourceError(f"{len(bad):,} outputs were no items and were left out; the others are in.")


def _target(workspace: "Workspace", name: str, model: str, fingerprint: str, dim: int) -> Collection:
    try:
        target = workspace.library.open(name)
    except CollectionNotFound:
        return workspace.library.create(name, model=model, fingerprint=fingerprint, dim=dim)
    if target.info.fingerprint != fingerprint:
        raise EncoderMismatch(
            f'"{plain(name)}" is for the model {plain(target.info.model)}, and this is of another one.'
        )
    return target


def _put(target: Collection, items: Sequence[Item]) -> None:
    """Under the id that a uri has already; what is unchanged is left."""
    uris = tuple(item.record.uri for item in items)
    known: dict[str, Record] = {}
    if uris:
        found = target.page(offset=0, count=len(uris), where=(Condition("uri", "in", uris),))
        known = {record.uri: record for record in found}
    new = [
        replace(item, record=replace(item.record, id=known[item.record.uri].id)) if item.record.uri in known else item
        for item in items
        if item.record.uri not in known or known[item.record.uri].content_hash != item.record.content_hash
    ]
    if new:
        target.put(new)
