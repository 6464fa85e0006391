"""Signing in, searching and signing out in a browser, as an editor, as a viewer, and with scripts switched off."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import WAITS_MS
from tests.browser.running import running_app
from tests.browser.steps import expect_first, search
from tests.browser.test_everyone import serious
from tests.hub_server import HubServer
from ui.users import new_users, to_json, with_user

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, hub: HubServer) -> Iterator[str]:
    """An app with a sign-in, under a path; the fixture's app lets anybody in."""
    users = with_user(with_user(new_users(), "ada", "editor", PASSWORD), "bob", "viewer", PASSWORD)
    with running_app(tmp_path_factory.mktemp("app"), hub=hub.endpoint, users=to_json(users), under="/sightline") as at:
        yield f"{at}sightline/"


@pytest.fixture
def someone(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A browser of its own, which is signed in nowhere."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **getattr(request, "param", {})})
    context.set_default_timeout(WAITS_MS)
    yield context
    context.close()


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_an_editor_signs_in_searches_and_signs_out(someone: BrowserContext, guarded: str) -> None:
    page = someone.new_page()
    page.goto(f"{guarded}?q=red")
    expect(page).to_have_title("Sign in · Sightline")
    sign_in(page, "ada", "wrong horse battery")
    expect(page.get_by_role("alert")).to_contain_text("do not fit")
    sign_in(page, "ada")
    expect_first(page, "red square", "scarlet square")
    expect(page.locator(".signed-in span")).to_have_text("ada")
    search(page, "blue")
    expect_first(page, "blue square")
    page.get_by_role("tab", name="Library").click()
    expect(page.get_by_role("button", name="New collection")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in · Sightline")
    page.goto(guarded)
    expect(page).to_have_title("Sign in · Sightline")


def test_a_viewer_sees_who_they_are_and_nothing_that_changes_things(someone: BrowserContext, guarded: str) -> None:
    page = someone.new_page()
    page.goto(guarded)
    sign_in(page, "bob")
    search(page, "red")
    expect_first(page, "red square")
    page.get_by_role("tab", name="Library").click()
    expect(page.locator(".refused")).to_contain_text("You are signed in as bob, a viewer")
    for name in ("New collection", "Add images to colours", "Delete colours", "Make a collection"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.get_by_role("tab", name="Quality").click()
    expect(page.locator(".quality-empty")).to_contain_text("You are signed in as bob, a viewer")
    expect(page.get_by_role("button", name="Ask the bundled queries")).to_have_count(0)


def test_a_session_that_has_ended_leads_to_the_sign_in_and_back(someone: BrowserContext, guarded: str) -> None:
    page = someone.new_page()
    page.goto(guarded)
    sign_in(page, "bob")
    search(page, "red")
    expect_first(page, "red square")
    someone.clear_cookies()
    search(page, "blue")
    expect(page).to_have_title("Sign in · Sightline")
    sign_in(page, "bob")
    expect_first(page, "blue square")


def test_nothing_leaves_the_path_that_it_is_served_under(someone: BrowserContext, guarded: str) -> None:
    page = someone.new_page()
    outside: list[str] = []
    page.on(
        "request", lambda sent: None if sent.url.startswith((guarded, "data:", "blob:")) else outside.append(sent.url)
    )
    page.goto(guarded)
    sign_in(page, "ada")
    search(page, "red")
    expect_first(page, "red square")
    page.get_by_role("button", name="red square", exact=True).click()
    expect(page.get_by_role("complementary", name="Image").get_by_role("heading", level=2)).to_have_text("red square")
    page.get_by_role("tab", name="Library").click()
    expect(page.get_by_role("button", name="Add images to colours")).to_be_visible()
    page.get_by_role("tab", name="Quality").click()
    expect(page.get_by_text("How well does it find?")).to_be_visible()
    page.goto(f"{guarded}docs")
    expect(page.get_by_role("heading", name="Sightline API")).to_be_visible()
    assert outside == []


LOOKS = [
    {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "java_script_enabled": False}
    for width in (1280, 390)
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize("someone", LOOKS, indirect=True, ids=["wide-light", "wide-dark", "phone-light", "phone-dark"])
def test_the_sign_in_needs_no_scripts(someone: BrowserContext, guarded: str, request: pytest.FixtureRequest) -> None:
    page = someone.new_page()
    page.goto(f"{guarded}sign-in?next=/docs")
    sign_in(page, "bob", "wrong horse battery")
    expect(page.get_by_role("alert")).to_be_visible()
    if folder := os.environ.get("PICTURES_OF_SIGN_IN"):
        page.screenshot(path=Path(folder) / f"{request.node.callspec.id}.png")
    width = someone.pages[0].viewport_size["width"]  # type: ignore[index]
    box = page.get_by_role("main").bounding_box()
    assert box is not None
    assert box["x"] >= 16
    assert box["x"] + box["width"] <= width - 16
    sign_in(page, "bob")
    expect(page).to_have_url(f"{guarded}docs")


@pytest.mark.parametrize(
    "someone", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_the_sign_in_has_no_serious_violation(someone: BrowserContext, guarded: str) -> None:
    page = someone.new_page()
    page.goto(f"{guarded}sign-in")
    expect(page.get_by_label("Name")).to_be_focused()  # browsers focus with the first frame, not before "load"
    sign_in(page, "nobody", "wrong horse battery")
    expect(page.get_by_role("alert")).to_be_visible()
    assert serious(page) == []


@pytest.mark.parametrize("someone", [{"viewport": {"width": 390, "height": 800}}], indirect=True, ids=["phone"])
def test_signing_out_has_room_on_a_phone(someone: BrowserContext, guarded: str, request: pytest.FixtureRequest) -> None:
    page = someone.new_page()
    page.goto(guarded)
    sign_in(page, "ada")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    if folder := os.environ.get("PICTURES_OF_SIGN_IN"):
        page.screenshot(path=Path(folder) / "signed-in.png")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(page.get_by_role("combobox", name="Collection").locator("option:checked")).to_have_text("colours")
    tab = page.get_by_role("tab", name="Quality").bounding_box()
    chooser = page.get_by_role("combobox", name="Collection").bounding_box()
    assert tab is not None
    assert chooser is not None
    assert tab["x"] + tab["width"] <= chooser["x"]
