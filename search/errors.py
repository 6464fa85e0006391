"""Every error that a person may see, and what each is called over HTTP.

SearchError
├── BadQuery            EmptyQuery · QueryTooLong · UnknownField
├── BadImage            UnreadableImage · ImageTooLarge · UnsupportedFormat
├── SourceError
├── StorageError        StorageNotFound · StorageRefused · StorageUnreachable · StorageConflict
├── CollectionError     CollectionNotFound · CollectionExists · EncoderMismatch · ReadOnly · StoreBusy
│                       StoreUnavailable · DiskFull · ReleaseDamaged
├── JobNotFound
├── ModelError          ModelNotFound · ModelDamaged · ModelNotDownloaded · ModelInUse · ModelRefused
│                       HubUnreachable · EndpointUnavailable
├── NotSignedIn
├── NotAllowed
├── Busy
└── TimedOut

A message says what happened, to what, the limit, and what to do. It never holds a path of this machine unless
the person gave that path.
"""


class SearchError(Exception):
    """What went wrong, in one sentence meant for a person; `code` is its stable name over HTTP."""

    code = "error"


class BadQuery(SearchError):
    code = "bad_query"


class EmptyQuery(BadQuery):
    code = "empty_query"


class QueryTooLong(BadQuery):
    code = "query_too_long"


class UnknownField(BadQuery):
    code = "unknown_field"


class BadImage(SearchError):
    code = "bad_image"


class UnreadableImage(BadImage):
    code = "unreadable_image"


class ImageTooLarge(BadImage):
    code = "image_too_large"


class UnsupportedFormat(BadImage):
    code = "unsupported_format"


class SourceError(SearchError):
    code = "source_error"


class StorageError(SearchError):
    """What is kept outside this machine, in S3."""

    code = "storage_error"


class StorageNotFound(StorageError):
    code = "storage_not_found"


class StorageRefused(StorageError):
    """By its owner's rules, or for want of credentials."""

    code = "storage_refused"


class StorageUnreachable(StorageError):
    """It did not answer, or not to the end: the same may work later."""

    code = "storage_unreachable"


class StorageConflict(StorageError):
    """Another process wrote what this one was about to write."""

    code = "storage_conflict"


class CollectionError(SearchError):
    code = "collection_error"


class CollectionNotFound(CollectionError):
    code = "collection_not_found"


class CollectionExists(CollectionError):
    code = "collection_exists"


class ItemNotFound(CollectionError):
    code = "item_not_found"


class EncoderMismatch(CollectionError):
    code = "encoder_mismatch"


class ReadOnly(CollectionError):
    code = "read_only"


class StoreBusy(CollectionError):
    code = "store_busy"


class StoreUnavailable(CollectionError):
    code = "store_unavailable"


class DiskFull(CollectionError):
    code = "disk_full"


class ReleaseDamaged(CollectionError):
    """A release that is not what its manifest says, or is none."""

    code = "release_damaged"


class JobNotFound(SearchError):
    code = "job_not_found"


class ModelError(SearchError):
    code = "model_error"


class ModelNotFound(ModelError):
    code = "model_not_found"


class ModelDamaged(ModelError):
    code = "model_damaged"


class ModelNotDownloaded(ModelError):
    """A model that can be fetched, and only is where somebody agreed to it. `missing_bytes`: where that is known."""

    code = "model_not_downloaded"

    def __init__(self, message: str, *, name: str = "", missing_bytes: int | None = None) -> None:
        super().__init__(message)
        self.name, self.missing_bytes = name, missing_bytes


class ModelInUse(ModelError):
    """It can't be removed: a collection would be left without it."""

    code = "model_in_use"


class ModelRefused(ModelError):
    """The hub or the endpoint has it, and not for everybody."""

    code = "model_refused"


class HubUnreachable(ModelError):
    """No network, a hub that does not answer, or SIGHTLINE_OFFLINE."""

    code = "hub_unreachable"


class EndpointUnavailable(ModelError):
    """An encoder elsewhere that does not answer now: nothing is wrong with what it was asked."""

    code = "endpoint_unavailable"


class NotSignedIn(SearchError):
    code = "not_signed_in"


class NotAllowed(SearchError):
    code = "not_allowed"


class Busy(SearchError):
    code = "busy"


class TimedOut(SearchError):
    code = "timed_out"


def shown(name: str) -> str:
    """A hostile file name for a sentence: its last part, printable, not long."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2] or "The file"
    clean = "".join(c if c.isprintable() else "\ufffd" for c in last)
    return clean if len(clean) <= 80 else f"{clean[:60]}…{clean[-19:]}"
