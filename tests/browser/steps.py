"""What a person does on the page, and what they see there, as the tests say it."""

from base64 import b64encode

from playwright.sync_api import Locator, Page, expect

from tests.browser.running import picture_bytes

RED_FIRST = ("red square", "scarlet square", "vermilion square", "orange square")

# Hands files to the page as the browser does for a drop or a paste: name, type and base64 of each.
_GIVE = """([kind, files, text, target]) => {
  const carried = new DataTransfer();
  for (const [name, type, data] of files)
    carried.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
  if (text) carried.setData("text/uri-list", text);
  const place = document.querySelector(target);
  const init = { bubbles: true, cancelable: true };
  if (kind === "paste") place.dispatchEvent(new ClipboardEvent("paste", { ...init, clipboardData: carried }));
  else
    for (const step of ["dragenter", "dragover", "drop"])
      place.dispatchEvent(new DragEvent(step, { ...init, dataTransfer: carried }));
}"""

RED = (250, 0, 0)
BLUE = (0, 0, 250)


def box(page: Page) -> Locator:
    return page.get_by_role("searchbox")


def search(page: Page, words: str) -> None:
    box(page).fill(words)
    box(page).press("Enter")


def pictures(page: Page) -> Locator:
    """The pictures of the grid, by name."""
    return page.get_by_role("list", name="Images").locator(".tile-open")


def picture(page: Page, name: str) -> Locator:
    return page.get_by_role("list", name="Images").get_by_role("button", name=name, exact=True)


def chips(page: Page) -> Locator:
    return page.get_by_role("list", name="Parts of the query").get_by_role("listitem")


def expect_first(page: Page, *names: str) -> None:
    for place, name in enumerate(names):
        expect(pictures(page).nth(place)).to_have_accessible_name(name)


def drop(page: Page, colour: tuple[int, int, int], *, name: str = "mine.png", on: str = "#grid") -> None:
    _give(page, "drop", [(name, "image/png", picture_bytes(colour))], target=on)


def drop_bytes(page: Page, data: bytes, *, name: str, on: str = "#grid") -> None:
    _give(page, "drop", [(name, "", data)], target=on)


def drop_address(page: Page, address: str) -> None:
    page.evaluate(_GIVE, ["drop", [], address, "#grid"])


def paste(page: Page, colour: tuple[int, int, int]) -> None:
    _give(page, "paste", [("image.png", "image/png", picture_bytes(colour))], target="body")


def _give(page: Page, kind: str, files: list[tuple[str, str, bytes]], *, target: str) -> None:
    expect(page.get_by_role("combobox", name="Collection")).to_be_visible()  # the page listens by now
    page.evaluate(_GIVE, [kind, [[name, type, b64encode(data).decode()] for name, type, data in files], None, target])
