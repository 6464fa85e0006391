"""What a part was made of: noted in it, and compared before it is taken for what is asked for; reads no image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

_NAMED = 3  # sources in a sentence


@dataclass(frozen=True, slots=True)
class Listing:
    """What was listed, by uri and size, in no order; the same wherever the files are mounted."""

    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class MadeFrom:
    sources: tuple[str, ...]  # sorted
    max_image_mb: int
    images: Listing | None = None  # None: not known yet

    def to_json(self) -> dict[str, Any]:
        images = {"count": self.images.count, "sha256": self.images.sha256} if self.images else None
        return {"sources": list(self.sources), "max_image_mb": self.max_image_mb, "images": images}


def list_of(sizes: Mapping[str, int]) -> Listing:
    """`sizes`: in bytes, by uri."""
    digest = sha256()
    for uri in sorted(sizes):
        digest.update(f"{uri}\0{sizes[uri]}\n".encode("utf-8", "replace"))
    return Listing(len(sizes), digest.hexdigest())


def as_made_from(told: object) -> MadeFrom | None:
    """None where it says nothing of the kind."""
    try:
        sources, limit, images = told["sources"], told["max_image_mb"], told["images"]  # type: ignore[index]  # told below
        listing = None if images is None else Listing(images["count"], images["sha256"])
    except (KeyError, TypeError):
        return None
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        return None
    kinds = (type(limit), type(listing.count if listing else 0), type(listing.sha256 if listing else ""))
    return MadeFrom(tuple(sources), limit, listing) if kinds == (int, int, str) else None


def difference(before: MadeFrom, now: MadeFrom) -> str:
    """The end of a sentence that begins with what was made before; nothing where it would be made again as it is."""
    if before.sources != now.sources:
        return f"it was made of {named(before.sources)} and not of {named(now.sources)}"
    if before.max_image_mb != now.max_image_mb:
        return f"SIGHTLINE_MAX_IMAGE_MB was {before.max_image_mb} and is {now.max_image_mb}"
    if before.images and now.images and before.images != now.images:
        return (
            f"there were {before.images.count:,} images in {named(now.sources)} for it, and there are "
            f"{now.images.count:,} now, or other ones"
        )
    return ""


def named(sources: Sequence[str]) -> str:
    """The first, in a sentence."""
    more = f" and {len(sources) - _NAMED:,} more" if len(sources) > _NAMED else ""
    return ", ".join(source[-80:] for source in sources[:_NAMED]) + more
