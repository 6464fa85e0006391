"""`python app.py int8 COLLECTION`: tries an int8 text tower on a collection's own images, and says what it gave."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from search.errors import ModelError
from ui.terminal import plain

if TYPE_CHECKING:
    from search.types import Collection
    from search.workspace import Workspace

_IMAGES = 20_000
_CAPTIONS = 100


def run_int8(workspace: "Workspace", collection: str, *, off: bool) -> Iterator[str]:
    """Lines for a person. Raises: CollectionNotFound, ModelError."""
    from search.encoders.int8 import remove_int8, try_int8
    from search.encoders.onnx_encoder import OnnxEncoder

    engine = workspace.engine(collection)
    with workspace.encoders.using(engine.collection.info.model) as encoder:
        if not isinstance(encoder, OnnxEncoder):
            raise ModelError(f'"{plain(encoder.name)}" is no exported model here, and int8 is for those alone.')
    if off:
        there = remove_int8(encoder.folder)
        yield f"Texts are encoded in float32 {'from the next start on' if there else 'as before: int8 was off'}."
        return
    yield f'Trying int8 texts for "{plain(encoder.name)}" (half a minute) …'
    trial = try_int8(encoder, engine.collection.background(_IMAGES), _texts(engine.collection))
    yield f"{trial}."
    if trial.is_kept:
        yield "Kept, for every collection of this model, from the next start on; --off ends it."
    else:
        yield "Not kept: texts stay in float32."


def _texts(collection: "Collection") -> list[str]:
    """Captions of the collection, as far as it has any, ordinary words, and a few words with each."""
    from search.ranking import ORDINARY_WORDS

    captions = [record.caption for record in collection.page(offset=0, count=_CAPTIONS) if record.caption]
    phrases = [f"a photograph of a {word} at the seaside" for word in ORDINARY_WORDS]
    return list(dict.fromkeys([*captions, *ORDINARY_WORDS, *phrases]))
