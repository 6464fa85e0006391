"""Parts that came from elsewhere, to be read: nothing that their files say is taken on trust."""

from pathlib import Path

from search.types import Collection
from store import database
from store.collection import CATALOG
from store.library import open_folder


def open_part(folder: Path) -> Collection:
    """The collection folder of a part. Raises: StoreUnavailable where its catalog is none that Sightline makes."""
    database.check(folder / CATALOG)
    return open_folder(folder)
