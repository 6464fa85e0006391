"""`import`: parts that `index --part` made, or a Batch Transform job's outputs, joined into one collection."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from search.errors import BadQuery, CollectionNotFound, SearchError, SourceError, StoreBusy
from search.shipped_item import ShippedItem, read_item
from search.types import Collection, Library
from settings import Settings
from ui.changing import refuse_where_released
from ui.import_parts import import_parts
from ui.joining import Odd, open_target, take_in
from ui.part import is_bucket_source
from ui.stores import Stores
from ui.terminal import plain

if TYPE_CHECKING:
    from search.types import Holder
    from search.workspace import Workspace
    from ui.start import Join


def import_all(
    settings: Settings,
    join: "Join",
    stores: Stores,
    given: Sequence[str],
    *,
    collection: str,
    source: str | None,
    holder: "Callable[[], Holder | None]",
) -> None:
    """What is whole comes in though other things are damaged, missing or of another model, which are named.

    Raises: SearchError, in the end also where anything was left out.
    """
    refuse_where_released(settings)
    is_bucket = source is not None and source.startswith("s3://")
    if source is not None and is_bucket:
        _check_address(source)
    folder = None if source is None or is_bucket else Path(source).expanduser().resolve()
    if source == "" or (folder is not None and not folder.is_dir()):
        raise SourceError(f'"{plain(source or "")}" is no folder: name the one that the parts\' images are in.')
    with closing(_joined(settings, join, holder)) as workspace:
        library = workspace.library
        if source is not None and is_bucket:
            whole = [_import_outputs(library, stores, where, collection, source.rstrip("/")) for where in given]
            is_whole = all(whole)
        else:
            is_whole = import_parts(
                library,
                stores,
                given,
                cache=settings.data_dir / "releases",
                collection=collection,
                folder=folder,
            )
        with suppress(CollectionNotFound):
            typer.echo(f'"{plain(collection)}" has {len(library.open(collection)):,} images.')
    if not is_whole:
        raise SourceError("What is named above was left out or is missing; all else is in.")


def _check_address(source: str) -> None:
    """Its bucket becomes a source of the collection, for good. Raises: SourceError."""
    if not is_bucket_source("/".join(source.split("/")[:3])):
        raise SourceError(
            f'"{plain(source)}" is no address in S3: it has the form s3://bucket/prefix, and a bucket\'s name has 3 to '
            "63 small letters, digits, dots and hyphens."
        )


def _joined(settings: Settings, join: "Join", holder: "Callable[[], Holder | None]") -> "Workspace":
    try:
        return join(settings, write=True)
    except StoreBusy as error:
        other = holder()
        if other is None:
            raise
        at = f", which serves {other.address}," if other.address else ""
        remedy = "stop it, import, and start it again" if at else "import again when it has ended"
        raise StoreBusy(
            f"Process {other.pid}{at} has this data folder open for writing, and only one can: {remedy}."
        ) from error


def _import_outputs(library: Library, stores: Stores, where: str, name: str, source: str) -> bool:
    return take_in(where, _outputs(stores, where, source), partial(_target, library, name, source)) == 0


def _target(library: Library, name: str, source: str, item: ShippedItem) -> Collection:
    target = open_target(library, name, model=item.model, fingerprint=item.fingerprint, dim=len(item.embedding))
    bucket = "/".join(source.split("/")[:3])
    if bucket not in target.sources():
        target.set_source(bucket, None)
    return target


def _outputs(stores: Stores, where: str, source: str) -> Iterator[ShippedItem | Odd]:
    """An error in reading the place ends them, and is the last odd one."""
    try:
        for key, read in stores.read_outputs(where):
            try:
                yield read_item(read(), uri=f"{source}/{key}")
            except (BadQuery, SourceError) as error:
                yield Odd(key, str(error))
    except SearchError as error:
        yield Odd(where, str(error))
