"""What the page says where there is nothing to show, and how it keeps its head when things go wrong."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.steps import box, expect_first, picture, pictures, search

SERVER = "**/gradio_api/component_server/"


def test_an_empty_collection_says_how_to_fill_it(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=empty")
    expect(page.get_by_role("heading", name="No images yet")).to_be_visible()
    expect(page.get_by_text("newest first")).to_have_count(0)
    page.get_by_role("button", name="Add images").click()
    expect(page.get_by_role("button", name="Add images to empty")).to_have_attribute("aria-expanded", "true")


def test_where_nothing_was_found_a_reload_asks_again(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=empty")
    expect(page.get_by_role("heading", name="No images yet")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="No images yet")).to_be_visible()


def test_a_filter_that_nothing_passes_can_be_cleared(page: Page, address: str) -> None:
    page.goto(f'{address}?q=red&where={{"number":{{"gte":99}}}}')
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(pictures(page)).to_have_count(10)


def test_a_filter_that_cannot_be_read_is_explained(page: Page, address: str) -> None:
    page.goto(f'{address}?q=red&where={{"number":{{"near":1}}}}')
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()
    expect(page.locator(".card")).to_contain_text("known are eq, ne, gt")
    expect(page.locator(".card").get_by_role("button")).to_have_text(["Clear the filters", "Start over"])
    lefts = [page.locator(place).evaluate("(e) => e.getBoundingClientRect().left") for place in (".status", ".chip")]
    assert lefts[0] == lefts[1]


def test_what_can_never_succeed_is_not_to_be_tried_again(page: Page, address: str) -> None:
    page.goto(f"{address}?q={'x' * 2001}")
    expect(page.locator(".card")).to_contain_text("at most 2,000 are read")
    expect(page.locator(".card").get_by_role("button")).to_have_text(["Start over"])


def test_a_server_that_is_asked_too_much_is_not_called_unreachable(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    said = {"error": {"code": "too_many_requests", "message": "More than 9 a minute: try again in 4 s."}}
    for place in (SERVER, "**/api/me"):
        page.route(place, lambda route: route.fulfill(status=429, json=said))
    search(page, "blue")
    expect(page.get_by_role("heading", name="Too many requests")).to_be_visible()
    expect(page.locator(".card")).to_contain_text("try again in 4 s")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect_first(page, "blue square")


def test_a_query_that_came_too_soon_is_asked_again_by_itself(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    said = {"error": {"code": "too_many_requests", "message": "More than 9 a minute: try again in 1 s."}}
    for place in (SERVER, "**/api/me"):
        page.route(place, lambda route: route.fulfill(status=429, headers={"retry-after": "1"}, json=said))
    search(page, "blue")
    expect(page.get_by_role("heading", name="Too many requests")).to_be_visible()
    expect(page.locator(".card")).to_contain_text("Your query is kept and asked again")
    page.unroute_all(behavior="wait")
    expect_first(page, "blue square")
    expect(page.locator(".card")).to_have_count(0)


def test_a_page_that_was_refused_everything_comes_to_its_rights_by_itself(page: Page, address: str) -> None:
    said = {"error": {"code": "too_many_requests", "message": "More than 9 a minute: try again in 1 s."}}
    for place in (SERVER, "**/api/me"):
        page.route(place, lambda route: route.fulfill(status=429, headers={"retry-after": "1"}, json=said))
    page.goto(f"{address}?collection=empty")
    expect(page.get_by_role("heading", name="Too many requests")).to_be_visible()
    page.unroute_all(behavior="wait")
    expect(page.get_by_label("Collection")).to_be_visible()
    expect(page.get_by_role("button", name="Add images")).to_be_visible()


def test_a_question_without_an_answer_is_asked_once_more(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    page.route(SERVER, lambda route: route.fulfill(status=503), times=1)
    search(page, "blue")
    expect_first(page, "blue square")
    page.route(SERVER, lambda route: route.fulfill(status=500))
    search(page, "green")
    expect(page.locator(".card")).to_contain_text("Sightline could not answer; its log says why.")


def test_a_collection_chooser_that_a_refusal_emptied_comes_back(page: Page, address: str) -> None:
    said = {"error": {"code": "too_many_requests", "message": "More than 9 a minute: try again in 4 s."}}
    for place in (SERVER, "**/api/me"):
        page.route(place, lambda route: route.fulfill(status=429, json=said))
    page.goto(f"{address}?q=red")
    expect(page.get_by_role("heading", name="Too many requests")).to_be_visible()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect_first(page, "red square")
    expect(page.get_by_label("Collection")).to_be_visible()


def test_an_unknown_collection_is_named_and_another_offered(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red&collection=nowhere")
    expect(page.get_by_role("heading", name="No such collection")).to_be_visible()
    expect(page.get_by_text("There is no collection “nowhere” here")).to_be_visible()
    expect(page.get_by_label("Collection").locator("option:checked")).to_have_text("nowhere · not here")
    page.get_by_role("button", name="Search “bundled” instead").click()
    expect_first(page, "red square")


def test_a_weak_answer_says_so_and_still_shows_the_nearest(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=many&q=red")
    expect(page.get_by_text("Nothing here fits well.")).to_be_visible()
    expect(pictures(page).first).to_be_visible()


def test_no_image_of_a_weak_answer_is_praised_for_being_the_best_of_it(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=many&q=red")
    expect(page.get_by_text("Nothing here fits well.")).to_be_visible()
    expect(page.locator(".fit").first).to_be_hidden()
    pictures(page).first.hover()
    expect(page.locator(".tile").first.locator(".fit")).to_have_text("cosine 0.590")
    pictures(page).first.click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel).to_contain_text("% of this collection, where nothing fits well")


def test_old_results_stay_until_the_new_ones_come(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    held: list[Route] = []
    page.route(SERVER, lambda route: held.append(route), times=1)
    search(page, "blue")
    expect(page.locator(".tiles.is-stale")).to_be_visible()
    expect_first(page, "red square")
    held[0].continue_()
    expect_first(page, "blue square")
    expect(page.locator(".tiles.is-stale")).to_have_count(0)


def test_the_answer_to_an_older_query_never_replaces_a_newer_one(page: Page, address: str) -> None:
    page.goto(f"{address}?q=green")
    expect_first(page, "green square")
    held: list[Route] = []
    page.route(SERVER, lambda route: held.append(route), times=1)
    search(page, "red")
    expect(page.locator(".tiles.is-stale")).to_be_visible()
    search(page, "blue")
    expect_first(page, "blue square")
    with page.expect_response(SERVER):
        held[0].continue_()
    expect_first(page, "blue square")
    expect(box(page)).to_have_value("blue")


def test_words_typed_while_an_answer_is_on_its_way_stay_apart_from_its_query(page: Page, address: str) -> None:
    page.goto(f"{address}?q=green")
    expect_first(page, "green square")
    held: list[Route] = []
    page.route(SERVER, lambda route: held.append(route), times=1)
    search(page, "red")
    expect(page.locator(".tiles.is-stale")).to_be_visible()
    box(page).fill("blue")
    held[0].continue_()
    expect_first(page, "red square")
    expect(box(page)).to_have_value("blue")
    expect(page).to_have_title("red · Sightline")
    box(page).press("Enter")
    expect_first(page, "blue square")
    page.go_back()
    expect_first(page, "red square")
    expect(box(page)).to_have_value("red")


def test_a_lost_connection_keeps_the_query_and_asks_again(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    page.context.set_offline(True)
    search(page, "blue")
    expect(page.get_by_role("heading", name="You are offline")).to_be_visible()
    page.context.set_offline(False)
    expect_first(page, "blue square")


def test_the_bundled_model_says_what_it_knows_and_offers_another(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=bundled")
    expect(page.get_by_text("The bundled model knows illustrations, not photographs.")).to_be_visible()
    page.get_by_role("button", name="Use another model").click()
    dialog = page.get_by_role("dialog", name="New collection")
    expect(dialog.get_by_role("radio", name="Pocket")).not_to_be_checked()
    expect(dialog.get_by_role("button", name="Make collection")).to_be_disabled()
    dialog.get_by_role("radio", name="Export").check()
    expect(dialog.get_by_role("button", name="Make collection")).to_be_enabled()


@pytest.mark.parametrize("settings", [{"locale": "en-GB"}], ids=["a browser of its own"])  # it keeps what it heard
def test_who_searches_images_of_their_own_hears_what_the_bundled_model_knows_until_they_dismiss_it(
    page: Page, address: str
) -> None:
    page.goto(f"{address}?collection=bundled&q=red")
    line = page.locator(".note")
    expect(line).to_contain_text("The bundled model knows illustrations, not photographs. Use another model")
    line.get_by_role("button", name="Do not say this again").click()
    expect(line).to_have_count(0)
    search(page, "blue")
    expect_first(page, "blue square")
    expect(line).to_have_count(0)
    page.goto(f"{address}?collection=bundled")
    expect(page.get_by_role("heading", name="Find images by what they show")).to_be_visible()
    expect(page.get_by_text("The bundled model knows")).to_have_count(0)


def test_other_models_have_nothing_to_say_of_the_bundled_one(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    expect_first(page, "red square")
    expect(page.get_by_text("The bundled model knows")).to_have_count(0)


def test_hostile_names_are_shown_as_they_are_and_do_nothing(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=hostile")
    pictures(page).first.click()
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("heading", level=2)).to_contain_text("<img src=x onerror=")
    expect(panel).to_contain_text("shots/")
    panel.get_by_role("button", name="Add").click()
    expect(page.get_by_role("list", name="Parts of the query")).to_contain_text("<img src=x onerror=")
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_role("complementary", name="Filters")).to_contain_text("<img src=x onerror=")
    assert page.evaluate("window.harmed") is None


def test_hostile_words_in_an_address_do_nothing(page: Page, address: str) -> None:
    hostile = "%3Cimg%20src%3Dx%20onerror%3D%22window.harmed%3D1%22%3E"
    page.goto(f"{address}?q={hostile}&not={hostile}&where=[1]&open={hostile}")
    expect(pictures(page)).to_have_count(10)
    expect(page.locator(".chip.minus")).to_have_count(1)
    assert page.evaluate("window.harmed") is None


def test_a_forged_item_in_an_address_is_named(page: Page, address: str) -> None:
    page.goto(f"{address}?like=../../etc/passwd")
    expect(page.locator(".card")).to_contain_text("An item's id is 1 to 64 letters")
    page.goto(f"{address}?like=gone-id")
    expect(page.locator(".card")).to_contain_text("which is not in this collection")
    page.get_by_role("button", name="Start over").click()
    expect(picture(page, "red square")).to_be_visible()
