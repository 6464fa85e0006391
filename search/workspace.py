"""What every face works with: the collections by name, their engines, the encoders loaded for them, and the jobs.

It owns loading on demand and nothing else; how a collection or an encoder is opened is passed in from app.py.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search.engine import SearchEngine
from search.errors import CollectionNotFound
from search.images.decoder import Decoder
from search.jobs import Jobs
from search.kept_images import KeptImage, KeptImages
from search.types import Collection, CollectionInfo, Encoder, Library, Scalar


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that a new collection can be made with, and what it is good for in one sentence."""

    name: str
    title: str
    note: str


@dataclass(frozen=True, slots=True)
class Summary:
    info: CollectionInfo
    count: int
    health: dict[str, Scalar]
    note: str  # what its model knows, in one sentence


class Workspace:
    """Thread-safe."""

    def __init__(
        self,
        library: Library,
        *,
        load_encoder: Callable[[str], Encoder],
        decoder: Decoder,
        kept: KeptImages,
        models: Sequence[ModelChoice],
        default: str,
        configured: str = "",
    ) -> None:
        """`configured` (SIGHTLINE_COLLECTION) answers where no collection is named, else `default` or the first."""
        self.library = library
        self.decoder = decoder
        self.kept = kept
        self._load_encoder = load_encoder
        self._models = tuple(models)
        self._default = default
        self._configured = configured
        self._engines: dict[str, SearchEngine] = {}
        self._encoders: dict[str, Encoder] = {}
        self._lock = threading.Lock()  # guards the two maps
        self._loading = threading.Lock()  # one model is loaded at a time
        self.jobs: Jobs | None = None  # set by app.py where this process may write

    @property
    def default(self) -> str:
        """The collection that answers where none is named. The configured one may not have been made yet."""
        if self._configured:
            return self._configured
        names = [info.name for info in self.library.list()]
        if self._default in names or not names:
            return self._default
        return names[0]

    def collections(self) -> list[Summary]:
        return [self._summary(info) for info in self.library.list()]

    def open(self, name: str | None = None) -> Collection:
        """Raises: CollectionNotFound."""
        if name or not self._configured:
            return self.library.open(name or self.default)
        try:
            return self.library.open(self._configured)
        except CollectionNotFound as error:
            there = ", ".join(f'"{info.name}"' for info in self.library.list()) or "none yet"
            raise CollectionNotFound(
                f'SIGHTLINE_COLLECTION is "{self._configured}", and there is no such collection (there are: {there}): '
                "make it, or change the variable."
            ) from error

    def engine(self, name: str | None = None) -> SearchEngine:
        """The engine of a collection (of the default one for None), opened and loaded on first use.

        Raises: CollectionNotFound, EncoderMismatch, ModelError.
        """
        wanted, name = name, name or self.default
        with self._lock:
            engine = self._engines.get(name)
        if engine is not None:
            return engine
        collection = self.open(wanted)
        encoder = self.encoder(collection.info.model)
        engine = SearchEngine(collection, encoder, decoder=self.decoder, kept=self.kept)
        with self._lock:
            if self.library.open(name) is not collection:  # deleted while the model was loaded, and made again
                raise CollectionNotFound(f'The collection "{name}" was deleted and made again meanwhile: ask again.')
            return self._engines.setdefault(name, engine)

    def encoder(self, model: str) -> Encoder:
        """Raises: ModelNotFound, ModelDamaged."""
        with self._loading:
            if model not in self._encoders:
                self._encoders[model] = self._load_encoder(model)
            return self._encoders[model]

    def create(self, name: str, *, model: str, description: str = "") -> CollectionInfo:
        """Raises: CollectionExists, CollectionError for an unusable name, ModelError."""
        encoder = self.encoder(model)
        return self.library.create(
            name, model=model, fingerprint=encoder.fingerprint, dim=encoder.dim, description=description
        ).info

    def delete(self, name: str) -> None:
        """Raises: CollectionNotFound, ReadOnly."""
        self.library.delete(name)
        with self._lock:
            self._engines.pop(name, None)

    def models(self) -> list[ModelChoice]:
        return list(self._models)

    def keep_image(self, data: bytes, *, name: str, collection: str | None = None) -> KeptImage:
        """Raises: BadImage."""
        return self.engine(collection).keep_image(data, name=name)

    def _summary(self, info: CollectionInfo) -> Summary:
        try:
            collection = self.library.open(info.name)
        except CollectionNotFound:  # deleted meanwhile
            return Summary(info, 0, {}, "")
        note = next((choice.note for choice in self._models if choice.name == info.model), "")
        return Summary(info, len(collection), collection.health(), note)

    def close(self) -> None:
        if self.jobs is not None:
            self.jobs.close()
        self.decoder.close()
        self.library.close()
