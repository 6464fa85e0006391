"""What the detail panel shows of one image: facts, metadata, and why it was found; no markup."""

from collections.abc import Mapping, Sequence

from search.engine import Contribution
from search.types import Query, Record
from ui.grid import tile, title_of
from ui.picture_urls import image_url

DETAIL_PX = 1600


def facts(collection: str, record: Record) -> dict[str, object]:
    return {
        **tile(collection, record),
        "image": image_url(collection, record, px=DETAIL_PX),
        "size_bytes": record.size_bytes,
        "taken_at": record.taken_at,
        "added_at": record.added_at,
        "metadata": dict(record.metadata),
    }


def shares(
    contributions: Sequence[Contribution], query: Query, examples: Mapping[str, Record]
) -> list[dict[str, object]]:
    """Each part's share in the score, as "boat +.31, people −.08" is made of; `examples` are its images, by id."""
    return [
        {
            "label": _named(contribution, examples.get(part.id or "")),
            "kind": contribution.kind,
            "weight": contribution.weight,
            "cosine": round(contribution.cosine, 4),
            "share": round(contribution.weight * contribution.cosine, 4),
        }
        for contribution, part in zip(contributions, query.parts, strict=True)
    ]


def _named(contribution: Contribution, example: Record | None) -> str:
    return title_of(example) if example else contribution.label
