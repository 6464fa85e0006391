"""One browser and one running app for these tests; each has a page of its own that may ask nobody else."""

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.browser.running import AWAY, NAMED, TINY, running_app
from tests.hub_server import HubServer, serving
from tests.unit.encoders.exports import write_export

LARGE = "visual/model.onnx.data"
KEPT = Path("test-results") / "browser"  # traces of what failed
WAITS_MS = 30_000  # for what holds at once, or for work of the server's on a machine that is busy
expect.set_options(timeout=WAITS_MS)


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """Where the app finds models; their large file is some megabytes, so that a download can be watched."""
    with serving() as hub:
        for name in (TINY, AWAY, NAMED):
            repo = name.removeprefix("onnx:")
            folder = write_export(tmp_path_factory.mktemp("export") / "tiny", length=77, context_length=77)
            (folder / LARGE).write_bytes(name[-1].encode() * 3_000_000)
            hub.add_folder(repo, folder)
        yield hub


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[str]:
    with running_app(tmp_path_factory.mktemp("app"), hub=hub.endpoint) as address:
        yield address


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    own = Path(playwright.chromium.executable_path)
    there = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    browser = playwright.chromium.launch(
        executable_path=None if own.exists() else there, args=["--no-sandbox", "--disable-gpu"]
    )
    yield browser
    browser.close()


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, object]:
    """What the page's browser is like; a test changes it by `@pytest.mark.parametrize("settings", …)`."""
    return getattr(request, "param", {})


@pytest.fixture(scope="package")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """By settings: a context keeps what it fetched, so that only the first page of its kind loads everything."""
    contexts: dict[str, BrowserContext] = {}
    yield contexts
    for context in contexts.values():
        context.close()


@pytest.fixture
def context(
    browser: Browser, contexts: dict[str, BrowserContext], settings: dict[str, object], request: pytest.FixtureRequest
) -> Iterator[BrowserContext]:
    key = repr(settings)
    if key not in contexts:
        options = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **settings}
        contexts[key] = browser.new_context(**options)  # type: ignore[arg-type]
        contexts[key].set_default_timeout(WAITS_MS)
        contexts[key].tracing.start(snapshots=True)
    context = contexts[key]
    context.tracing.start_chunk()
    yield context
    report = request.node.stash.get(REPORT, None)
    failed = report is None or report.failed
    context.tracing.stop_chunk(path=KEPT / f"{request.node.name}.zip" if failed else None)
    context.set_offline(False)
    for page in context.pages:
        page.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """A page that fails the test on a request that leaves this machine, and on an error in its scripts."""
    page = context.new_page()
    strangers: list[str] = []
    errors: list[str] = []
    own = urlsplit(address).netloc
    page.on(
        "request", lambda request: None if urlsplit(request.url).netloc in (own, "") else strangers.append(request.url)
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert strangers == []
    assert errors == []


REPORT = pytest.StashKey[pytest.TestReport]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[REPORT] = report
    return report
