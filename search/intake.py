"""Embeds prepared files in batches and puts them into a collection under the right ids; reads no files."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

import numpy as np

from search.errors import EndpointUnavailable, ModelError, ModelNotFound, ModelRefused, shown
from search.images.decoder import Decoded
from search.progress import Fate, Tally
from search.readahead import Prepared
from search.types import Collection, Embedding, Encoder, Item, Record, Scalar, SourceFile

_FIRST, _MOST = 4, 256  # a GPU needs large ones
_ENCODE_S = 0.25  # aimed at for a batch: what a search may wait behind, and how soon "cancel" works


class Intake:
    """For one run; `known` is by uri, `gone` by content hash: what a moved file was."""

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder,
        tally: Tally,
        *,
        known: Mapping[str, Record],
        gone: Mapping[str, list[Record]],
    ) -> None:
        self.batch = _FIRST  # then as many as the encoder takes in a quarter of a second
        self._stale: list[SourceFile] = []
        self._collection, self._encoder, self._tally = collection, encoder, tally
        self._known, self._gone = known, gone

    def put(self, batch: Sequence[Prepared]) -> None:
        """One acknowledgement for all of it. Raises: DiskFull, ModelError where the model fails on every one."""
        known = self._collection.by_hash(list({one.content_hash for one in batch}))
        fresh = {one.content_hash: one.decoded for one in batch if one.decoded and one.content_hash not in known}
        embedded = self._embed(fresh)
        entries: list[_Entry] = []
        for one in batch:
            hash = one.content_hash
            if hash in known:
                record, embedding = known[hash]
                entries.append(self._entry(one, record, embedding, thumbnail=None))
            elif hash not in fresh:
                self._stale.append(one.file)
            elif isinstance(row := embedded[hash], ModelError):
                self._tally.fail(one.file, row)
            else:
                entries.append(self._entry(one, _fresh(one, fresh[hash]), row, thumbnail=fresh[hash].thumbnail))
        self._put(entries)

    def take_stale(self) -> list[SourceFile]:
        """Files that were not decoded, as their image was known, and no longer is: to be read again."""
        stale, self._stale = self._stale, []
        return stale

    def _embed(self, new: Mapping[str, Decoded]) -> dict[str, Embedding | ModelError]:
        """By content hash. Where the model fails on a batch, each is tried by itself."""
        if not new:
            return {}
        started = time.monotonic()
        try:
            rows = self._encoder.encode_images(np.stack([decoded.pixels for decoded in new.values()]))
        except (EndpointUnavailable, ModelNotFound, ModelRefused):
            raise  # an endpoint that is gone, whatever the picture
        except ModelError as error:
            if len(new) == 1:
                return dict.fromkeys(new, error)
            each = {key: row for hash, decoded in new.items() for key, row in self._embed({hash: decoded}).items()}
            if all(isinstance(row, ModelError) for row in each.values()):
                raise  # it is the model, not the pictures
            return each
        each_s = (time.monotonic() - started) / len(new)
        self.batch = min(_MOST, max(1, round(_ENCODE_S / max(each_s, 1e-6))))
        return dict(zip(new, rows, strict=True))

    def _put(self, entries: Sequence["_Entry"]) -> None:
        try:
            self._collection.put([entry.item for entry in entries])
        except ValueError as error:  # an embedding that is none, such as NaN: nothing of the batch was kept
            if len(entries) > 1:
                for entry in entries:
                    self._put([entry])
                return
            file = entries[0].file
            name = shown(file.name or file.uri)
            self._tally.fail(file, ModelError(f"The model has no usable embedding of {name}: {error}"))
            return
        for entry in entries:
            self._tally.count(entry.fate)

    def _entry(self, one: Prepared, like: Record, embedding: Embedding, *, thumbnail: bytes | None) -> "_Entry":
        """Under the id that the file had before it was changed or moved; `like` is of the same bytes."""
        fate: Fate = "indexed"
        old = self._known.get(one.file.uri)
        if old is None and self._gone.get(one.content_hash):
            fate, old = "moved", self._gone[one.content_hash].pop()
        elif old is not None and old.content_hash == one.content_hash:
            fate = "unchanged"
        like = old if old and fate != "indexed" else like
        record = replace(
            like,
            id=old.id if old else secrets.token_hex(8),
            uri=one.file.uri,
            size_bytes=one.file.size_bytes,
            mtime_ns=one.file.mtime_ns,
            added_at=old.added_at if old else datetime.now(UTC).isoformat(timespec="seconds"),
            metadata=placed(like.metadata, one.file.uri, name=one.file.name),
        )
        return _Entry(one.file, fate, Item(record, embedding, thumbnail))


@dataclass(frozen=True, slots=True)
class _Entry:
    file: SourceFile
    fate: Fate
    item: Item


def _fresh(one: Prepared, decoded: Decoded) -> Record:
    """What the picture itself says."""
    metadata: dict[str, Scalar] = {"format": decoded.format}
    if decoded.taken_at is not None:
        metadata["year"] = int(decoded.taken_at[:4])
    return Record(
        id="",
        uri=one.file.uri,
        content_hash=one.content_hash,
        size_bytes=one.file.size_bytes,
        width=decoded.width,
        height=decoded.height,
        taken_at=decoded.taken_at,
        metadata=metadata,
    )


def placed(metadata: Mapping[str, Scalar], uri: str, *, name: str = "") -> dict[str, Scalar]:
    """With those of its place: the folder, and a name that the uri does not tell."""
    path = PurePosixPath(name or uri.removeprefix("s3://").partition("/")[2])
    told = {key: value for key, value in metadata.items() if key not in ("folder", "name")}
    if path.parent != PurePosixPath("."):
        told["folder"] = path.parent.as_posix()
    if name:
        told["name"] = path.name
    return told
