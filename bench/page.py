"""From Enter to images on the screen, in a headless Chromium on this machine."""

import shutil
from pathlib import Path

from bench.figure import Figure
from bench.latency import percentile, texts
from bench.server import running

# Resolves once every picture of the new answer that is in the window has been loaded and painted.
_UNTIL_VISIBLE = """async () => {
  const sources = () => [...document.querySelectorAll('.tiles img')].map(image => image.src).join();
  const before = sources();
  const started = performance.now();
  document.querySelector('form.box').requestSubmit();
  while (performance.now() - started < 20_000) {
    await new Promise(requestAnimationFrame);
    const inWindow = [...document.querySelectorAll('.tiles img')].filter(
      image => image.getBoundingClientRect().top < innerHeight);
    if (sources() !== before && inWindow.length && inWindow.every(image => image.complete && image.naturalWidth)) break;
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""


def measure_page(work: Path) -> list[Figure]:
    from playwright.sync_api import sync_playwright

    with running("ui", work / "page") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(server.url)
        page.locator(".tiles img").first.wait_for()
        taken = []
        for text in texts(25):
            page.get_by_role("searchbox").fill(text)
            taken.append(float(page.evaluate(_UNTIL_VISIBLE)))
        browser.close()
    return [Figure("page: Enter to images visible, p50", percentile(taken[5:], 50), "ms", "≤ 150")]
