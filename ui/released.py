"""What a release holds, as a workspace to search and embed with and never to change."""

import os
from typing import TYPE_CHECKING, Protocol

from search.choices import ModelChoice
from search.encoders.load import endpoint_of, load_exported
from search.errors import EncoderMismatch, ReleaseDamaged, shown
from search.images.decoder import Decoder
from search.kept_images import KeptImages
from search.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from search.types import Encoder, Library, Release
    from settings import Settings


class OpenLibrary(Protocol):
    """store/library's."""

    def __call__(self, data_dir: "Path", *, bundled: "Sequence[tuple[str, Path]]", write: bool) -> "Library": ...


def released(release: "Release", open_library: OpenLibrary, settings: "Settings") -> Workspace:
    """Needs no data folder and takes no lock, so that any number of processes read one release.

    Where the settings name an endpoint as the model, that one encodes, and must be the release's own model.
    Raises: ModelDamaged, EncoderMismatch, and what RemoteEncoder raises.
    """
    endpoint = endpoint_of(settings.model) if settings.model.startswith("sagemaker:") else ""
    encoder = _behind(endpoint, release) if endpoint else _within(release)  # refused now, and not by the first search
    note = f'The model of the release "{release.name}"'
    note += f", behind the SageMaker endpoint {endpoint}; pictures are encoded there." if endpoint else "."
    shipped = [] if release.collection is None else [(release.collection, release.collection_dir)]
    return Workspace(
        open_library(release.folder, bundled=shipped, write=False),  # nothing else lies there
        load_encoder=lambda name: encoder,
        decoder=Decoder(workers=os.cpu_count() or 1, max_bytes=settings.max_image_mb * 2**20),
        kept=KeptImages(),
        models=[ModelChoice(release.model, release.model, note)],
        default=release.collection or "",
        embeds_with=release.model,
    )


def _within(release: "Release") -> "Encoder":
    if not any(name.startswith("model/") for name in release.told["files"]):
        raise ReleaseDamaged(
            f'"{shown(release.name)}" holds no model. A part that `index --part` made is for `import`; a release is '
            "what `release build` makes of a collection."
        )
    return load_exported(release.model, release.model_dir, fingerprint=release.fingerprint, threads=os.cpu_count())


def _behind(endpoint: str, release: "Release") -> "Encoder":
    from search.encoders.remote import RemoteEncoder

    encoder = RemoteEncoder(release.model, endpoint)
    if encoder.fingerprint != release.fingerprint:
        raise EncoderMismatch(
            f'The endpoint "{endpoint}" serves another model ({encoder.fingerprint[:12]}) than the one of the release '
            f'"{release.name}" ({release.fingerprint[:12]}): deploy this release to it, or take SIGHTLINE_MODEL away.'
        )
    return encoder
