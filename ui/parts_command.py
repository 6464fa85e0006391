"""`index --part`: the images of one share, embedded apart from any data folder, as a part that `import` takes in."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from search.errors import SourceError, StorageConflict, StoreBusy
from search.indexing import index
from search.made_from import Listing, MadeFrom, as_made_from, difference, list_of
from search.progress import Progress
from search.share import Share, SharedSource
from settings import Settings
from ui.indexing import progress_line
from ui.release_contents import shipped_name
from ui.stores import Stores
from ui.terminal import live_line, plain

if TYPE_CHECKING:
    from search.types import Collection, Encoder, Failure, Library, Release, Source
    from search.workspace import Workspace
    from ui.start import Join

_TOLD = 20  # unusable files by name
_LISTED = 1_000  # unusable files that a part names
_NOTE = "made_from.json"  # of the unfinished folder
_UNPACKED = "uploads"  # the source of what archives hold; what they hold is known by their own bytes
_ANEW = "take it away to make it anew, or name another --out."


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a part is to be made of and by."""

    stores: Stores
    paths: Sequence[str]
    share: Share
    encoder: "Encoder"
    model: str
    max_image_mb: int

    @property
    def name(self) -> str:
        return f"part-{self.share.number:04}-of-{self.share.of:04}"

    def sources(self, *, uploads_dir: Path, keep: Callable[[bytes, str], str]) -> "list[Source]":
        """Their names follow from the paths alone, so that every machine and every run has the same uris."""
        max_bytes = self.max_image_mb * 2**20
        return self.stores.open_sources(self.paths, known={}, uploads_dir=uploads_dir, keep=keep, max_bytes=max_bytes)

    def made_from(self, sources: "Sequence[Source]") -> MadeFrom:
        return MadeFrom(tuple(self.stores.origins(sources)), self.max_image_mb)


def make_part(
    settings: Settings, join: "Join", stores: Stores, paths: Sequence[str], share: Share, out: str, *, model: str
) -> None:
    """Takes no lock but that of its own unfinished folder in the data folder, where the same command goes on."""
    with closing(join(settings, write=False)) as workspace, workspace.encoders.using(model) as encoder:
        asked = _Asked(stores, paths, share, encoder, model, settings.max_image_mb)
        place = stores.part_place(out, asked.name)
        work = settings.data_dir / "parts" / f"{asked.name}-{place.key}"
        there = place.find()
        if there is None or work.exists():
            place.prepare()
            with closing(_opened(stores, work, place.at)) as library:
                there = place.find() or _made(asked, workspace, library, work, place)
            shutil.rmtree(work, ignore_errors=True)  # another process may take it away too
        if there is not None:
            _check_finished(asked, there, place.at)
            typer.echo(f"{plain(place.at)} is there already.")


def _opened(stores: Stores, work: Path, at: str) -> "Library":
    try:
        return stores.open_library(work)
    except StoreBusy as error:
        raise StoreBusy(f"{plain(at)} is being made by another process, in {plain(str(work))}.") from error


def _made(asked: _Asked, workspace: "Workspace", library: "Library", work: Path, place: Any) -> "Release | None":
    """Another process's part where that one was faster."""
    sources = asked.sources(uploads_dir=work / "uploads", keep=library.keep_upload)
    made_from = asked.made_from(sources)
    collection = _begun(asked, library, work, made_from)
    shared = [SharedSource(source, asked.share) for source in sources]
    with live_line() as show:

        def tell(progress: Progress) -> None:
            show(progress_line(asdict(progress)))

        for source in shared:
            report = index(collection, asked.encoder, workspace.decoder, source, progress=tell)
            gone = set(report.gone)  # since an earlier run
            collection.remove([record.id for record in collection.known(source.name) if record.uri in gone])
    failures = sorted(collection.failures(), key=lambda failure: failure.uri)
    called = shipped_name(asked.model)
    told = {
        "part": {"number": asked.share.number, "of": asked.share.of},
        "made_from": replace(made_from, images=_listed(shared)).to_json(),
        "unusable": len(failures),
        "unusable_files": [asdict(failure) for failure in failures[:_LISTED]],
    }
    try:
        place.keep(
            name=asked.name,
            model={"name": called, "fingerprint": asked.encoder.fingerprint, "dim": asked.encoder.dim},
            snapshot=partial(_snapshot, collection, called),
            told=told,
            work=work,
        )
    except (SourceError, StorageConflict):
        there: Release | None = place.find()
        if there is None:
            raise
        return there
    _tell(place.at, collection, failures)
    return None


def _snapshot(collection: "Collection", model: str, into: Path) -> Mapping[str, object]:
    thumbnails = collection.snapshot(into, model=model)
    return {"name": collection.info.name, "images": len(collection), "thumbnails": thumbnails}


def _begun(asked: _Asked, library: "Library", work: Path, made_from: MadeFrom) -> "Collection":
    """The unfinished part's collection. Raises: SourceError where it was begun for something else."""
    note = work / _NOTE
    if not library.list():
        note.write_text(json.dumps(made_from.to_json()), encoding="utf-8")
        encoder = asked.encoder
        return library.create("part", model=asked.model, fingerprint=encoder.fingerprint, dim=encoder.dim)
    collection = library.open("part")
    if trouble := _trouble(asked, _noted(note), collection.info.fingerprint, made_from):
        raise SourceError(f"{plain(str(work))} was begun{trouble}: {_ANEW}")
    return collection


def _noted(note: Path) -> object:
    try:
        return json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None


def _check_finished(asked: _Asked, there: "Release", at: str) -> None:
    """Raises: SourceError where what is there was made of something else."""
    sources = asked.sources(uploads_dir=Path(), keep=_kept_nowhere)
    shared = [SharedSource(source, asked.share) for source in sources if source.name != _UNPACKED]
    for source in shared:
        for _ in source.files():
            pass
    now = replace(asked.made_from(sources), images=_listed(shared))
    if trouble := _trouble(asked, there.told.get("made_from"), there.fingerprint, now):
        raise SourceError(f"{plain(at)} is there already{trouble}: {_ANEW}")


def _kept_nowhere(data: bytes, suffix: str) -> str:
    raise AssertionError("archives are compared by their bytes, not unpacked")


def _trouble(asked: _Asked, told: Any, fingerprint: str, now: MadeFrom) -> str:
    """The end of a sentence: why what is there is not what is asked for."""
    before = as_made_from(told)
    if before is None:
        return " and does not say what it was made of"
    if fingerprint != asked.encoder.fingerprint:
        return ", but it was embedded by another model"
    differs = plain(difference(before, now))
    return f", but {differs}" if differs else ""


def _listed(shared: Sequence[SharedSource]) -> Listing:
    return list_of({uri: size for one in shared if one.name != _UNPACKED for uri, size in one.listed.items()})


def _tell(at: str, collection: "Collection", failures: "Sequence[Failure]") -> None:
    typer.echo(f"{plain(at)}: {len(collection):,} images, {len(failures):,} unusable.")
    for failure in failures[:_TOLD]:
        typer.echo(f"  {plain(failure.uri)}: {plain(failure.message)}", err=True)
