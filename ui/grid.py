"""What the grid shows of a hit or a record, as plain values for the browser; no markup."""

from search.types import Hit, Record
from ui.api_query import thumb_url


def tile(collection: str, record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.metadata.get("name") or record.uri.rpartition("/")[2],  # an upload's uri is only its hash
        "uri": record.uri,
        "caption": record.caption,
        "width": record.width,
        "height": record.height,
        "thumb": _relative(thumb_url(collection, record)),
    }


def hit_tile(collection: str, hit: Hit) -> dict[str, object]:
    return {
        **tile(collection, hit.record),
        "score": round(hit.score, 4),
        "fit": round(hit.fit, 4),
        "rank": hit.rank,
    }


def _relative(address: str) -> str:
    """The page may be served below a path of its own; its base address knows."""
    return address.removeprefix("/")
