"""The values that travel between rooms, and the few Protocols that have more than one implementation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]  # (dim,), L2-normalised
Embeddings = NDArray[np.float32]  # (n, dim), rows L2-normalised
Pixels = NDArray[np.uint8]  # (h, w, 3) RGB, upright, at the encoder's input size

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")  # what a zip archive begins with: a member, or the end of an empty one

Scalar = str | int | float | bool
Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "contains"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How an encoder wants its pixels; the fields and their meaning are open_clip's `preprocess_cfg`."""

    size: tuple[int, int]  # (height, width)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear", "random"] = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"
    fill_color: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a filter: a metadata field or one of `uri`, `caption`, `taken_at`, `added_at`, `size_bytes`,
    `width`, `height`; a missing field fulfils only `ne`."""

    field: str
    op: Operator
    value: Scalar | tuple[Scalar, ...]


Where = tuple[Condition, ...]  # all must hold
FILTER_COLUMNS = ("uri", "caption", "taken_at", "added_at", "size_bytes", "width", "height")  # every record has them


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a query: exactly one of text, image (encoded bytes), image_hash (of an image that the engine was
    given lately) or id (an item of the collection)."""

    text: str | None = None
    image: bytes | None = None
    image_hash: str | None = None
    id: str | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Query:
    parts: tuple[Part, ...]
    where: Where = ()
    top_k: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of an image. `uri` is `s3://…` or source name + `/` + relative path, never an absolute path."""

    id: str
    uri: str
    content_hash: str  # sha256 of the original bytes, hex
    size_bytes: int
    width: int  # px, upright
    height: int
    mtime_ns: int | None = None  # of the file when it was read
    taken_at: str | None = None  # ISO 8601, local time as in EXIF
    added_at: str = ""  # ISO 8601, UTC
    caption: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A record with what is stored beside it. A thumbnail is WebP; None where one of this content hash is kept."""

    record: Record
    embedding: Embedding
    thumbnail: bytes | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be used, and why, in one sentence."""

    uri: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a collection found: ids and their scores (cosine), best first, and which path answered."""

    ids: list[str]
    scores: list[float]
    via: Literal["exact", "chroma"]


@dataclass(frozen=True, slots=True)
class Hit:
    id: str
    score: float  # cosine similarity, −1…1
    rank: int  # from 1
    record: Record
    fit: float  # 0…1: share of the collection's background that this hit beats, for this query


@dataclass(frozen=True, slots=True)
class Answer:
    collection: str
    model: str
    fingerprint: str
    via: str
    took_ms: Mapping[str, float]
    hits: list[Hit]
    weak: bool  # nothing here fits well
    size: int  # images in the collection (before any filter)


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    name: str
    version: str
    model: str  # the encoder's name in the grammar of docs/architecture.md
    fingerprint: str
    dim: int
    created_at: str
    read_only: bool
    description: str = ""


class Encoder(Protocol):
    """Turns texts and images into Embeddings. Thread-safe."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def preprocess(self) -> Preprocess: ...

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Returns float32 (len(texts), dim), rows L2-normalised, in the order given."""
        ...

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """Takes uint8 (n, h, w, 3) at `preprocess.size`; returns float32 (n, dim), rows L2-normalised."""
        ...


class Observer(Protocol):
    """Who counts what engines do. Thread-safe."""

    def searched(self, answer: Answer, texts: Sequence[str]) -> None:
        """`texts`: those that were asked."""
        ...

    def encoded(self, kind: Literal["text", "image"], *, new: int, cached: int) -> None:
        """`new` were encoded in one go, `cached` were known."""
        ...


class Collection(Protocol):
    """A named set of images embedded by exactly one encoder. Thread-safe; one process writes."""

    @property
    def info(self) -> CollectionInfo: ...
    def __len__(self) -> int: ...

    def search(self, vector: Embedding, *, top_k: int, where: Where = (), exact: bool = False) -> Found:
        """`exact`: every embedding is compared, whatever index there is."""
        ...

    def records(self, ids: Sequence[str]) -> dict[str, Record]:
        """Those of the ids that are here."""
        ...

    def embeddings(self, ids: Sequence[str]) -> dict[str, Embedding]:
        """Those of the ids that are here."""
        ...

    def background(self, most: int = 2000) -> Embeddings:
        """A fixed random sample of the collection, (min(most, len), dim); the same until the collection changes."""
        ...

    def has_field(self, name: str) -> bool:
        """Whether a filter can name it: a field of every record, or one in the metadata of some."""
        ...

    def fields(self) -> dict[str, list[Scalar]]:
        """Metadata fields and up to 50 of the commonest values of each, for the filter."""
        ...

    def page(self, *, offset: int, count: int, where: Where = ()) -> list[Record]:
        """Records, newest first."""
        ...

    def matching(self, where: Where) -> int:
        """How many records fulfil the filter."""
        ...

    def thumbnail(self, id: str) -> bytes | None: ...

    def original(self, id: str) -> BinaryIO:
        """The original's bytes, opened. Raises: ItemNotFound, SourceError where it is gone."""
        ...

    def put(self, items: Sequence[Item]) -> None:
        """Adds or replaces by record id; returns when committed and synced: this is the acknowledgement.

        A put whose uri is there under another id replaces that one. Raises: DiskFull, ReadOnly, ValueError for an
        embedding that is not finite, not normalised or of another dimension (nothing of the batch is kept then).
        """
        ...

    def remove(self, ids: Sequence[str]) -> int:
        """How many were there and are gone now (committed and synced)."""
        ...

    def known(self, source: str) -> Iterator[Record]:
        """All records whose uri begins with source + '/'."""
        ...

    def by_hash(self, hashes: Sequence[str]) -> dict[str, tuple[Record, Embedding]]:
        """One record and its embedding for each content hash that is here."""
        ...

    def set_source(self, name: str, root: Path | None) -> None:
        """Remembers where the files of a source are: a folder, or None for uploads."""
        ...

    def sources(self) -> dict[str, Path | None]: ...

    def set_failures(self, source: str, failures: Sequence[Failure]) -> None:
        """Replaces the list of unusable files of a source."""
        ...

    def failures(self) -> list[Failure]: ...

    def snapshot(self, into: Path, *, model: str) -> int:
        """Writes it as it is now to a new collection folder that is made in one way: no originals, no failures, no
        places of this machine. `model`: what its encoder is called there. Returns how many thumbnails there are."""
        ...

    def health(self) -> dict[str, Scalar]:
        """rows, via, index ("ready", "building", "down", "off"), watermark, sequence."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Release:
    """A model, and mostly a collection that it embedded, shipped together; `told` is the whole manifest."""

    folder: Path
    name: str
    model: str  # what the encoder is called
    fingerprint: str
    dim: int
    collection: str | None  # its name; None: a model alone
    told: Mapping[str, Any]

    @property
    def model_dir(self) -> Path:
        return self.folder / "model"

    @property
    def collection_dir(self) -> Path:
        return self.folder / "collection"


class Holder(Protocol):
    """The process that writes in a data folder. `address` is None where it serves no API."""

    @property
    def pid(self) -> int: ...
    @property
    def address(self) -> str | None: ...
    @property
    def token(self) -> str: ...


@dataclass(frozen=True, slots=True)
class CopyState:
    """How a data folder is copied elsewhere: where to, when last (ISO 8601, UTC), and what is wrong, if anything is."""

    place: str
    copied_at: str | None
    age_s: int | None
    problem: str


class Library(Protocol):
    """Collections by name. Raises: CollectionNotFound, CollectionExists, ReadOnly, StoreBusy."""

    @property
    def read_only(self) -> bool: ...
    @property
    def holder(self) -> Holder | None:
        """This process as others see it, where it is the one that writes."""
        ...

    def announce(self, address: str) -> None:
        """Tells commands that want to write where this process takes their jobs."""
        ...

    def start_index(self) -> None:
        """Keeps every writable collection in the index from now on; returns at once."""
        ...

    @property
    def copy_state(self) -> CopyState | None:
        """None where it is not copied anywhere."""
        ...

    def list(self) -> list[CollectionInfo]: ...
    def open(self, name: str) -> Collection:
        """The one open object of that name; opened on first use."""
        ...

    def check_new(self, name: str) -> None:
        """Raises: CollectionExists, CollectionError for an unusable name, ReadOnly."""
        ...

    def create(self, name: str, *, model: str, fingerprint: str, dim: int, description: str = "") -> Collection: ...
    def delete(self, name: str) -> None: ...
    def keep_upload(self, data: bytes, suffix: str) -> str:
        """Keeps an uploaded original by hash, synced before it returns; returns its path relative to uploads."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a source offers."""

    uri: str
    size_bytes: int
    mtime_ns: int
    path: Path | None  # None: not on this machine
    name: str = ""  # as the person knows it, where the uri does not say

    def __post_init__(self) -> None:  # file systems know times after the year 2262, SQLite does not
        object.__setattr__(self, "mtime_ns", min(self.mtime_ns, 2**63 - 1))


@dataclass(frozen=True, slots=True)
class Upload:
    """An original that the library keeps: its path relative to uploads, and the name that it came with."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class SentArchive:
    """A zip archive that was sent here: where it is kept until its job is done, and the name that it came with."""

    path: str
    name: str


class Source(Protocol):
    """Where images come from."""

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Path | None: ...
    @property
    def scope(self) -> str | None:
        """How the uris begin of which `files` names all: known ones that it does not name are gone. None: some only."""
        ...

    def files(self) -> Iterator[SourceFile | Failure]:
        """Every file that may be an image, in a stable order; a Failure for what can't be read."""
        ...

    def read(self, file: SourceFile, *, most_bytes: int) -> tuple[SourceFile, bytes]:
        """The file as it is now, and up to one byte more than may be: it may have changed since it was listed.

        Raises: SourceError for this file, any other error for the source as a whole. Called by several threads.
        """
        ...
