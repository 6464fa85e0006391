"""Where images come from: folders, lists of files, kept uploads and archives here, and what lies in S3."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from search.errors import SourceError, shown
from search.types import Failure, SentArchive, Source, SourceFile, Upload
from store import s3
from store.archives import is_archive, name_parts, unpack
from store.bucket_source import BucketSource
from store.files import open_regular
from store.image_names import is_skipped, looks_like_image

UPLOADS = "uploads"  # the source of all that was copied in


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder and all below it, or below one folder in it; hidden ones are skipped, links are not followed."""

    name: str
    root: Path
    below: str = ""  # relative to root

    @property
    def scope(self) -> str:
        return f"{self.name}/{self.below}/" if self.below else f"{self.name}/"

    def files(self) -> Iterator[SourceFile | Failure]:
        """Raises: SourceError where the folder itself can't be read, lest all in it seem to be gone."""
        top = self.root.resolve()
        start = os.fspath(top / self.below)
        try:
            with os.scandir(start):
                pass
        except OSError as error:
            raise SourceError(
                f"The folder {shown(start)} can't be read: {error.strerror}. Is its disk there, and may it be read?"
            ) from error
        folders = [(start, self.scope)]
        while folders:
            found, below = _list(*folders.pop(), top=top)
            yield from found
            folders += reversed(below)

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        return read_file(file, most_bytes=most_bytes)


@dataclass(frozen=True, slots=True)
class FilesSource:
    """Some files below one folder; nothing is said about the others there."""

    name: str
    root: Path | None  # None: uploads
    chosen: tuple[
        tuple[Path, str, str], ...
    ]  # path, what comes after name + "/" in the uri, name as the person knows it
    scope: None = None

    def files(self) -> Iterator[SourceFile | Failure]:
        for path, relative, name in self.chosen:
            uri = f"{self.name}/{relative}"
            try:
                yield _file(os.fspath(path), uri, path.stat(), name=name)
            except OSError as error:
                yield _failure(uri, f"{shown(name or relative)} can't be read: {error.strerror}.")

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        return read_file(file, most_bytes=most_bytes)


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """The images in a zip archive, kept as uploads while they are listed."""

    path: Path
    called: str  # as the person knows it
    uploads: Path
    keep: Callable[[bytes, str], str]
    max_bytes: int  # of one image
    name: str = UPLOADS
    root: None = None
    scope: None = None

    def files(self) -> Iterator[SourceFile | Failure]:
        """Raises: SourceError for an archive that can't be used, DiskFull."""
        members = unpack(self.path, name=self.called, wanted=_wanted_member, keep=self.keep, max_bytes=self.max_bytes)
        for found in members:
            if isinstance(found, Failure):
                yield replace(found, uri=f"{UPLOADS}/{found.uri}")
            else:
                path = self.uploads / found.path
                yield _file(os.fspath(path), f"{UPLOADS}/{found.path}", path.stat(), name=found.name)

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        return read_file(file, most_bytes=most_bytes)


def _list(folder: str, uri: str, *, top: Path) -> tuple[list[SourceFile | Failure], list[tuple[str, str]]]:
    """What a folder offers itself, and the path and uri of each folder in it, both by name."""
    found: list[SourceFile | Failure] = []
    below: list[tuple[str, str]] = []
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        return [_failure(uri.rstrip("/"), f"The folder {shown(folder)} can't be read: {error.strerror}.")], []
    for entry in entries:
        if is_skipped(entry.name):
            continue
        try:
            if entry.is_symlink():
                found += _link(entry, uri + entry.name, top)
            elif entry.is_dir(follow_symlinks=False):
                below.append((entry.path, f"{uri}{entry.name}/"))
            elif looks_like_image(entry.name) and entry.is_file(follow_symlinks=False):
                found.append(_file(entry.path, uri + entry.name, entry.stat(follow_symlinks=False)))
        except OSError as error:
            found.append(_failure(uri + entry.name, f"{shown(entry.name)} can't be read: {error.strerror}."))
    return found, below


def open_sources(
    paths: Sequence[str],
    uploads: Sequence[Upload] = (),
    archives: Sequence[SentArchive] = (),
    *,
    known: Mapping[str, Path | None],
    uploads_dir: Path,
    keep: Callable[[bytes, str], str],
    max_bytes: int,
    bucket: Callable[[], s3.S3] = s3.connect,
) -> list[Source]:
    """A source for each folder, archive and address in S3, one for all files of a folder, one for the uploads.

    `known`: the collection's sources so far; a folder that is one of them, or lies in one, goes by its name.
    Raises: SourceError for a path that is nothing of these.
    """
    names, bucket = dict(known), cache(bucket)
    sources: list[Source] = []
    files: dict[Path, list[Path]] = {}
    for given in paths:
        if s3.is_address(given):
            sources.append(BucketSource(s3.parse_address(given), bucket))
            continue
        path = _resolved(given)
        if path.is_dir():
            name, root = _place(path, names)
            below = "" if path == root else path.relative_to(root).as_posix()
            sources.append(FolderSource(name, root, below))
        elif is_archive(path):
            sources.append(ArchiveSource(path, path.name, uploads_dir, keep, max_bytes))
        else:
            files.setdefault(path.parent, []).append(path)
    for folder, chosen in files.items():
        name, root = _place(folder, names)
        sources.append(FilesSource(name, root, tuple((path, path.relative_to(root).as_posix(), "") for path in chosen)))
    sources += [ArchiveSource(Path(sent.path), sent.name, uploads_dir, keep, max_bytes) for sent in archives]
    if uploads:
        kept = tuple(
            (_inside(uploads_dir, upload.path), upload.path, "/".join(name_parts(upload.name))) for upload in uploads
        )
        sources.append(FilesSource(UPLOADS, None, kept))
    return sources


def origins(sources: Sequence[Source]) -> list[str]:
    """What they are, each once and in no order of theirs, without a place of this machine; an archive by its bytes.

    Raises: SourceError for an archive that can't be read.
    """
    return sorted({_text(origin) for source in sources for origin in _origins(source)})


def _origins(source: Source) -> Iterator[str]:
    match source:
        case FilesSource():
            yield from (f"{source.name}/{relative}" for _, relative, _ in source.chosen)
        case ArchiveSource():
            yield f"{source.called} (sha256 {_hash_of(source.path)})"
        case BucketSource():
            yield source.scope or str(source.address)
        case _:
            yield source.scope or source.name


def _hash_of(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise SourceError(f"{shown(path.name)} can't be read: {error.strerror}.") from error


def _resolved(given: str) -> Path:
    """Its errors are kept with the job, which everybody may see: they name no folder of this machine."""
    try:
        path = Path(given).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f'There is nothing to read at the path that ends in "{shown(given)}": check it.') from error
    if not path.is_dir() and not path.is_file():
        raise SourceError(f"{shown(given)} is neither a folder nor a file.")
    return path


def _place(folder: Path, names: dict[str, Path | None]) -> tuple[str, Path]:
    """Name and root of the source that the folder belongs to; a new one is added to `names`."""
    roots = [(name, root) for name, root in names.items() if root is not None and folder.is_relative_to(root)]
    if roots:
        name, root = max(roots, key=lambda pair: len(pair[1].parts))
        return name, root
    stem = _text(folder.name) or "files"
    taken = {name.casefold() for name in (*names, UPLOADS)}
    name = next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, len(taken) + 3))) if n.casefold() not in taken)
    names[name] = folder
    return name, folder


def _inside(folder: Path, relative: str) -> Path:
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise SourceError(f"{shown(relative)} is not an upload that is kept here: add it again.")
    return path


def _file(path: str, uri: str, stat: os.stat_result, *, name: str = "") -> SourceFile | Failure:
    try:
        uri.encode("utf-8")
    except UnicodeEncodeError:
        return _failure(uri, f"{shown(uri)} has a name that is not UTF-8: rename it.")
    return SourceFile(uri=uri, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, path=Path(path), name=name)


def read_file(file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
    """The file as it is now, and up to one byte more than may be. Raises: SourceError."""
    assert file.path is not None
    try:
        with open(file.path, "rb", opener=open_regular) as opened:
            status = os.fstat(opened.fileno())
            data = opened.read(most_bytes + 1)
    except OSError as error:
        raise SourceError(f"{shown(file.name or file.uri)} can't be read: {error.strerror}.") from error
    return replace(file, size_bytes=len(data), mtime_ns=status.st_mtime_ns), data


def _link(entry: "os.DirEntry[str]", uri: str, top: Path) -> list[Failure]:
    """What a link inside the folder leads to is found by itself; one that leads elsewhere is reported."""
    name = shown(entry.name)
    if not looks_like_image(entry.name) and not entry.is_dir():
        return []
    try:
        if Path(entry.path).resolve(strict=True).is_relative_to(top):
            return []
    except (OSError, RuntimeError):
        return [_failure(uri, f"{name} is a link that leads nowhere: remove it, or put back what it names.")]
    return [_failure(uri, f"{name} is a link out of its folder and was not followed: index what it names.")]


def _failure(uri: str, message: str) -> Failure:
    return Failure(uri=_text(uri), code=SourceError.code, message=message)


def _text(name: str) -> str:
    """A file's name may be none."""
    return name.encode("utf-8", "replace").decode()


def _wanted_member(parts: Sequence[str]) -> bool:
    return looks_like_image(parts[-1]) and not any(is_skipped(part) for part in parts)
