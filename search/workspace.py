"""What every face works with: the collections by name, their engines, the encoders loaded for them, and the jobs.

It joins them and owns nothing else; how a collection or an encoder is opened is passed in from app.py.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.choices import ModelChoice
from search.embedder import Embedder
from search.encoders.removal import Removed
from search.engine import SearchEngine
from search.errors import Busy, CollectionNotFound, ModelInUse, ReadOnly, StoreUnavailable
from search.evaluations import Evaluations
from search.images.decoder import Decoder
from search.jobs import Jobs
from search.kept_images import KeptImage, KeptImages
from search.loaded import Encoders, Loading
from search.makings import Makings
from search.model_downloads import Download
from search.models import Models, ModelState
from search.reports import Reports
from search.speeds import Speeds
from search.types import Collection, CollectionInfo, Encoder, Library, Observer, Scalar

log = logging.getLogger(__name__)


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
        size_of: Callable[[str], int] = lambda model: 0,
        available: Callable[[], int | None] = lambda: None,
        decoder: Decoder,
        kept: KeptImages,
        models: Sequence[ModelChoice],
        default: str,
        configured: str = "",
        named: Models | None = None,
        speeds: Speeds | None = None,
        reports_dir: Path | None = None,
        labels: Mapping[str, Path] | None = None,
        embeds_with: str = "pocket",
    ) -> None:
        """`size_of`: a model's bytes in memory; `available`: the memory that is free, None where there is no limit.

        `named`: where models that are no bundled ones are looked for and fetched; None: nowhere. `speeds`: of models.

        `configured` (SIGHTLINE_COLLECTION) answers where no collection is named, else `default` or the first.
        `labels`: by collection the labelled queries that come with it; without `reports_dir` nothing is evaluated.
        `embeds_with`: the model that embeds where there is no collection.
        """
        self.library = library
        self.decoder = decoder
        self.kept = kept
        self.encoders = Encoders(load_encoder, size_of=size_of, available=available)
        self.speeds = speeds
        self.makings = Makings(
            named,
            check=library.check_new,
            load=self.encoder,
            create=lambda name, model, description: self.create(name, model=model, description=description),
        )
        self.embeds_with = embeds_with
        self._models = tuple(models)
        self._default = default
        self._configured = configured
        self._named = named
        self._engines: dict[str, SearchEngine] = {}
        self._alone: Embedder | None = None
        self._lock = threading.Lock()  # guards it
        self._observer: Observer | None = None
        self._choosing = threading.Lock()  # held while a model becomes a collection's, or goes
        self.jobs: Jobs | None = None  # set by app.py where this process may write
        self.evaluations: Evaluations | None = None
        if reports_dir is not None:
            self.evaluations = Evaluations(Reports(reports_dir), open_engine=self.engine, labels=labels or {})

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
        """Without those that were deleted meanwhile, and the damaged ones, which are logged."""
        found = []
        for info in self.library.list():
            try:
                found.append(self._summary(info))
            except CollectionNotFound:
                continue
            except StoreUnavailable as error:
                if info in self.library.list():
                    log.error("collection_unusable=%r reason=%r", info.name, str(error))
        return found

    def open(self, name: str | None = None) -> Collection:
        """Raises: CollectionNotFound."""
        if not name and not self._configured and not self.library.list():
            raise CollectionNotFound("There is no collection here, so nothing can be searched; it can embed.")
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
        engine = SearchEngine(collection, encoder, decoder=self.decoder, kept=self.kept, observer=self._observer)
        with self._lock:
            if self.library.open(name) is not collection:  # deleted while the model was loaded, and made again
                raise CollectionNotFound(f'The collection "{name}" was deleted and made again meanwhile: ask again.')
            return self._engines.setdefault(name, engine)

    def observe(self, observer: Observer) -> None:
        """Has the searches of every engine told to it, from now on."""
        with self._lock:
            self._observer = observer
            for engine in self._engines.values():
                engine.embedder.observer = observer
            if self._alone:
                self._alone.observer = observer

    def in_use(self) -> list[Collection]:
        """Those that were searched, or indexed into, since the start."""
        with self._lock:
            return [engine.collection for engine in self._engines.values()]

    def embedder(self, name: str | None = None) -> Embedder:
        """What embeds for a collection; where there is none at all, by the model that is set. Raises: as `engine`."""
        if name or self.library.list():
            return self.engine(name).embedder
        encoder = self.encoder(self.embeds_with)
        with self._lock:
            if self._alone is None or self._alone.encoder is not encoder:
                self._alone = Embedder(encoder, decoder=self.decoder, observer=self._observer)
            return self._alone

    def encoder(self, model: str) -> Encoder:
        """Downloads nothing. Raises: ModelNotFound, ModelNotDownloaded, ModelDamaged, ModelError."""
        return self.encoders.get(model)

    def prepare(self, name: str | None = None, *, within_s: float) -> Loading | None:
        """Has the model of a collection loaded, if need be in the background; None once it is there.

        Raises: as `engine`.
        """
        return self.encoders.begin(self.open(name).info.model, within_s=within_s)

    def create(self, name: str, *, model: str, description: str = "") -> CollectionInfo:
        """Raises: CollectionExists, CollectionError for an unusable name, ModelError, Busy."""
        self.library.check_new(name)  # before a model is loaded for it
        encoder = self.encoder(model)
        with self._choosing:
            if self.encoders.fingerprint(model) != encoder.fingerprint:
                raise Busy(f'"{model}" was removed at this moment: ask again.')
            return self.library.create(
                name, model=model, fingerprint=encoder.fingerprint, dim=encoder.dim, description=description
            ).info

    def delete(self, name: str) -> None:
        """Raises: CollectionNotFound, ReadOnly."""
        self.library.delete(name)
        with self._lock:
            self._engines.pop(name, None)
        if self.jobs is not None:
            self.jobs.tidy()
        if self.evaluations is not None:
            self.evaluations.forget(name)

    def models(self) -> list[ModelChoice]:
        return list(self._models)

    def model(self, name: str, *, look_up: bool = False) -> ModelState:
        """What stands between a name and an encoder. `look_up`: ask the hub for what is not here.

        Raises, with `look_up`: ModelNotFound, ModelRefused, HubUnreachable, ModelError.
        """
        if self._named is None:
            return ModelState(name, "ready" if name in {choice.name for choice in self._models} else "unknown")
        return self._named.look_up(name) if look_up else self._named.state(name)

    def speed(self, name: str) -> dict[str, Any] | None:
        """What was measured on this machine."""
        if self.speeds is None:
            return None
        loaded = self.encoders.fingerprint(name)
        return self.speeds.of(loaded or (self._named.fingerprint(name) if self._named else None))

    def fetched_models(self, *, beside: AbstractSet[str] = frozenset()) -> list[ModelState]:
        """What was downloaded, or begun to be, but for the names `beside`."""
        return self._named.here(beside=beside) if self._named else []

    def fetch(self, name: str) -> Download:
        """Starts a model's download in the background: only where somebody agreed to it, who was shown its size.

        Raises: ModelNotFound, ModelRefused, HubUnreachable, ModelError, Busy while another is fetched.
        """
        return self._fetching.fetch(name)

    def downloads(self) -> list[Download]:
        """Newest first."""
        return self._named.downloads.list() if self._named else []

    def cancel_fetch(self, name: str) -> Download:
        """Soon; what came is kept, and the next fetch goes on from there. Raises: ModelNotFound."""
        return self._fetching.downloads.cancel(name)

    def remove_model(self, name: str) -> Removed:
        """Of those that were fetched. Raises: ModelInUse, ModelNotFound, ModelDamaged, Busy."""
        with self._choosing:
            return self._remove_model(name)

    def _remove_model(self, name: str) -> Removed:
        infos = self.library.list()
        users = [info.name for info in infos if info.model == name]
        users += [
            making.collection for making in self.makings.list() if making.model == name and not making.is_finished
        ]
        if users:
            raise ModelInUse(f'"{name}" stays: {", ".join(users)} could not be searched without it. Delete that first.')
        if not self.encoders.forget(name):
            raise Busy(f'"{name}" is in use at this moment; try again.')
        return self._fetching.remove(name, wanted={info.fingerprint for info in infos})

    @property
    def _fetching(self) -> Models:
        if self._named is None:
            raise ReadOnly("This server fetches no models.")
        return self._named

    def keep_image(self, data: bytes, *, name: str, collection: str | None = None) -> KeptImage:
        """Raises: BadImage."""
        return self.engine(collection).keep_image(data, name=name)

    def _summary(self, info: CollectionInfo) -> Summary:
        collection = self.library.open(info.name)
        note = next((choice.note for choice in self._models if choice.name == info.model), "")
        return Summary(info, len(collection), collection.health(), note)

    def close(self) -> None:
        if self.jobs is not None:
            self.jobs.close()
        if self.evaluations is not None:
            self.evaluations.close()
        if self._named is not None:
            self._named.downloads.close()
        self.decoder.close()
        self.library.close()
