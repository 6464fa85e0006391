"""Parts as `index --part` makes them, taken into a data folder, and what is in it then."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from app import join
from search.types import Collection, Item
from settings import Settings
from store.library import LocalLibrary
from store.lock import read_holder
from store.release import build_release
from tests.contract.served import picture
from tests.stored import STORES, embeddings, item
from ui.import_command import import_all
from ui.stores import Stores

MODEL, OTHER_MODEL = "a" * 64, "b" * 64
DIM = 16
THUMBNAIL = picture("red", kind="WEBP")


def images(*names: str, seed: int = 0) -> list[Item]:
    rows = embeddings(len(names), seed=seed)
    return [
        item(100 * seed + number, rows[number], uri=f"photos/{name}", thumbnail=THUMBNAIL)
        for number, name in enumerate(names)
    ]


def made_part(
    out: Path,
    number: int,
    of: int,
    items: Sequence[Item],
    *,
    fingerprint: str = MODEL,
    sources: Sequence[str] = ("photos",),
    **told: object,
) -> Path:
    """As `index --part` makes it, without its encoder."""
    name = f"part-{number:04}-of-{of:04}"
    with closing(LocalLibrary(out / f".{name}")) as library:
        collection = library.create("part", model="pocket", fingerprint=fingerprint, dim=DIM)
        for source in sources:
            collection.set_source(source, None)
        collection.put(items)
        build_release(
            out / name,
            name=name,
            model={"name": "pocket", "fingerprint": fingerprint, "dim": DIM},
            files={},
            snapshot=lambda into: {
                "name": "part",
                "images": 0,
                "thumbnails": collection.snapshot(into, model="pocket"),
            },
            told={"part": {"number": number, "of": of}, "unusable": 0, **told},
        )
    shutil.rmtree(out / f".{name}")
    return out / name


def imported(settings: Settings, *given: Path | str, source: str | None = None, stores: Stores = STORES) -> None:
    given_names = [str(one) for one in given]
    import_all(
        settings,
        join,
        stores,
        given_names,
        collection="photos",
        source=source,
        holder=lambda: read_holder(settings.data_dir),
    )


@contextmanager
def opened(settings: Settings, name: str = "photos", *, write: bool = False) -> Iterator[Collection]:
    with closing(LocalLibrary(settings.data_dir, write=write)) as library:
        yield library.open(name)


def uris(settings: Settings) -> list[str]:
    with opened(settings) as collection:
        return sorted(record.uri for record in collection.page(offset=0, count=1000))
