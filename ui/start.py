"""Starting `ui` and `serve`: from settings and a workspace to a server that answers until it is told to stop."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from settings import Settings
from ui.access import Access
from ui.events import Events, Place
from ui.listen import address_of, open_port, serve_until_stopped
from ui.readiness import Readiness, search_check
from ui.service import Front, Limits, Service, make_service, serve_limits
from ui.users_file import open_users

if TYPE_CHECKING:
    from search.workspace import Workspace

UI_PORT = 7860
SPACE_FRAMES = ("https://huggingface.co", "https://*.hf.space")  # whose pages show a Space in a frame
SERVE_PORT = 8080
USUAL_RATE = 600  # requests a minute of one caller from elsewhere: ten a second, which no person makes
MODEL_DIR = Path("/opt/ml/model")  # where SageMaker unpacks a model.tar.gz


class Join(Protocol):
    """app.py's: everything a face needs. `write`: take the data folder's lock. Raises: StoreBusy."""

    def __call__(self, settings: Settings, *, write: bool) -> "Workspace": ...


class OpenPlace(Protocol):
    """store/places': a folder, or an address in S3. Raises: SourceError."""

    def __call__(self, text: str) -> Place: ...


def run_ui(
    settings: Settings, join: Join, *, when_serving: Callable[[str], None], open_place: OpenPlace | None = None
) -> None:
    """`open_place`: for what SIGHTLINE_EVENTS names. Raises: PortTaken, StoreBusy, StoreUnavailable, BadUsers."""
    users = open_users(settings.auth) if settings.auth else None
    with open_port(settings.host, UI_PORT if settings.port is None else settings.port) as listener:
        address = address_of(listener)
        with closing(join(settings, write=True)) as workspace:
            workspace.library.announce(address)
            holder = workspace.library.holder
            access = Access(
                host=settings.host,
                token=holder.token if holder else "",
                sources=settings.sources,
                users=users,
                origins=settings.origins,
                is_behind_proxy=bool(settings.proxies),
            )
            limits = Limits(image_bytes=settings.max_image_mb * 2**20, upload_bytes=settings.max_upload_mb * 2**20)
            when_ready = partial(begin_background_work, workspace)
            events = events_of(settings, open_place)
            service = _service(settings, workspace, access, limits=limits, when_ready=when_ready, events=events)
            from ui.server import make_app

            app = make_app(service, embedded_by=SPACE_FRAMES if settings.in_space else ())

            def end_waits() -> None:
                app.state.end_streams()
                service.stop()

            serve_until_stopped(app, listener, when_serving=lambda: when_serving(address), when_stopping=end_waits)


def run_serve(
    settings: Settings, join: Join, *, model_dir: Path = MODEL_DIR, open_place: OpenPlace | None = None
) -> None:
    """A release in `model_dir` is served where none is set. Raises: PortTaken, StoreUnavailable, ReleaseDamaged."""
    from ui.serve import make_serve_app

    settings = with_release_at(model_dir, settings)
    with (
        open_port(settings.host, SERVE_PORT if settings.port is None else settings.port) as listener,
        closing(join(settings, write=False)) as workspace,
    ):
        limits = serve_limits(
            image_bytes=settings.max_image_mb * 2**20,
            answer_bytes=settings.answer_bytes,
            is_batch_transform=settings.batch_transform,
        )
        access, when_ready = Access(host=settings.host), workspace.decoder.start
        events = events_of(settings, open_place)
        service = _service(settings, workspace, access, limits=limits, when_ready=when_ready, events=events)
        serve_until_stopped(make_serve_app(service), listener, when_stopping=service.stop)


def events_of(settings: Settings, open_place: OpenPlace | None) -> Events | None:
    if not settings.events or open_place is None:
        return None
    return Events(open_place(settings.events), with_queries=settings.log_queries)


def with_release_at(model_dir: Path, settings: Settings) -> Settings:
    """What SageMaker put there is served, unless another release is set."""
    if settings.release or not (model_dir / "manifest.json").is_file():
        return settings
    return replace(settings, release=str(model_dir))


def begin_background_work(workspace: "Workspace") -> None:
    """What must not be on the way to the first answer. A decoder that can't start yet hinders nothing else."""
    if workspace.jobs is not None:
        workspace.jobs.start()
    if not workspace.library.read_only:
        workspace.library.start_index()
    workspace.decoder.start()


def _service(
    settings: Settings,
    workspace: "Workspace",
    access: Access,
    *,
    limits: Limits,
    when_ready: Callable[[], None],
    events: Events | None,
) -> Service:
    readiness = Readiness(search_check(workspace, model=workspace.embeds_with), when_ready=when_ready)
    is_unlimited = access.is_local or settings.in_space  # whose proxy makes everybody look alike
    rate = settings.rate if settings.rate is not None else 0 if is_unlimited else USUAL_RATE
    front = Front(root_path=settings.root_path, proxies=settings.proxies, origins=settings.origins, rate=rate)
    return make_service(
        workspace,
        access=access,
        limits=limits,
        readiness=readiness,
        front=front,
        log_queries=settings.log_queries,
        events=events,
    )
