"""The model chooser: what each costs and is good for, downloads that are asked for, collections made with them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import LARGE
from tests.browser.running import AWAY, COLOURS, NAMED
from tests.browser.steps import pictures, search
from tests.browser.test_everyone import PHONE, serious
from tests.browser.test_library import files, open_library, row
from tests.hub_server import HubServer


@pytest.fixture
def held(hub: HubServer) -> Iterator[HubServer]:
    """A hub whose next large file stops in its middle until `release` is set."""
    hub.release.clear()
    hub.holding.clear()
    hub.held = {LARGE: 1_500_000}
    yield hub
    hub.held.clear()
    hub.release.set()


def model(page: Page, title: str) -> Locator:
    return page.get_by_role("table").get_by_role("row").filter(has=page.get_by_text(title, exact=True))


def makings(page: Page) -> Locator:
    return page.get_by_role("list", name="Collections being made").get_by_role("listitem")


def test_the_table_says_what_each_model_costs_and_invents_nothing(page: Page, address: str) -> None:
    open_library(page, address)
    expect(model(page, "Tiny").get_by_role("cell")).to_have_text(
        ["English", "12.3", "–", "–", "about 4.0 MB", "not measured", "not measured", "Make a collection"],
        use_inner_text=True,
    )
    expect(page.get_by_role("link", name="immich: Searching")).to_have_attribute(
        "href", r"https://github.com/immich-app/immich/blob/main/docs/docs/features/searching.md"
    )
    expect(page.get_by_text("This machine: A machine, 2 cores")).to_be_visible()


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_a_phone_shows_the_figures_of_a_model_when_they_are_asked_for(page: Page, address: str) -> None:
    open_library(page, address)
    shown = page.locator(".model-table tbody tr").filter(has=page.get_by_text("Tiny", exact=True))
    expect(shown.get_by_text("about 4.0 MB")).to_be_visible()
    expect(shown.get_by_text("12.3")).to_be_hidden()
    shown.get_by_role("button", name="Figures of Tiny").tap()
    expect(shown.get_by_text("12.3")).to_be_visible()
    shown.get_by_role("button", name="Figures of Tiny").tap()
    expect(shown.get_by_text("12.3")).to_be_hidden()


def test_the_speed_is_measured_and_kept(page: Page, address: str) -> None:
    open_library(page, address)
    page.get_by_role("button", name="Measure the speed of Export").click()
    expect(model(page, "Export")).to_contain_text("13 ms a query")
    expect(model(page, "Export")).to_contain_text("21 images/s")
    expect(model(page, "Export")).to_contain_text("800 MB")
    page.reload()
    expect(model(page, "Export")).to_contain_text("13 ms a query")


def test_two_clicks_download_a_model_and_make_a_collection_with_it(page: Page, address: str, held: HubServer) -> None:
    open_library(page, address)
    page.get_by_role("button", name="Make a collection with Tiny").click()
    dialog = page.get_by_role("dialog", name="New collection")
    expect(dialog.get_by_label("Name")).to_have_value("Tiny")
    expect(dialog.get_by_role("radio", name="Tiny")).to_be_checked()
    assert held.contents_asked() == []
    dialog.get_by_role("button", name="Download 3.0 MB and make collection").click()
    expect(dialog).to_be_hidden()
    expect(makings(page)).to_contain_text("Tiny · Downloading Tiny · 1.5 MB of 3.0 MB")
    page.close()

    again = page.context.new_page()
    open_library(again, address)
    expect(makings(again)).to_contain_text("1.5 MB of 3.0 MB")
    held.release.set()
    expect(row(again, "Tiny")).to_contain_text("0 images")
    expect(makings(again)).to_have_count(0)
    again.get_by_label("Images to add").set_input_files(files("red", "blue"))
    expect(row(again, "Tiny")).to_contain_text("2 images")
    expect(model(again, "Tiny")).to_contain_text("Used by Tiny")
    again.get_by_role("button", name="Search Tiny").click()
    search(again, "red boat")
    expect(pictures(again)).to_have_count(2)
    again.close()


def test_any_other_name_is_looked_up_its_download_cancelled_and_gone_on_with(
    page: Page, address: str, held: HubServer
) -> None:
    open_library(page, address)
    page.get_by_label("Any other model").first.fill(NAMED)
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_text("3.0 MB from 127.0.0.1")).to_be_visible()
    page.get_by_role("button", name="Make a collection with it").click()
    dialog = page.get_by_role("dialog", name="New collection")
    expect(dialog.get_by_label("Any other model")).to_have_value(NAMED)
    dialog.get_by_label("Name").fill("by name")
    dialog.get_by_role("button", name="Download 3.0 MB and make collection").click()
    expect(makings(page)).to_contain_text("1.5 MB of 3.0 MB")
    makings(page).get_by_role("button", name="Cancel").click()
    expect(makings(page)).to_contain_text("Cancelled")
    held.release.set()
    makings(page).get_by_role("button", name="Go on").click()
    expect(row(page, "by name")).to_contain_text("0 images")


def test_a_model_is_removed_by_a_second_click_once_no_collection_needs_it(page: Page, address: str) -> None:
    open_library(page, address)
    page.get_by_role("button", name="Make a collection with Tiny").click()
    dialog = page.get_by_role("dialog", name="New collection")
    dialog.get_by_label("Name").fill("for a while")
    dialog.get_by_role("button", name="make collection").click()
    expect(row(page, "for a while")).to_contain_text("0 images")
    expect(page.get_by_role("button", name="Remove Tiny")).to_have_count(0)
    for name in ("Tiny", "for a while"):
        if row(page, name).count():
            page.get_by_role("button", name=f"Delete {name}").click()
            page.get_by_label("Type its name to confirm").fill(name)
            page.get_by_role("button", name="Delete", exact=True).click()
            expect(row(page, name)).to_have_count(0)
    page.get_by_role("button", name="Remove Tiny").click()
    page.get_by_role("button", name="Remove Tiny, really").click()
    expect(model(page, "Tiny")).to_contain_text("about 4.0 MB")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("onnx:nobody/nothing", "nobody/nothing"),
        ("onnx:../../etc/passwd", "names no repository"),
        ("<img src=x onerror=window.harmed=1>", "There is no model"),
    ],
    ids=["unknown", "traversal", "markup"],
)
def test_a_name_that_is_none_is_refused_in_one_sentence(page: Page, address: str, name: str, said: str) -> None:
    open_library(page, address)
    page.get_by_label("Any other model").first.fill(name)
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(said)
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog", name="New collection")
    dialog.get_by_label("Name").fill("forged")
    dialog.get_by_label("Any other model").fill(name)
    expect(dialog.get_by_role("alert")).to_contain_text(said)
    expect(dialog.get_by_role("button", name="Make collection")).to_be_disabled()
    assert page.evaluate("window.harmed") is None


def test_a_collection_whose_model_is_not_here_is_looked_at_and_then_searched(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=elsewhere")
    expect(pictures(page)).to_have_count(len(COLOURS))
    search(page, "red")
    expect(page.get_by_role("heading", name="Its model is not on this machine")).to_be_visible()
    expect(page.locator(".card")).to_contain_text(f"“elsewhere” was made with {AWAY}")
    page.get_by_role("tab", name="Library").click()
    expect(row(page, "elsewhere")).to_contain_text("Model not here")
    page.get_by_role("tab", name="Search").click()
    page.get_by_role("button", name="Download it…").click()
    page.get_by_role("button", name="Download 3.0 MB").click()
    expect(pictures(page).first).to_have_accessible_name("red square")


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desktop", "phone"])
def test_why_a_name_is_no_model_is_said_beside_it(page: Page, address: str) -> None:
    open_library(page, address)
    page.get_by_role("textbox", name="Any other model").fill("onnx:nobody/nothing")
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_text("is not there, or is private")).to_be_in_viewport()


@pytest.mark.parametrize(
    "settings", [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"]
)
def test_no_serious_violation_where_a_model_is_chosen(page: Page, address: str) -> None:
    open_library(page, address)
    expect(page.get_by_role("button", name="Make a collection with Tiny")).to_be_visible()
    found = serious(page)
    page.get_by_role("button", name="Make a collection with Tiny").click()
    found += serious(page)
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_model_that_is_still_being_loaded_is_said_and_waited_for(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=colours")
    expect(pictures(page)).to_have_count(len(COLOURS))
    loading = {"loading": {"model": "fake", "stage": "text tower", "since_s": 12.3}}
    page.route("**/gradio_api/component_server/", lambda route: route.fulfill(json=loading), times=1)
    search(page, "red")
    expect(page.get_by_role("status").first).to_have_text(
        "Loading the model fake for the first time: text tower · 12 s"
    )
    expect(pictures(page).first).to_have_accessible_name("red square")
    expect(page.get_by_text("Best of 10 images")).to_be_visible()
