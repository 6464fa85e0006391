"""What the routes of one running server share: the workspace, who may do what, the threads, the limits."""

from dataclasses import dataclass, field

from starlette.requests import Request

from search.workspace import Workspace
from settings import Proxies
from ui.access import Access, caller_of
from ui.arrivals import Arrivals
from ui.batches import BATCH_BYTES, BatchLimits
from ui.events import Events, Recording
from ui.metrics import Metrics
from ui.rate import Rate
from ui.readiness import Readiness
from ui.sign_in import SignIn
from ui.workers import Workers

JSON_BYTES = 2**20  # of a request that carries no picture
SEARCHES = 16  # at once, so that texts which come together are encoded together
TRANSFORM_S = 3_600.0  # the longest InvocationsTimeoutInSeconds: the job's own ends it. Source: ModelClientConfig.


@dataclass(frozen=True, slots=True)
class Limits:
    image_bytes: int = 50 * 2**20  # of one picture
    upload_bytes: int = 2_000 * 2**20  # of one upload
    body_bytes: int | None = None  # of a query's body, where the platform has a word in it
    answer_bytes: int | None = None  # and of what answers one; None: any number
    deadline_s: float = 30.0  # of a search
    waiting: int = 256  # searches, before one more is refused
    batch: BatchLimits = field(default_factory=BatchLimits)

    @property
    def query_bytes(self) -> int:
        """Of a query's body: one picture in base64, and what is around it."""
        return self.body_bytes or self.image_bytes * 4 // 3 + JSON_BYTES


def serve_limits(*, image_bytes: int, answer_bytes: int = BATCH_BYTES, is_batch_transform: bool = False) -> Limits:
    """SageMaker's: 6 MB each way and 60 s a request; a job of Batch Transform waits up to an hour for any answer.

    64 wait: about a second's work, so that more is refused at once and tried elsewhere.
    """
    if is_batch_transform:
        batch = BatchLimits(lines=50_000, hits=1_000_000, within_s=TRANSFORM_S)
        return Limits(image_bytes, body_bytes=BATCH_BYTES, deadline_s=TRANSFORM_S, waiting=64, batch=batch)
    batch = BatchLimits(within_s=45.0, answer_bytes=answer_bytes)
    return Limits(
        image_bytes, body_bytes=BATCH_BYTES, answer_bytes=answer_bytes, deadline_s=50.0, waiting=64, batch=batch
    )


@dataclass(frozen=True, slots=True)
class Front:
    """How the server is reached: behind what, under which path, by whom and how often."""

    root_path: str = ""
    proxies: Proxies = 0
    origins: tuple[str, ...] = ()  # whose pages may ask the API from a browser
    rate: int = 0  # requests a minute of one caller; 0: any number


@dataclass(frozen=True, slots=True)
class Service:
    workspace: Workspace
    access: Access
    limits: Limits
    readiness: Readiness
    arrivals: Arrivals
    searches: Workers
    examples: Workers  # searches by pictures: a hostile one is decoded for seconds, and words must not wait for that
    batches: Workers  # of many lines: single searches go on beside them
    pictures: Workers  # thumbnails and re-encoded originals: many, short, and never in a search's way
    changes: Workers  # what writes, or loads a model
    metrics: Metrics
    front: Front
    rate: Rate | None
    sign_in: SignIn | None
    log_queries: bool = False
    events: Events | None = None

    def start(self) -> None:
        self.readiness.start()
        if self.events is not None:
            self.events.start()

    def stop(self) -> None:
        """To be called in the event loop: what has come is answered, and nothing else is waited for."""
        self.readiness.withdraw()
        self.arrivals.stop()

    def close(self) -> None:
        self.readiness.close()
        for workers in (self.searches, self.examples, self.batches, self.pictures, self.changes):
            workers.close()
        if self.sign_in is not None:
            self.sign_in.close()
        if self.events is not None:
            self.events.close()


def make_service(
    workspace: Workspace,
    *,
    access: Access,
    limits: Limits,
    readiness: Readiness,
    front: Front | None = None,
    log_queries: bool = False,
    events: Events | None = None,
) -> Service:
    front = front or Front()
    deadline_s = limits.deadline_s
    pools = {
        "searches": Workers("search", threads=SEARCHES, waiting=limits.waiting, deadline_s=deadline_s),
        "examples": Workers("example", threads=16, waiting=32, deadline_s=deadline_s),  # most only wait for a decoder
        "batches": Workers("batch", threads=2, waiting=8, deadline_s=deadline_s),
        "pictures": Workers("picture", threads=4, waiting=512, deadline_s=30),
        "changes": Workers("change", threads=2, waiting=16, deadline_s=900),
    }
    metrics = Metrics(workspace, pools=pools, is_ready=lambda: readiness.is_ready)
    workspace.observe(metrics if events is None else Recording(metrics, events))
    return Service(
        workspace=workspace,
        access=access,
        limits=limits,
        readiness=readiness,
        arrivals=Arrivals(),
        metrics=metrics,
        log_queries=log_queries,
        events=events,
        front=front,
        rate=Rate(front.rate) if front.rate else None,
        sign_in=SignIn(access.users) if access.users else None,
        **pools,
    )


def service_of(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def why_no_change(request: Request) -> str | None:
    """Why who asks may not change anything here, or None who may."""
    service = service_of(request)
    if (why := service.access.why_not(caller_of(request.scope))) is not None:
        return why
    if service.workspace.library.read_only:
        return "A release is served here: it can be searched, and nothing in it can be changed."
    return None


def check_change(request: Request) -> None:
    """Raises: NotAllowed."""
    service_of(request).access.check_change(caller_of(request.scope))
