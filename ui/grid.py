"""What the grid shows of a hit or a record, as plain values for the browser; no markup."""

from search.types import Hit, Record
from ui.picture_urls import thumb_url


def tile(collection: str, record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "name": _name_of(record),
        "uri": record.uri,
        "caption": record.caption,
        "width": record.width,
        "height": record.height,
        "thumb": thumb_url(collection, record),
    }


def hit_tile(collection: str, hit: Hit) -> dict[str, object]:
    return {
        **tile(collection, hit.record),
        "score": round(hit.score, 4),
        "fit": round(hit.fit, 4),
        "rank": hit.rank,
    }


def title_of(record: Record) -> str:
    """What an image is called wherever it is named."""
    return record.caption or _name_of(record)


def _name_of(record: Record) -> str:
    """Of its file; an upload's uri is only its hash."""
    return str(record.metadata.get("name") or record.uri.rpartition("/")[2])
