"""What a release holds, as a workspace to search and embed with and never to change."""

import os
from functools import partial
from typing import TYPE_CHECKING, Protocol

from search.choices import ModelChoice
from search.encoders.load import load_exported
from search.images.decoder import Decoder
from search.kept_images import KeptImages
from search.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from search.types import Library, Release
    from settings import Settings


class OpenLibrary(Protocol):
    """store/library's."""

    def __call__(self, data_dir: "Path", *, bundled: "Sequence[tuple[str, Path]]", write: bool) -> "Library": ...


def released(release: "Release", open_library: OpenLibrary, settings: "Settings") -> Workspace:
    """Needs no data folder and takes no lock, so that any number of processes read one release.

    Raises: ModelDamaged where the model is not the one that the manifest names.
    """
    load = partial(
        load_exported,
        release.model,
        release.model_dir,
        fingerprint=release.fingerprint,
        threads=os.cpu_count(),
    )
    encoder = load()  # refused now, and not by the first search
    shipped = [] if release.collection is None else [(release.collection, release.collection_dir)]
    return Workspace(
        open_library(release.folder, bundled=shipped, write=False),  # nothing else lies there
        load_encoder=lambda name: encoder,
        decoder=Decoder(workers=os.cpu_count() or 1, max_bytes=settings.max_image_mb * 2**20),
        kept=KeptImages(),
        models=[ModelChoice(release.model, release.model, f'The model of the release "{release.name}".')],
        default=release.collection or "",
        embeds_with=release.model,
    )
