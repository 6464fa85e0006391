"""Answers that come late, in another order than they were asked for, or while somebody is quicker than the page."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.running import COLOURS, picture_bytes
from tests.browser.steps import box, chips, expect_first, picture, pictures, search
from tests.browser.test_library import files, make_collection, open_library, row
from tests.browser.test_quality import evaluate, open_quality, strip
from tests.stored import wait_until

SERVER = "**/gradio_api/component_server/"


class Held:
    """The first request to `place` waits. What the server says to it is fetched before, or where `later` afterwards.

    `of`: which requests are meant.
    """

    def __init__(
        self, page: Page, place: str, *, of: Callable[[Request], bool] = lambda request: True, later: bool = False
    ) -> None:
        self._of = of
        self._later = later
        self._is_taken = self._is_free = False
        self._go_on: Callable[[], None] | None = None
        page.route(place, self._take)

    def _take(self, route: Route) -> None:
        if self._is_free or self._is_taken or not self._of(route.request):
            route.fallback()
            return
        self._is_taken = True
        if self._later:
            self._go_on = route.continue_
        else:
            answer = route.fetch()
            self._go_on = lambda: route.fulfill(response=answer)
        if self._is_free:
            self._go_on()

    def let_go(self) -> None:
        self._is_free = True
        if self._go_on:
            self._go_on()


def asks(name: str) -> Callable[[Request], bool]:
    """The questions of that name that the page puts to Gradio's server."""
    return lambda request: bool(request.post_data_json["fn_name"] == name)


def two_frames(page: Page) -> None:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def added(page: Page, address: str, collection: str, *names: str) -> None:
    """As another program adds them: read when this returns."""
    api = page.request
    form: Any = {
        "files": {"name": f"{names[0]}.png", "mimeType": "image/png", "buffer": picture_bytes(COLOURS[names[0]])}
    }
    answer = api.post(f"{address}api/images?collection={collection}", multipart=form)
    assert answer.ok, answer.text()
    wait_until_read(page, address)


def wait_until_read(page: Page, address: str) -> None:
    wait_until(lambda: all(job["is_finished"] for job in page.request.get(f"{address}api/jobs").json()["jobs"]))


def made(page: Page, address: str, name: str) -> None:
    assert page.request.post(f"{address}api/collections", data={"name": name, "model": "fake"}).ok


def test_what_is_added_while_the_library_opens_is_counted(page: Page, address: str) -> None:
    made(page, address, "come early")
    jobs = Held(page, "**/api/jobs", later=True)
    with page.expect_request("**/api/jobs"):
        open_library(page, address)
    added(page, address, "come early", "red")
    jobs.let_go()
    expect(row(page, "come early")).to_contain_text("1 image")


def test_what_is_made_while_the_library_opens_is_on_its_shelf(page: Page, address: str) -> None:
    def with_making(route: Route) -> None:
        told = route.fetch().json()
        making = {"collection": "made early", "model": "fake", "state": "done", "error": None}
        route.fulfill(json={**told, "makings": [making]})

    page.route("**/api/models", with_making)
    models = Held(page, "**/api/models", later=True)
    with page.expect_request("**/api/models"):
        open_library(page, address)
    made(page, address, "made early")
    models.let_go()
    expect(row(page, "made early")).to_contain_text("0 images")


def test_an_older_list_of_collections_never_replaces_a_newer_one(page: Page, address: str) -> None:
    open_library(page, address)
    expect(row(page, "colours")).to_be_visible()
    older = Held(page, "**/api/collections")
    with page.expect_request("**/api/collections"):
        page.get_by_role("tab", name="Library").click()
    make_collection(page, "made meanwhile")
    expect(row(page, "made meanwhile")).to_be_visible()
    with page.expect_response("**/api/collections"):
        older.let_go()
    two_frames(page)
    expect(row(page, "made meanwhile")).to_be_visible()


def test_adding_is_offered_though_the_library_does_not_know_its_collections_yet(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=empty&view=library")
    expect(row(page, "empty")).to_be_visible()
    collections = Held(page, "**/api/collections", later=True)
    with page.expect_request("**/api/collections"):
        page.reload()
    page.get_by_role("tab", name="Search").click()
    page.get_by_role("button", name="Add images").click()
    two_frames(page)
    collections.let_go()
    expect(page.get_by_role("button", name="Add images to empty")).to_have_attribute("aria-expanded", "true")


def test_what_is_looked_at_stays_when_more_has_been_added(page: Page, address: str) -> None:
    made(page, address, "looked at")
    colours = list(COLOURS)
    for name in colours[1:]:
        added(page, address, "looked at", name)
    page.set_viewport_size({"width": 600, "height": 400})
    open_library(page, address)
    page.get_by_role("button", name="Add images to looked at").click()
    jobs: list[Route] = []
    page.route("**/api/jobs", lambda route: jobs.append(route))
    with page.expect_response("**/api/images?*"):
        page.get_by_label("Images to add").set_input_files(files(colours[0]))
    wait_until_read(page, address)
    page.get_by_role("button", name="Search looked at").click()
    expect(pictures(page)).to_have_count(len(colours))
    page.evaluate("window.scrollTo(0, 120)")
    with page.expect_response(lambda told: "component_server" in told.url and asks("browse")(told.request)):
        page.route("**/api/jobs", lambda route: route.continue_())
        for job in jobs:
            job.continue_()
    two_frames(page)
    assert page.evaluate("window.scrollY") == 120


def test_a_panel_that_opens_while_the_search_is_told_shows_its_jobs(page: Page, address: str) -> None:
    made(page, address, "read before")
    added(page, address, "read before", "red")
    open_library(page, address)
    make_collection(page, "read now")
    about = Held(page, SERVER, of=asks("about"), later=True)
    with page.expect_request(lambda request: "component_server" in request.url):
        page.get_by_label("Images to add").set_input_files(files("blue"))
    expect(row(page, "read now")).to_contain_text("1 image")
    page.get_by_role("button", name="Add images to read before").click()
    expect(page.get_by_role("list", name="What is being added")).to_contain_text("1 added")
    about.let_go()


def test_what_is_sent_while_the_jobs_are_asked_for_is_followed(page: Page, address: str) -> None:
    open_library(page, address)
    make_collection(page, "sent early")
    page.get_by_role("button", name="Add images to sent early").click()
    jobs = Held(page, "**/api/jobs")
    with page.expect_request("**/api/jobs"):
        page.get_by_role("button", name="Add images to sent early").click()
    with page.expect_response("**/api/images?*"):
        page.get_by_label("Images to add").set_input_files(files("red"))
    two_frames(page)
    jobs.let_go()
    expect(page.get_by_role("list", name="What is being added")).to_contain_text("1 added")
    expect(row(page, "sent early")).to_contain_text("1 image")


def test_jobs_are_followed_across_an_answer_that_fails(page: Page, address: str) -> None:
    open_library(page, address)
    make_collection(page, "sent badly")
    page.route("**/api/jobs", lambda route: route.fulfill(status=503, json={"error": {"message": "Busy."}}), times=2)
    page.get_by_label("Images to add").set_input_files(files("red"))
    expect(row(page, "sent badly")).to_contain_text("1 image")
    expect(page.get_by_role("list", name="What is being added")).to_contain_text("1 added")


def test_files_that_could_not_be_used_stay_listed_when_an_older_answer_comes(page: Page, address: str) -> None:
    open_library(page, address)
    make_collection(page, "with failures")
    page.get_by_role("button", name="Add images to with failures").click()
    older = Held(page, "**/api/collections/with%20failures")
    with page.expect_request("**/api/collections/with%20failures"):
        page.get_by_role("button", name="Add images to with failures").click()
    bad = {"name": "bad.png", "mimeType": "image/png", "buffer": b"not a picture"}
    page.get_by_label("Images to add").set_input_files(bad)
    expect(page.get_by_text("1 file could not be used")).to_be_visible()
    with page.expect_response("**/api/collections/with%20failures"):
        older.let_go()
    two_frames(page)
    expect(page.get_by_text("1 file could not be used")).to_be_visible()


def test_why_a_folder_was_refused_is_not_said_in_the_panel_of_another_collection(page: Page, address: str) -> None:
    open_library(page, address)
    page.get_by_role("button", name="Add images to empty").click()
    refused = Held(page, "**/api/jobs", of=lambda request: request.method == "POST")
    page.get_by_label("Or a folder of the machine").fill("/nowhere/at/all")
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("api/jobs")):
        page.get_by_role("button", name="Add folder").click()
    page.get_by_role("button", name="Add images to colours").click()
    refused.let_go()
    expect(page.locator(".toast")).to_contain_text("“empty”: ")
    expect(page.locator(".adding").get_by_role("alert")).to_be_hidden()


def test_what_is_typed_in_the_library_keeps_the_focus_when_the_shelf_is_drawn_anew(page: Page, address: str) -> None:
    open_library(page, address)
    page.get_by_role("button", name="Add images to empty").click()
    path = page.get_by_label("Or a folder of the machine")
    path.focus()
    with page.expect_response("**/api/collections"):
        page.evaluate("document.querySelector('#views [data-tab-id=library][role=tab]').click()")
    two_frames(page)
    expect(path).to_be_focused()


def test_the_collection_that_was_chosen_last_is_the_one_that_is_shown(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    first = Held(page, SERVER, of=asks("about"))
    chooser = page.get_by_role("combobox", name="Collection")
    with page.expect_request(SERVER):
        chooser.select_option("many")
    chooser.select_option("hostile")
    expect(page.get_by_text("10 images, newest first")).to_be_visible()
    with page.expect_response(SERVER):
        first.let_go()
    two_frames(page)
    expect(chooser).to_have_value("hostile")
    expect(pictures(page)).to_have_count(10)


def test_the_answer_of_one_collection_is_not_shown_for_another(page: Page, address: str) -> None:
    page.goto(address)
    expect(pictures(page)).to_have_count(10)
    found = Held(page, SERVER, of=asks("find"))
    with page.expect_request(SERVER):
        search(page, "red -blue")
    about = Held(page, SERVER, of=asks("about"), later=True)
    with page.expect_request(SERVER):
        page.get_by_role("combobox", name="Collection").select_option("many")
    with page.expect_response(SERVER):
        found.let_go()
    two_frames(page)
    expect_first(page, "blue square")  # as before that search
    about.let_go()
    expect(pictures(page)).to_have_count(60)
    expect(chips(page)).to_have_text(["blue"])


def test_a_tab_that_was_opened_before_the_scripts_came_stays_open(page: Page, address: str) -> None:
    script = Held(page, "**/page/masthead.js")
    page.goto(address, wait_until="commit")
    page.get_by_role("tab", name="Library").click()
    script.let_go()
    expect(page.get_by_role("combobox", name="Collection")).to_be_visible()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    expect(page).to_have_url(re.compile("view=library"))


@pytest.mark.parametrize("is_sent", [True, False], ids=["sent", "typed"])
def test_words_typed_before_the_scripts_came_are_not_lost(page: Page, address: str, is_sent: bool) -> None:
    script = Held(page, "**/page/query_box.js")
    page.goto(address, wait_until="commit")
    box(page).fill("blue")
    if is_sent:
        box(page).press("Enter")
    script.let_go()
    expect(page.get_by_role("combobox", name="Collection")).to_be_visible()
    expect(box(page)).to_have_value("blue")
    if not is_sent:
        box(page).press("Enter")
    expect(page).to_have_title("blue · Sightline")
    expect_first(page, "blue square")


def test_a_number_that_is_being_typed_outlives_the_answer_to_the_one_before(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=many")
    expect(pictures(page)).to_have_count(60)
    page.get_by_role("button", name="Filters").click()
    answer = Held(page, SERVER, of=lambda request: asks("browse")(request) and request.post_data_json["data"]["where"])
    page.get_by_label("number, from").fill("10")
    with page.expect_request(SERVER):
        page.get_by_label("number, to").focus()
    page.keyboard.type("19")
    answer.let_go()
    expect(page.get_by_text("80 of 90 images pass the filter")).to_be_visible()
    expect(page.get_by_label("number, to")).to_have_value("19")


def test_the_focus_is_not_taken_from_who_types_while_an_image_opens(page: Page, address: str) -> None:
    page.goto(f"{address}?q=red")
    details = Held(page, SERVER, of=asks("show"))
    with page.expect_request(SERVER):
        picture(page, "red square").click()
    page.keyboard.press("/")
    expect(box(page)).to_be_focused()
    details.let_go()
    expect(page.locator(".shares li")).to_have_count(1)
    expect(box(page)).to_be_focused()


def test_the_slice_that_was_asked_for_last_is_the_one_that_is_shown(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page, "query,relevant,kind\nred,grey-id,a\nblue,red-id,b\n")
    kinds = page.get_by_role("region", name="Figures by kind")
    expect(strip(page, "red")).to_have_count(1)
    older = Held(page, SERVER, of=asks("worst"))
    with page.expect_request(SERVER):
        kinds.get_by_role("button", name="a", exact=True).click()
    kinds.get_by_role("button", name="b", exact=True).click()
    expect(page.get_by_role("heading", name="Worst answered: b")).to_be_visible()
    with page.expect_response(SERVER):
        older.let_go()
    two_frames(page)
    expect(page.get_by_role("heading", name="Worst answered: b")).to_be_visible()


def test_an_evaluation_is_followed_across_an_answer_that_fails(page: Page, address: str) -> None:
    open_quality(page, address, collection="bundled")
    expect(
        page.get_by_role("button", name="Choose a file").or_(page.get_by_role("button", name="Evaluate a file"))
    ).to_be_visible()
    busy = {"error": {"message": "Busy."}}
    page.route("**/api/evaluate", lambda route: route.fulfill(status=503, json=busy), times=2)
    evaluate(page, "query,relevant\n" + "red,red-id\n" * 400, name="across.csv")
    expect(page.get_by_text("across.csv: 400 queries")).to_be_visible()
