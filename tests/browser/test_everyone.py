"""The page for everyone: by keyboard alone, on a phone, in the dark, with a screen reader."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.steps import box, expect_first, picture, pictures, search

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def serious(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{found['id']}: {node['html'][:200]}"
        for found in violations
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]


def test_a_search_by_keyboard_alone(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    page.keyboard.press("/")
    expect(box(page)).to_be_focused()
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    expect_first(page, "red square")
    page.keyboard.press("ArrowDown")
    expect(picture(page, "red square")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(picture(page, "scarlet square")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Image").get_by_role("heading", level=2)).to_have_text(
        "scarlet square"
    )
    page.keyboard.press("Escape")
    expect(picture(page, "scarlet square")).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_role("region", name="Selection")).to_contain_text("1 image selected")
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Selection")).to_be_hidden()
    page.keyboard.press("s")
    expect_first(page, "vermilion square", "red square")
    expect(picture(page, "vermilion square")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()


def test_the_open_image_is_selected_by_the_same_key_as_in_the_grid(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "red square").click()
    expect(page.locator(".shares li")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    expect(page.get_by_role("checkbox", name="Select: scarlet square")).to_be_checked()
    page.keyboard.press("x")
    expect(page.get_by_role("region", name="Selection")).to_be_hidden()


def test_the_keys_of_the_list_work_on_every_tab(page: Page, address: str) -> None:
    page.goto(f"{address}?view=library")
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(box(page)).to_be_focused()
    expect(page.get_by_role("tab", name="Search")).to_have_attribute("aria-selected", "true")


def test_arrows_up_and_down_go_to_the_nearest_picture_of_the_row(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&collection=many")
    pictures(page).first.focus()
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.getBoundingClientRect().left")
    assert focused == pictures(page).first.bounding_box()["x"]  # type: ignore[index]
    page.keyboard.press("ArrowUp")
    expect(pictures(page).first).to_be_focused()


def test_home_and_end_go_to_the_first_and_the_last_picture_and_pages_to_what_is_a_screen_away(
    page: Page, address: str
) -> None:
    page.goto(f"{address}?q=red&collection=many")
    expect(pictures(page)).to_have_count(60)
    pictures(page).first.focus()
    page.keyboard.press("End")
    expect(pictures(page).nth(59)).to_be_focused()
    expect(pictures(page)).to_have_count(90)  # coming near the end brings more
    expect(pictures(page).nth(59)).to_be_in_viewport(ratio=1)
    page.keyboard.press("Home")
    expect(pictures(page).first).to_be_focused()
    page.keyboard.press("PageDown")
    page_below = page.evaluate("document.activeElement.getBoundingClientRect().bottom + scrollY")
    first = pictures(page).first.evaluate("(e) => e.getBoundingClientRect().top + scrollY")
    bar = page.locator("#query_box").bounding_box()
    assert bar is not None
    assert 400 < page_below - first <= 800 - bar["height"]
    expect(page.locator(":focus")).to_be_in_viewport(ratio=1)
    page.keyboard.press("PageUp")
    expect(pictures(page).first).to_be_focused()
    page.keyboard.press("PageUp")
    expect(pictures(page).first).to_be_focused()


# As fast as keys can be pressed: the browser gets no turn between them.
AT_ONCE = """(keys) => {
  for (const key of keys) document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}"""


def test_keys_pressed_at_once_after_escape_act_on_the_picture_that_was_open(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "red square").click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    page.evaluate(AT_ONCE, ["Escape", "ArrowRight", "x"])
    expect(panel).to_be_hidden()
    expect(picture(page, "scarlet square")).to_be_focused()
    expect(page.get_by_role("checkbox", name="Select: scarlet square")).to_be_checked()


def test_words_that_follow_the_slash_at_once_are_for_the_box(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "red square").focus()
    page.evaluate(AT_ONCE, ["/", "s"])
    expect(box(page)).to_be_focused()
    expect(page.get_by_role("list", name="Parts of the query").get_by_role("listitem")).to_have_count(0)
    expect(box(page)).to_have_value("red")


def test_a_query_asked_at_once_after_a_picture_was_closed_is_an_entry_of_the_history(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "red square").click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    page.evaluate(AT_ONCE, ["Escape", "s"])
    expect(page.get_by_role("list", name="Parts of the query").get_by_role("listitem")).to_have_text(["red square"])
    expect_first(page, "scarlet square")
    page.wait_for_url("**like=red-id**")
    page.go_back()
    expect_first(page, "red square")
    expect(panel).to_be_hidden()
    expect(box(page)).to_have_value("red")


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_a_phone_shows_two_or_three_columns_and_a_detail_on_the_whole_screen(page: Page, address: str) -> None:
    page.goto(address)
    search(page, "red")
    expect_first(page, "red square")
    tops = [pictures(page).nth(n).bounding_box()["y"] for n in range(4)]  # type: ignore[index]
    assert tops.count(tops[0]) in (2, 3)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    picture(page, "red square").tap()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("heading", name="red square")).to_be_visible()
    assert panel.bounding_box() == {"x": 0, "y": 0, "width": 360, "height": 740}
    panel.get_by_role("button", name="Similar").tap()
    expect(panel).to_be_hidden()
    expect_first(page, "scarlet square")


@pytest.mark.parametrize("settings", [{"viewport": {"width": 768, "height": 1024}}], ids=["tablet"])
def test_on_a_tablet_panels_lie_over_the_pictures_and_leave_the_rest_free(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    picture(page, "scarlet square").click()
    panel = page.get_by_role("complementary", name="Image").bounding_box()
    assert panel is not None and (panel["x"], panel["width"]) == (768 - 440, 440)
    picture(page, "red square").click(position={"x": 10, "y": 60})
    expect(page.get_by_role("complementary", name="Image").get_by_role("heading", level=2)).to_have_text("red square")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_role("complementary", name="Filters")).to_be_visible()
    page.mouse.click(700, 900)
    expect(page.get_by_role("complementary", name="Filters")).to_be_hidden()


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_all_that_is_done_with_a_selection_is_in_sight_on_a_phone(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    page.get_by_role("button", name="Select", exact=True).tap()
    picture(page, "red square").tap()
    actions = page.get_by_role("region", name="Selection").get_by_role("button")
    expect(actions).to_have_count(7)
    for action in actions.all():
        expect(action).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(
    "settings",
    [{"viewport": {"width": width, "height": 900}} for width in (620, 768, 1024, 1440)],
    ids=["620", "768", "1024", "1440"],
)
def test_what_is_done_with_a_selection_is_in_sight_at_every_width(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    pictures(page).first.focus()
    page.keyboard.press("x")
    bar = page.get_by_role("region", name="Selection")
    for action in bar.get_by_role("button").all():
        expect(action).to_be_in_viewport(ratio=1)
    if page.viewport_size and page.viewport_size["width"] >= 1024:  # below, the detail lies over all else
        picture(page, "red square").click()
        page.get_by_role("complementary", name="Image").get_by_role("heading", level=3).first.wait_for()
        panel, place = page.locator("#detail").bounding_box(), bar.bounding_box()
        assert panel is not None
        assert place is not None
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= panel["x"]


def test_the_tab_key_reaches_what_can_be_done_with_an_image(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    picture(page, "red square").focus()
    for action in ("Find similar", "Add to the query", "Subtract from the query"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=f"{action}: red square")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="Select: red square")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("region", name="Selection")).to_contain_text("1 image selected")


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_what_is_told_for_a_moment_lies_above_bars_and_panels(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    notice = page.locator(".toast")
    on_top = "(e) => e.contains(document.elementFromPoint(innerWidth / 2, e.getBoundingClientRect().top + 20))"
    page.get_by_role("button", name="Select", exact=True).tap()
    picture(page, "red square").tap()
    page.get_by_role("button", name="Copy paths").tap()
    expect(notice).to_be_visible()
    assert notice.evaluate(on_top)
    bar = page.get_by_role("region", name="Selection").bounding_box()
    told = notice.bounding_box()
    assert bar is not None
    assert told is not None
    assert told["y"] + told["height"] < bar["y"]
    page.get_by_role("button", name="Clear the selection").tap()
    picture(page, "red square").tap()
    page.get_by_role("button", name="Copy the path").tap()
    expect(notice).to_be_visible()
    assert notice.evaluate(on_top)


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_words_and_buttons_of_the_box_share_a_line_below_the_chips_on_a_phone(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&not=blue")
    expect_first(page, "red square")
    field = page.locator(".box .field")
    lines = [
        field.locator(part).bounding_box() for part in (".chips", "input[type=search]", "[data-clear]", "[data-add]")
    ]
    chips, words, clear, add = [line["y"] + line["height"] / 2 for line in lines if line]
    assert chips < words == clear == add


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desktop", "phone"])
def test_many_parts_of_a_query_leave_room_for_the_pictures(page: Page, address: str) -> None:
    names = [f"word{n}" for n in range(14)]
    page.goto(f"{address}?q=red{''.join(f'&not={name}' for name in names)}")
    expect(pictures(page)).to_have_count(10)
    field = page.locator(".box .field").bounding_box()
    assert field is not None
    assert field["height"] < 200
    last = page.get_by_role("button", name="Remove word13", exact=True)
    last.focus()
    expect(last).to_be_in_viewport(ratio=1)
    first = page.get_by_role("list", name="Parts of the query").bounding_box()
    assert first is not None
    assert first["y"] - field["y"] < 12  # no empty line above them


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_what_is_touched_on_a_phone_is_40_px_large(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&not=blue")
    expect_first(page, "red square")
    picture(page, "red square").tap()
    expect(page.get_by_role("complementary", name="Image").get_by_role("heading", level=3).first).to_be_visible()
    small = page.evaluate(
        """(where) => [...document.querySelectorAll(where)]
        .filter((button) => button.offsetParent && !button.closest(".chip, .visually-hidden"))
        .filter((button) => button.offsetWidth < 40 || button.offsetHeight < 40)
        .map((button) => button.getAttribute("aria-label") ?? button.textContent)""",
        "#query_box button, #masthead button, #views [role=tab], #detail header button, .detail-actions button",
    )
    assert small == []


@pytest.mark.parametrize("settings", [{"color_scheme": "dark"}], ids=["dark"])
def test_the_dark_theme_follows_the_system(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.querySelector('.welcome h1')).color")
    assert (background, ink) == ("rgb(16, 17, 20)", "rgb(236, 236, 238)")


@pytest.mark.parametrize(
    "settings",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE],
    ids=["light", "dark", "phone"],
)
def test_no_serious_violation_on_any_view(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="Find images by what they show")).to_be_visible()
    found = serious(page)
    search(page, "red -blue")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("checkbox", name="warm").check()
    expect(pictures(page)).to_have_count(6)
    found += serious(page)
    page.get_by_role("button", name="Close filters").click()
    picture(page, "red square").click()
    expect(page.locator(".shares li")).to_have_count(2)
    found += serious(page)
    page.keyboard.press("Escape")
    picture(page, "red square").focus()
    page.keyboard.press("x")
    found += serious(page)
    page.get_by_role("tab", name="Library").click()
    page.get_by_role("button", name="Add images to colours").click()
    found += serious(page)
    page.get_by_role("button", name="New collection").click()
    found += serious(page)
    assert found == []


def test_the_pages_title_and_preview_are_its_own(page: Page, address: str) -> None:
    page.goto(address)
    expect(page).to_have_title("Sightline")
    assert page.locator("meta[name=description]").get_attribute("content") == (
        "Search your own images by meaning: type words, drop a picture, mix both."
    )
    assert page.locator("meta[property='og:title']").get_attribute("content") == "Sightline"
    assert page.locator("meta[name='twitter:creator']").count() == 0


WIDE = {"viewport": {"width": 1920, "height": 1080}}


@pytest.mark.parametrize("settings", [WIDE, {"viewport": {"width": 1440, "height": 900}}], ids=["1920", "1440"])
def test_the_box_ends_where_the_pictures_end_and_a_row_has_five_to_seven(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=many&q=red")
    expect(pictures(page).nth(20)).to_be_visible()
    boxes = [pictures(page).nth(n).bounding_box() for n in range(12)]
    row = [box for box in boxes if box["y"] == boxes[0]["y"]]  # type: ignore[index]
    assert 5 <= len(row) <= 7
    button = page.get_by_role("button", name="Search", exact=True).bounding_box()
    assert abs(button["x"] + button["width"] - row[-1]["x"] - row[-1]["width"]) < 1  # type: ignore[index]
