"""Makes README's pictures from the app, started on the bundled gallery: `python docs/make_pictures.py [FOLDER]`."""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

HERE = Path(__file__).parent / "pictures"


@dataclass(frozen=True)
class Shot:
    name: str
    query: str
    width: int
    height: int
    theme: str = "light"
    opened: int | None = None  # which picture's detail is open
    browser: dict[str, object] = field(default_factory=dict)


SHOTS = (
    Shot("search", "?q=two+cats", 1280, 800),
    Shot("start", "", 1280, 800),
    Shot("detail", "?q=an+owl+at+night&not=tree", 1280, 800, opened=0),
    Shot("phone-dark", "?q=a+red+car", 390, 844, theme="dark", browser={"is_mobile": True, "has_touch": True}),
)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with running_app() as address:
        take_all(address, folder)


@contextmanager
def running_app() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        environment = {**os.environ, "SIGHTLINE_DATA_DIR": data, "PORT": str(port)}
        command = [sys.executable, str(HERE.parents[1] / "app.py"), "ui"]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as app:
            try:
                assert app.stdout is not None
                app.stdout.readline()  # printed when it answers
                yield f"http://127.0.0.1:{port}/"
            finally:
                app.terminate()


def take_all(address: str, folder: Path) -> None:
    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(
            executable_path=None if own.exists() else shutil.which("chromium"), args=["--no-sandbox"]
        )
        for shot in SHOTS:
            context = browser.new_context(
                viewport={"width": shot.width, "height": shot.height},
                color_scheme=shot.theme,  # type: ignore[arg-type]
                device_scale_factor=2,
                **shot.browser,  # type: ignore[arg-type]
            )
            image = Image.open(io.BytesIO(take(context.new_page(), address, shot)))
            image.save(folder / f"{shot.name}.webp", quality=82, method=6)
            context.close()
        browser.close()


def take(page: Page, address: str, shot: Shot) -> bytes:
    page.goto(address + shot.query)
    expect(page.locator(".tile img").first).to_have_js_property("complete", True)
    if shot.opened is not None:
        page.locator(".tile-open").nth(shot.opened).click()
        expect(page.locator("#detail .picture img")).to_have_js_property("complete", True)
        expect(page.locator("#detail .shares")).to_be_visible()
        page.mouse.move(0, 0)
    page.wait_for_load_state("networkidle")
    return page.screenshot()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
