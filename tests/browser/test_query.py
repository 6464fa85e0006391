"""From what a person gives the box to the pictures that come first."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.running import picture_bytes
from tests.browser.steps import (
    BLUE,
    RED,
    RED_FIRST,
    box,
    chips,
    drop,
    drop_address,
    drop_bytes,
    expect_first,
    paste,
    picture,
    pictures,
    search,
)


def test_typed_words_find_the_nearest_pictures_first(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, *RED_FIRST)
    expect(page).to_have_title("red · Sightline")


def test_an_example_query_is_searched_when_clicked(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="blue square", exact=True).and_(page.locator(".example")).click()
    expect_first(page, "blue square")
    expect(box(page)).to_have_value("blue square")


def test_a_typed_minus_becomes_a_chip_that_can_be_turned_and_removed(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "yellow -green")
    expect(box(page)).to_have_value("yellow")
    expect(chips(page)).to_have_text(["green"])
    expect_first(page, "orange square")  # less green than yellow
    page.get_by_role("button", name="Subtracted: green. Add it instead").click()
    expect_first(page, "green square")
    page.get_by_role("button", name="Remove green").click()
    expect(chips(page)).to_have_count(0)


def test_without_is_understood_like_a_minus(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "yellow without green")
    expect(chips(page)).to_have_text(["green"])
    expect(page.get_by_role("button", name="Subtracted: green. Add it instead")).to_be_visible()


def test_a_picture_dropped_anywhere_is_searched(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    drop(page, RED, name="mine.png")
    expect_first(page, *RED_FIRST)
    expect(chips(page)).to_have_text(["mine.png"])
    expect(chips(page).locator("img")).to_have_js_property("naturalWidth", 64)


def test_a_pasted_picture_is_mixed_with_words(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square")
    paste(page, BLUE)
    expect_first(page, "magenta square")


def test_a_chosen_picture_is_searched(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    chosen = {"name": "red.png", "mimeType": "image/png", "buffer": picture_bytes(RED)}
    page.get_by_label("Pictures to search with").set_input_files(chosen)
    expect(chips(page)).to_have_text(["red.png"])
    expect_first(page, "red square")


def test_a_result_dragged_onto_the_box_joins_the_query(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square")
    picture(page, "blue square").drag_to(box(page))
    expect(chips(page)).to_have_text(["blue square"])
    expect_first(page, "magenta square")
    expect(picture(page, "blue square")).to_have_count(0)  # an example does not find itself


def test_an_address_dragged_from_another_site_is_explained(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    drop_address(page, "https://example.org/cat.jpg")
    expect(page.get_by_text("Copy the picture there and paste it here")).to_be_visible()


@pytest.mark.parametrize(
    ("data", "name"), [(b"not a picture", "words.jpg"), (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawn.svg")]
)
def test_a_file_that_is_no_picture_is_refused_and_the_query_stays(
    page: Page, address: str, data: bytes, name: str
) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square")
    drop_bytes(page, data, name=name)
    expect(page.locator(".toast")).to_be_visible()
    expect(chips(page)).to_have_count(0)
    expect_first(page, "red square")


def test_a_query_too_long_gets_its_own_sentence(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red " * 2_500)
    expect(page.get_by_text("at most 2,000 are read")).to_be_visible()


def test_similar_searches_with_the_picture_alone(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "blue")
    picture(page, "red square").hover()
    page.get_by_role("button", name="Find similar: red square").click()
    expect_first(page, "scarlet square", "vermilion square")
    expect(box(page)).to_have_value("")
    expect(chips(page)).to_have_text(["red square"])


def test_subtract_takes_a_picture_away_from_the_query(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "yellow")
    picture(page, "green square").hover()
    page.get_by_role("button", name="Subtract from the query: green square").click()
    expect(page.get_by_role("button", name="Subtracted: green square. Add it instead")).to_be_visible()
    expect_first(page, "orange square")


def test_clearing_the_box_leads_back_to_the_start(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red -blue")
    expect(chips(page)).to_have_count(1)
    page.get_by_role("button", name="Clear the query").click()
    expect(page.get_by_role("heading", name="Find images by what they show")).to_be_visible()
    expect(chips(page)).to_have_count(0)
