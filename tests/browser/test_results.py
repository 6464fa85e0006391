"""What can be done with what was found: open, select, take away, filter, go back."""

import csv
import io
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.steps import BLUE, RED_FIRST, box, chips, drop, expect_first, picture, pictures, search


def test_the_detail_shows_the_facts_and_each_parts_share(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red -blue")
    picture(page, "magenta square").click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("heading", name="magenta square")).to_be_visible()
    expect(panel).to_contain_text("shots/magenta.png")
    expect(panel).to_contain_text("64 × 48 px")
    expect(panel.locator(".shares li")).to_have_text(["red+.71", "without blue−.18"])
    expect(panel.get_by_role("img", name="magenta square")).to_have_js_property("complete", True)


def test_previous_and_next_walk_through_the_results(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    picture(page, "red square").click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel).to_contain_text("1 of 10")
    panel.get_by_role("button", name="Next").click()
    expect(panel.get_by_role("heading", name="scarlet square")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(panel.get_by_role("heading", name="vermilion square")).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(picture(page, "vermilion square")).to_be_focused()


def test_the_open_image_fills_the_window_and_is_walked_through_and_selected_there(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "red square").click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("f")
    large = page.get_by_role("dialog", name="Image, large")
    expect(large.get_by_role("img", name="red square")).to_be_visible()
    assert large.bounding_box() == {"x": 0, "y": 0, "width": 1280, "height": 800}
    page.keyboard.press("ArrowRight")
    expect(large.get_by_role("status")).to_have_text("scarlet square · 2 of 10")
    page.keyboard.press("x")
    expect(large.get_by_role("status")).to_have_text("scarlet square · 2 of 10 · selected")
    page.keyboard.press("Escape")
    expect(large).to_be_hidden()
    expect(panel.get_by_role("heading", level=2)).to_have_text("scarlet square")
    expect(panel.locator(".picture")).to_be_focused()
    panel.get_by_role("img", name="scarlet square").click()
    expect(large).to_be_visible()
    page.go_back()
    expect(large).to_be_hidden()
    expect(panel).to_be_hidden()
    expect(picture(page, "scarlet square")).to_be_focused()


def test_the_open_image_says_its_place_among_all_that_is_found(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&collection=many")
    pictures(page).first.click()
    expect(page.get_by_role("complementary", name="Image")).to_contain_text("1 of 90")


@pytest.mark.parametrize("settings", [{"viewport": {"width": 1280, "height": 4000}}], ids=["tall"])
def test_a_tall_screen_is_filled_without_scrolling(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&collection=many")
    expect(pictures(page)).to_have_count(90)


def test_no_more_is_promised_than_is_found(page: Page, address: str) -> None:
    page.goto(f"{address}?like=red-id")
    expect(pictures(page)).to_have_count(9)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_back_is_the_previous_query(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square")
    search(page, "blue -green")
    expect_first(page, "blue square")
    page.go_back()
    expect_first(page, "red square")
    expect(box(page)).to_have_value("red")
    expect(chips(page)).to_have_count(0)
    page.go_forward()
    expect_first(page, "blue square")
    expect(chips(page)).to_have_text(["green"])


def test_back_leads_to_the_place_where_an_image_was_left(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=many&q=red")
    pictures(page).first.click()
    expect(page.get_by_role("complementary", name="Image").get_by_role("heading", level=3).first).to_be_visible()
    page.evaluate("window.scrollTo(0, 700)")
    page.get_by_role("button", name="Similar", exact=True).click()
    expect(chips(page)).to_have_count(1)
    page.go_back()
    expect(chips(page)).to_have_count(0)
    page.wait_for_function("window.scrollY === 700")
    two_frames = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(scrollY))))"
    assert page.evaluate(two_frames) == 700


def test_back_closes_the_detail_and_keeps_the_results(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    picture(page, "scarlet square").click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel).to_be_visible()
    page.go_back()
    expect(panel).to_be_hidden()
    expect(box(page)).to_have_value("red")


def test_an_image_that_back_opens_again_has_the_figures_of_its_own_query(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, *RED_FIRST)
    picture(page, "scarlet square").click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel).to_contain_text("Cosine0.987")
    search(page, "blue")
    expect_first(page, "blue square")
    page.go_back()
    expect(panel).to_contain_text("Cosine0.987")
    expect(panel).to_contain_text("2 of 10")
    page.reload()
    expect(panel).to_contain_text("Cosine0.987")


def test_the_detail_calls_pictures_from_outside_what_the_query_calls_them(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    drop(page, BLUE, name="mine.png")
    expect(chips(page)).to_have_text(["mine.png"])
    drop(page, (0, 250, 0), name="yours.png")
    expect(chips(page)).to_have_text(["mine.png", "yours.png"])
    page.locator(".tiles:not(.is-stale) .tile-open").first.click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.locator(".share-label")).to_have_text(["red", "mine.png", "yours.png"])


def test_an_address_restores_words_items_collection_and_filter(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Collection").select_option("colours")
    search(page, "red -blue")
    expect_first(page, "red square")
    picture(page, "orange square").hover()
    page.get_by_role("button", name="Add to the query: orange square").click()
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("checkbox", name="warm").check()
    expect(pictures(page)).to_have_count(5)
    expected = [name or "" for name in (pictures(page).nth(n).get_attribute("aria-label") for n in range(5))]
    there = page.url
    assert parse_qs(urlsplit(there).query)["q"] == ["red"]
    page.goto("about:blank")
    page.goto(there)
    expect_first(page, *expected)
    expect(box(page)).to_have_value("red")
    expect(chips(page)).to_have_text(["blue", "orange square"])
    expect(page.get_by_role("list", name="Filters in use")).to_contain_text("warm")


def test_a_dropped_picture_survives_a_reload(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    drop(page, BLUE, name="mine.png")
    expect(chips(page)).to_have_text(["mine.png"])  # blue is the newest, and so the first before it too
    expect_first(page, "blue square")
    page.reload()
    expect_first(page, "blue square")
    expect(chips(page)).to_have_text(["mine.png"])


def test_a_selection_is_saved_as_a_table_and_as_originals(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square", "scarlet square")
    picture(page, "red square").focus()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+X")
    bar = page.get_by_role("region", name="Selection")
    expect(bar).to_contain_text("3 images selected")
    with page.expect_download() as download:
        bar.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    assert [(row["rank"], row["uri"]) for row in rows] == [
        ("1", "shots/red.png"),
        ("2", "shots/scarlet.png"),
        ("3", "shots/vermilion.png"),
    ]
    with page.expect_download() as download:
        bar.get_by_role("button", name="Zip").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == 3


def test_the_paths_of_a_selection_are_copied(page: Page, address: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address)
    search(page, "red")
    expect_first(page, *RED_FIRST)
    page.get_by_role("button", name="Select", exact=True).click()
    picture(page, "red square").click()
    picture(page, "scarlet square").click()
    page.get_by_role("button", name="Copy paths").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "shots/red.png\nshots/scarlet.png"


def test_select_all_add_to_query_and_clear(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    picture(page, "blue square").focus()
    page.keyboard.press("x")
    bar = page.get_by_role("region", name="Selection")
    bar.get_by_role("button", name="Select all").click()
    expect(bar).to_contain_text("10 images selected")
    bar.get_by_role("button", name="Clear the selection").click()
    expect(bar).to_be_hidden()
    picture(page, "blue square").focus()
    page.keyboard.press("x")
    bar.get_by_role("button", name="Add to query").click()
    expect(chips(page)).to_have_text(["blue square"])
    expect_first(page, "magenta square")


@pytest.mark.parametrize("settings", [{"locale": "en-GB"}], ids=["a browser of its own"])  # it keeps the size
def test_pictures_have_the_size_that_was_chosen_the_next_time_too(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&collection=many")
    expect(pictures(page)).to_have_count(60)
    usual = pictures(page).first.bounding_box()
    size = page.get_by_role("slider", name="Size of the images")
    size.fill("2")
    large = pictures(page).first.bounding_box()
    assert usual is not None
    assert large is not None
    assert large["height"] > 1.2 * usual["height"]
    page.reload()
    expect(pictures(page)).to_have_count(60)
    assert pictures(page).first.bounding_box() == large
    size.fill("0")
    small = pictures(page).first.bounding_box()
    assert small is not None
    assert small["height"] < 0.9 * usual["height"]
    size.fill("1")


def test_all_pictures_shown_are_selected_from_one_of_them_and_text_stays_text(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "red square").focus()
    page.keyboard.press("Control+a")
    bar = page.get_by_role("region", name="Selection")
    expect(bar).to_contain_text("10 images selected")
    page.keyboard.press("Escape")
    box(page).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("blue")
    expect(box(page)).to_have_value("blue")
    expect(bar).to_be_hidden()


def test_a_selection_that_was_cleared_is_had_back(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "red square").focus()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    bar = page.get_by_role("region", name="Selection")
    expect(bar).to_contain_text("2 images selected")
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(bar).to_contain_text("2 images selected")
    expect(page.get_by_role("checkbox", name="Select: scarlet square")).to_be_checked()


def test_more_pictures_come_while_scrolling(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=many&q=red")
    expect(pictures(page)).to_have_count(60)
    pictures(page).last.scroll_into_view_if_needed()
    expect(pictures(page)).to_have_count(90)


def test_a_filter_is_a_chip_that_can_be_removed(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("checkbox", name="cold").check()
    expect(pictures(page)).to_have_count(4)
    page.get_by_role("button", name="Remove the filter on kind").click()
    expect(pictures(page)).to_have_count(10)
    expect(page.get_by_role("checkbox", name="cold")).not_to_be_checked()


def test_the_word_on_top_leads_home(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    page.get_by_role("link", name="Sightline, start page").click()
    expect(page.get_by_role("heading", name="Find images by what they show")).to_be_visible()
    expect(box(page)).to_have_value("")


def test_another_collection_is_chosen(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Collection").select_option("many")
    expect(page.get_by_text("90 images, newest first")).to_be_visible()
    assert parse_qs(urlsplit(page.url).query)["collection"] == ["many"]


def test_a_refused_download_says_why(page: Page, address: str) -> None:
    page.route(
        "**/api/export.zip", lambda route: route.fulfill(status=422, json={"error": {"message": "At most 500 files."}})
    )
    page.goto(f"{address}?q=red")
    picture(page, "red square").focus()
    page.keyboard.press("x")
    page.get_by_role("button", name="Zip").click()
    expect(page.get_by_text("At most 500 files.")).to_be_visible()


def test_the_same_query_again_is_no_new_entry_of_the_history(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square")
    before = page.evaluate("history.length")
    box(page).press("Enter")
    expect(page.locator(".tiles.is-stale")).to_have_count(0)
    assert page.evaluate("history.length") == before


def test_what_is_done_with_a_hit_is_told_with_the_request_that_found_it(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square")
    with page.expect_request("**/api/marks") as opened:
        picture(page, "scarlet square").click()
    panel = page.get_by_role("complementary", name="Image")
    with page.expect_request("**/api/marks") as selected:
        panel.get_by_role("button", name="Select", exact=True).click()
    with page.expect_response(lambda answer: '"subtract"' in (answer.request.post_data or "")) as subtracted:
        panel.get_by_role("button", name="Subtract", exact=True).click()
    told = [opened.value.post_data_json, selected.value.post_data_json, subtracted.value.request.post_data_json]
    assert [(mark["id"], mark["action"], mark["collection"]) for mark in told] == [
        ("scarlet-id", "open", "colours"),
        ("scarlet-id", "select", "colours"),
        ("scarlet-id", "subtract", "colours"),
    ]
    assert len({mark["request_id"] for mark in told}) == 1
    assert subtracted.value.json() == {"kept": True}


def test_pictures_that_no_query_found_are_not_told_of(page: Page, address: str) -> None:
    told: list[str] = []
    page.on("request", lambda request: told.append(request.url) if request.url.endswith("api/marks") else None)
    page.goto(address)
    picture(page, "red square").click()
    expect(page.get_by_role("complementary", name="Image")).to_be_visible()
    assert told == []


def test_an_image_that_half_of_the_collection_beats_is_not_called_one_of_the_best(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, *RED_FIRST)
    pictures(page).first.hover()
    expect(page.locator(".tile").first.locator(".fit")).to_have_text("best 10.0 %\u00a0· 1.000")
    last = page.locator(".tile").last
    last.hover()
    expect(last.locator(".fit")).to_contain_text("lower half")
    expect(last.locator(".fit")).to_have_attribute("data-level", "0")


def test_what_is_done_with_a_narrow_image_lies_side_by_side_on_it(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, *RED_FIRST)
    tile = page.locator(".tile").nth(1)
    tile.evaluate("(tile) => tile.style.setProperty('--shape', 0.6)")
    tile.hover()
    expect(tile.get_by_role("button", name="Subtract from the query")).to_be_visible()
    over = tile.evaluate(
        """(tile) => {
        const [whole, select, ...rest] = [tile, ...tile.querySelectorAll(".tile-select, .tile-actions button, .fit")]
          .sort((a, b) => b.matches(".tile, .tile-select") - a.matches(".tile, .tile-select"))
          .map((part) => part.getBoundingClientRect());
        const isOn = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
        const leaves = (a) => a.right > whole.right || a.left < whole.left || a.bottom > whole.bottom;
        return [rest.length, rest.filter((part) => isOn(part, select) || leaves(part)).length];
      }"""
    )
    assert over == [4, 0]


def test_a_value_that_is_empty_has_a_name_wherever_it_stands(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=many")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("(empty)").check()
    expect(page.get_by_role("list", name="Filters in use")).to_have_text("note: (empty)")
    pictures(page).first.click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("button", name="(empty)")).to_be_visible()


def test_an_image_stays_where_it_is_while_panels_open_and_close(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&collection=many")
    expect(pictures(page)).to_have_count(60)
    page.evaluate("window.scrollTo(0, 700)")
    in_sight = "[...document.querySelectorAll('.tile')].findIndex((t) => t.getBoundingClientRect().top > 300)"
    tile = pictures(page).nth(page.evaluate(in_sight))
    place = tile.bounding_box()
    assert place is not None
    tile.click(position={"x": 20, "y": 90})
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("heading", level=3).first).to_be_visible()
    assert abs(tile.bounding_box()["y"] - place["y"]) < 1  # type: ignore[index]
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert abs(tile.bounding_box()["y"] - place["y"]) < 1  # type: ignore[index]
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("button", name="Close filters").click()
    assert abs(page.evaluate("window.scrollY") - 700) < 1


def test_arrow_keys_never_hide_an_image_behind_the_box_or_the_selection(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&collection=many")
    expect(pictures(page)).to_have_count(60)
    pictures(page).nth(30).focus()
    page.keyboard.press("x")
    for key in ["ArrowUp"] * 4 + ["ArrowDown"] * 4:
        page.keyboard.press(key)
        focused = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
        above = page.locator("#query_box").bounding_box()
        below = page.get_by_role("region", name="Selection").bounding_box()
        assert above is not None
        assert below is not None
        assert focused["top"] >= above["y"] + above["height"]
        assert focused["bottom"] <= below["y"]
