"""What the routes of one running server share: the workspace, who may do what, the threads, the limits."""

from dataclasses import dataclass

from starlette.requests import Request

from search.workspace import Workspace
from ui.access import Access, caller_of
from ui.arrivals import Arrivals
from ui.readiness import Readiness
from ui.workers import Workers

JSON_BYTES = 2**20  # of a request that carries no picture


@dataclass(frozen=True, slots=True)
class Limits:
    image_bytes: int = 50 * 2**20  # of one picture
    upload_bytes: int = 2_000 * 2**20  # of one upload

    @property
    def query_bytes(self) -> int:
        """Of a query's body: one picture in base64, and what is around it."""
        return self.image_bytes * 4 // 3 + JSON_BYTES


@dataclass(frozen=True, slots=True)
class Service:
    workspace: Workspace
    access: Access
    limits: Limits
    readiness: Readiness
    arrivals: Arrivals
    searches: Workers
    examples: Workers  # searches by pictures: a hostile one is decoded for seconds, and words must not wait for that
    pictures: Workers  # thumbnails and re-encoded originals: many, short, and never in a search's way
    changes: Workers  # what writes, or loads a model

    def close(self) -> None:
        self.readiness.close()
        for workers in (self.searches, self.examples, self.pictures, self.changes):
            workers.close()


def make_service(workspace: Workspace, *, access: Access, limits: Limits, readiness: Readiness) -> Service:
    return Service(
        workspace=workspace,
        access=access,
        limits=limits,
        readiness=readiness,
        arrivals=Arrivals(),
        searches=Workers("search", threads=4, waiting=256, deadline_s=30),
        examples=Workers("example", threads=16, waiting=32, deadline_s=30),  # most only wait for a decoder
        pictures=Workers("picture", threads=4, waiting=512, deadline_s=30),
        changes=Workers("change", threads=2, waiting=16, deadline_s=900),
    )


def service_of(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def check_change(request: Request) -> None:
    """Raises: NotAllowed."""
    service_of(request).access.check_change(caller_of(request.scope))
