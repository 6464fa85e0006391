"""The Library tab: collections made, filled, watched and deleted."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.running import COLOURS, picture_bytes
from tests.browser.steps import drop, expect_first, pictures, search


def open_library(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("tab", name="Library").click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()


def make_collection(page: Page, name: str) -> None:
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog", name="New collection")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_role("button", name="Make collection").click()
    expect(dialog).to_be_hidden()


def row(page: Page, name: str) -> Locator:
    return (
        page.get_by_role("list", name="Collections")
        .get_by_role("listitem")
        .filter(has=page.get_by_role("heading", name=name, exact=True))
    )


def files(*names: str) -> list[dict[str, Any]]:
    return [{"name": f"{name}.png", "mimeType": "image/png", "buffer": picture_bytes(COLOURS[name])} for name in names]


def test_a_collection_is_made_filled_with_files_and_searched(page: Page, address: str) -> None:
    open_library(page, address)
    make_collection(page, "by files")
    page.get_by_label("Images to add").set_input_files(files("red", "blue", "green"))
    expect(row(page, "by files")).to_contain_text("3 images")
    job = page.get_by_role("list", name="What is being added").get_by_role("listitem")
    expect(job).to_have_text(re.compile(r"^Done · uploads · 3 of 3 · 3 added · (\d\d:\d\d|\d+ \w+ \d{4})$"))
    page.get_by_role("button", name="Search by files").click()
    search(page, "blue")
    expect_first(page, "blue.png")
    expect(pictures(page)).to_have_count(3)


def test_unusable_files_are_listed_with_their_reasons(page: Page, address: str) -> None:
    hostile = "<img src=x onerror=window.harmed=1>.png"
    open_library(page, address)
    make_collection(page, "by failing")
    bad = {"name": hostile, "mimeType": "image/png", "buffer": b"not a picture"}
    page.get_by_label("Images to add").set_input_files([*files("red"), bad])
    expect(row(page, "by failing")).to_contain_text("1 image")
    page.get_by_text("1 file could not be used").click()
    expect(row(page, "by failing")).to_contain_text(hostile)
    assert page.evaluate("window.harmed") is None


def test_a_zip_is_taken_apart(page: Page, address: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("red", "cyan"):
            archive.writestr(f"holiday/{name}.png", picture_bytes(COLOURS[name]))
    open_library(page, address)
    make_collection(page, "by zip")
    chosen = {"name": "all.zip", "mimeType": "application/zip", "buffer": packed.getvalue()}
    page.get_by_label("A zip to add").set_input_files(chosen)
    expect(row(page, "by zip")).to_contain_text("2 images")


def test_a_folder_of_this_machine_is_added_in_place_and_watched_by_another_page(
    page: Page, address: str, tmp_path: Path
) -> None:
    for name, colour in COLOURS.items():
        (tmp_path / f"{name}.png").write_bytes(picture_bytes(colour))
    open_library(page, address)
    make_collection(page, "by path")
    page.get_by_label("Or a folder of the machine").fill(str(tmp_path))
    page.get_by_role("button", name="Add folder").click()
    expect(page.get_by_role("list", name="What is being added").get_by_role("listitem")).to_have_count(1)
    page.close()
    again = page.context.new_page()
    open_library(again, address)
    again.get_by_role("button", name="Add images to by path").click()
    expect(again.get_by_role("list", name="What is being added")).to_contain_text("10 added")
    expect(row(again, "by path")).to_contain_text("10 images")
    again.close()


def test_a_folder_is_chosen_in_the_browser(page: Page, address: str, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("red", "inner/blue"):
        (tmp_path / f"{name}.png").write_bytes(picture_bytes(COLOURS[Path(name).name]))
    open_library(page, address)
    make_collection(page, "by folder")
    page.get_by_label("A folder to add").set_input_files(tmp_path)
    expect(row(page, "by folder")).to_contain_text("2 images")


@pytest.mark.parametrize(
    ("path", "said"),
    [("/nowhere/at/all", 'ends in "all": check it'), ("relative/path", "absolute path")],
    ids=["missing", "relative"],
)
def test_a_path_that_is_none_is_refused(page: Page, address: str, path: str, said: str) -> None:
    open_library(page, address)
    page.get_by_role("button", name="Add images to empty").click()
    page.get_by_label("Or a folder of the machine").fill(path)
    page.get_by_role("button", name="Add folder").click()
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(said)


def test_a_collection_is_deleted_only_by_its_name(page: Page, address: str) -> None:
    open_library(page, address)
    make_collection(page, "to be deleted")
    page.get_by_role("button", name="Delete to be deleted").click()
    dialog = page.get_by_role("dialog", name="Delete this collection?")
    expect(dialog.get_by_label("Type its name")).to_be_focused()
    dialog.get_by_label("Type its name").fill("to be")
    expect(dialog.get_by_role("button", name="Delete", exact=True)).to_be_disabled()
    dialog.get_by_label("Type its name").fill("to be deleted")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(row(page, "to be deleted")).to_have_count(0)
    expect(page.get_by_role("combobox", name="Collection").get_by_role("option", name="to be deleted")).to_have_count(0)


def test_a_name_that_is_taken_is_refused_in_the_dialog(page: Page, address: str) -> None:
    open_library(page, address)
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog", name="New collection")
    dialog.get_by_label("Name").fill("colours")
    dialog.get_by_role("button", name="Make collection").click()
    expect(dialog.get_by_role("alert")).to_contain_text("colours")


def test_who_may_not_change_anything_sees_why(page: Page, address: str) -> None:
    def without_rights(route: Any) -> None:
        told = route.fetch().json()
        route.fulfill(json={**told, "may_change": False, "why_not": "You are a viewer."})

    page.route("**/api/collections", without_rights)
    open_library(page, address)
    expect(page.get_by_text("You are a viewer.")).to_be_visible()
    expect(page.get_by_role("button", name="New collection")).to_be_hidden()
    expect(page.get_by_role("button", name="Add images to colours")).to_have_count(0)


def test_pictures_dropped_on_the_library_are_added_to_the_open_collection(page: Page, address: str) -> None:
    open_library(page, address)
    make_collection(page, "by dropping")
    drop(page, COLOURS["red"], on="#library")
    expect(row(page, "by dropping")).to_contain_text("1 image")


def test_the_library_outlives_a_reload_and_back_leads_to_the_search(page: Page, address: str) -> None:
    open_library(page, address)
    page.reload()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    expect(row(page, "colours")).to_be_visible()
    page.go_back()
    expect(pictures(page).first).to_be_visible()
    expect(page.get_by_role("heading", name="Library")).to_be_hidden()
    page.go_forward()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()


def test_a_job_that_failed_is_gone_on_with(page: Page, address: str, tmp_path: Path) -> None:
    archive = tmp_path / "trip.zip"
    archive.write_bytes(b"PK\x03\x04 and no more of it")
    open_library(page, address)
    make_collection(page, "by resuming")
    page.get_by_label("Or a folder of the machine").fill(str(archive))
    page.get_by_role("button", name="Add folder").click()
    adding = page.get_by_role("list", name="What is being added")
    expect(adding).to_contain_text("Stopped · trip.zip is not a zip archive that can be read")
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("red.png", picture_bytes(COLOURS["red"]))
    adding.get_by_role("button", name="Go on").click()
    expect(adding).to_contain_text("1 added")
    expect(row(page, "by resuming")).to_contain_text("1 image")


def test_only_the_newest_of_equal_jobs_is_gone_on_with(page: Page, address: str, tmp_path: Path) -> None:
    archive = tmp_path / "trip.zip"
    archive.write_bytes(b"PK\x03\x04 and no more of it")
    open_library(page, address)
    make_collection(page, "by trying twice")
    adding = page.get_by_role("list", name="What is being added")
    for times in (1, 2):
        page.get_by_label("Or a folder of the machine").fill(str(archive))
        page.get_by_role("button", name="Add folder").click()
        expect(adding.get_by_text("Stopped")).to_have_count(times)
    expect(adding.get_by_role("button", name="Go on")).to_have_count(1)
    expect(adding.get_by_role("listitem").first.get_by_role("button", name="Go on")).to_be_visible()


def test_who_adds_to_a_collection_of_the_bundled_model_is_told_what_it_knows(page: Page, address: str) -> None:
    page.goto(f"{address}?view=library")
    page.get_by_role("button", name="Add images to bundled").click()
    expect(page.locator(".drop-zone")).to_contain_text("The bundled model knows illustrations, not photographs.")
    page.get_by_role("button", name="Add images to colours").click()
    expect(page.locator(".drop-zone")).not_to_contain_text("knows")
    page.get_by_role("button", name="Add images to bundled").click()
    page.locator(".drop-zone").get_by_role("button", name="Use another model").click()
    expect(page.get_by_role("dialog", name="New collection").get_by_role("radio", name="Pocket")).not_to_be_checked()


def test_a_library_that_is_out_of_reach_is_asked_again(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="Find images by what they show")).to_be_visible()
    for place in ("**/api/collections", "**/api/models"):
        page.route(place, lambda route: route.abort())
    page.goto(f"{address}?view=library")
    expect(page.get_by_text("No connection to Sightline: is it still running?")).to_be_visible()
    expect(page.get_by_role("table")).to_be_hidden()
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Search colours")).to_be_visible()
    expect(page.get_by_role("table")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
