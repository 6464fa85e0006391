"""The Quality tab: labelled queries asked, the report looked at, its pictures opened."""

import io
from collections import Counter
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.running import HOSTILE
from tests.browser.steps import box, drop_bytes, expect_first
from tests.browser.test_everyone import PHONE, serious
from tests.stored import wait_until

LABELS = """query,relevant,kind
red,red-id,first
red,shots/grey.png,deep
green,green.png,first
yellow,,none
blue,gone.png,first
"""


def open_quality(page: Page, address: str, *, collection: str) -> None:
    page.goto(f"{address}?collection={collection}")
    page.get_by_role("tab", name="Quality").click()
    expect(page.get_by_role("heading", name="Quality")).to_be_visible()
    expect(page.locator(".quality-empty > *, .quality-head > *").first).to_be_visible()  # it listens by now


def evaluate(page: Page, labels: str = LABELS, *, name: str = "own.csv") -> None:
    chosen: Any = {"name": name, "mimeType": "text/csv", "buffer": labels.encode()}
    page.get_by_label("Labelled queries, CSV").set_input_files(chosen)


def figure(page: Page, name: str) -> Locator:
    tiles = page.get_by_role("region", name="Figures", exact=True).locator("dl > div")
    return tiles.filter(has=page.get_by_text(name, exact=True))


def strip(page: Page, query: str) -> Locator:
    return page.locator(".worst > li").filter(has=page.get_by_role("button", name=query, exact=True))


def edge(table: Locator) -> Counter[Any]:
    """The colours just inside its right edge, below the rounded corner."""
    with Image.open(io.BytesIO(table.screenshot())) as picture:
        picture = picture.convert("RGB")
        return Counter(picture.getpixel((picture.width - 4, y)) for y in range(16, picture.height - 16))


def test_until_there_is_a_report_the_form_of_a_labels_file_is_explained(page: Page, address: str) -> None:
    open_quality(page, address, collection="empty")
    expect(page.get_by_role("heading", name="How well does it find?")).to_be_visible()
    expect(page.get_by_role("region", name="Example of a labels file")).to_contain_text("query,relevant,kind")
    expect(page.get_by_role("button", name="Choose a file")).to_be_visible()
    expect(page.get_by_role("button", name="Ask the bundled queries")).to_have_count(0)


def test_a_file_of_labelled_queries_is_evaluated(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page)
    expect(figure(page, "recall@1")).to_contain_text("66.7 %")
    expect(figure(page, "flagged rightly")).to_contain_text("0.0 %")
    expect(figure(page, "ann_recall@10")).to_contain_text("every image was compared")
    row = page.get_by_role("region", name="Figures by kind").get_by_role("row", name="deep")
    expect(row.get_by_role("cell").nth(1)).to_have_text("0.0 %")
    for plot in (
        "Recall rises from 67% at 1",
        "3 of 3 queries find their first image among the first ten",
        "Best score",
    ):
        expect(page.get_by_role("img", name=plot)).to_be_visible()
    page.get_by_text("1 line of own.csv could not be used as they are").click()
    expect(page.get_by_text('"gone.png" is no image of the collection.')).to_be_visible()


def test_the_worst_queries_show_what_was_wanted_and_found_and_open_as_elsewhere(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page)
    expect(strip(page, "red")).to_have_count(1)
    found = strip(page, "red").get_by_role("button", name="Open: ")
    expect(found.first).to_have_accessible_name("Open: red square")
    expect(strip(page, "red").locator(".right")).to_have_count(1)
    found.nth(1).click()
    expect_first(page, "red square", "scarlet square")
    expect(box(page)).to_have_value("red")
    panel = page.get_by_role("complementary", name="Image")
    expect(panel.get_by_role("heading", name="scarlet square")).to_be_visible()
    page.go_back()
    expect(panel).to_be_hidden()
    page.go_back()
    expect(strip(page, "red")).to_be_visible()
    strip(page, "red").get_by_role("button", name="red", exact=True).click()
    expect_first(page, "red square")


def test_a_slice_shows_its_own_worst_queries(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page, "query,relevant,kind\nred,grey-id,a\nblue,red-id,b\nyellow,,none\n")
    expect(strip(page, "red")).to_have_count(1)
    kinds = page.get_by_role("region", name="Figures by kind")
    kinds.get_by_role("button", name="b", exact=True).click()
    expect(page.get_by_role("heading", name="Worst answered: b")).to_be_visible()
    expect(strip(page, "red")).to_have_count(0)
    expect(strip(page, "blue")).to_have_count(1)
    kinds.get_by_role("button", name="none").click()
    expect(strip(page, "yellow")).to_have_count(1)
    expect(page.get_by_role("heading", name="Worst answered")).to_have_count(0)
    kinds.get_by_role("button", name="none").click()
    expect(page.get_by_role("heading", name="Worst answered", exact=True)).to_be_visible()
    expect(strip(page, "red")).to_have_count(1)


def test_the_queries_that_come_with_a_collection_are_asked_and_compared(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    for _ in range(2):
        page.get_by_role("button", name="Ask the bundled queries").click()
        expect(page.get_by_text("queries.csv: 2 queries")).to_be_visible()
    expect(figure(page, "recall@1")).to_contain_text("no change")


def test_an_evaluation_outlives_its_page(page: Page, address: str) -> None:
    open_quality(page, address, collection="many")
    labels = "query,relevant\n" + "".join(f"red,shade-{n % 90}-id\n" for n in range(1_500))
    with page.expect_response("**/api/evaluate?*"):
        evaluate(page, labels)
    page.close()
    again = page.context.new_page()
    open_quality(again, address, collection="many")
    expect(again.get_by_text("own.csv: 1,500 queries")).to_be_visible()
    again.reload()
    expect(again.get_by_text("own.csv: 1,500 queries")).to_be_visible()
    again.close()


def test_what_ends_while_the_page_opens_is_shown(page: Page, address: str) -> None:
    open_quality(page, address, collection="many")
    held: list[Route] = []
    page.route("**/api/evaluate", lambda route: held.append(route))
    with page.expect_request("**/api/evaluate"):
        page.get_by_role("tab", name="Quality").click()
    api = page.request
    labels = {"content-type": "text/csv"}
    asked = api.post(
        f"{address}api/evaluate?collection=many&name=late.csv", data="query,relevant\nred,shade-1-id\n", headers=labels
    )
    wait_until(lambda: api.get(f"{address}api/evaluate/{asked.json()['job']}").json()["state"] == "done")
    page.route("**/api/evaluate", lambda route: route.continue_())  # the one that was named last has the word
    for route in held:
        route.continue_()
    expect(page.get_by_text("late.csv: 1 query")).to_be_visible()


def test_a_file_that_can_not_be_used_says_why(page: Page, address: str) -> None:
    open_quality(page, address, collection="bundled")
    evaluate(page, "text\nred\n")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(
        "own.csv needs the columns query and relevant"
    )
    evaluate(page, "query,relevant\nred,gone.png\n")
    failed = page.get_by_role("list", name="Evaluations").get_by_role("listitem")
    expect(failed).to_contain_text("Stopped · own.csv · own.csv holds no query that can be asked")


def test_a_dropped_file_is_evaluated(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    drop_bytes(page, b"query,relevant\ncyan,cyan-id\n", name="dropped.csv", on="#quality")
    expect(page.get_by_text("dropped.csv: 1 query")).to_be_visible()


def test_hostile_queries_slices_and_captions_are_shown_as_they_are(page: Page, address: str) -> None:
    open_quality(page, address, collection="hostile")
    quoted = HOSTILE.replace('"', '""')
    evaluate(page, f'query,relevant,"{quoted}"\n"{quoted}",red-id,"{quoted}"\n', name=f"{HOSTILE}.csv")
    expect(strip(page, HOSTILE)).to_have_count(1)
    expect(page.get_by_role("heading", name=f"By {HOSTILE[:60]}")).to_be_visible()
    assert page.evaluate("window.harmed") is None


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_a_long_name_of_a_slice_leaves_room_for_its_figures(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page, f"query,relevant,kind\nred,red-id,{'a long name ' * 6}\n")
    table = page.get_by_role("region", name="Figures by kind")
    expect(table.get_by_role("rowheader")).to_be_visible()
    name, whole = table.get_by_role("rowheader").bounding_box(), table.bounding_box()
    assert name is not None
    assert whole is not None
    assert name["width"] < whole["width"] / 2


@pytest.mark.parametrize("settings", [PHONE], ids=["phone"])
def test_the_edge_of_a_table_is_shaded_while_columns_lie_beyond_it(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page)
    table = page.get_by_role("region", name="Figures by kind")
    expect(table.get_by_role("rowheader", name="first")).to_be_visible()
    surface = (255, 255, 255)
    assert surface not in edge(table)
    table.evaluate("(table) => table.scrollTo(table.scrollWidth, 0)")
    assert edge(table).most_common(1)[0][0] == surface


def test_the_report_is_taken_away_as_a_page_a_table_and_json(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page)
    expect(page.get_by_text("own.csv: 4 queries")).to_be_visible()
    for label, name in (("Report", "report.html"), ("Queries, CSV", "queries.csv"), ("JSON", "report.json")):
        with page.expect_download() as download:
            page.get_by_role("link", name=label).click()
        assert download.value.suggested_filename == name


def test_who_may_not_change_anything_looks_at_reports_and_makes_none(page: Page, address: str) -> None:
    def without_rights(route: Any) -> None:
        told = route.fetch().json()
        route.fulfill(json={**told, "may_change": False})

    page.route("**/api/collections", without_rights)
    open_quality(page, address, collection="empty")
    expect(page.get_by_text("You can look at reports here and not make one")).to_be_visible()
    expect(page.get_by_role("button", name="Choose a file")).to_have_count(0)
    expect(page.get_by_role("button", name="Evaluate a file")).to_be_hidden()


def test_another_collection_shows_its_own_report(page: Page, address: str) -> None:
    open_quality(page, address, collection="colours")
    evaluate(page)
    expect(page.get_by_text("own.csv: 4 queries")).to_be_visible()
    page.get_by_role("combobox", name="Collection").select_option("empty")
    expect(page.get_by_role("heading", name="How well does it find?")).to_be_visible()
    expect(page.get_by_text("own.csv: 4 queries")).to_have_count(0)


@pytest.mark.parametrize(
    "settings", [{"color_scheme": "light"}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"]
)
def test_no_serious_violation_and_nothing_beyond_the_edge(page: Page, address: str) -> None:
    open_quality(page, address, collection="empty")
    expect(page.get_by_role("heading", name="How well does it find?")).to_be_visible()
    found = serious(page)
    open_quality(page, address, collection="colours")
    evaluate(page)
    expect(page.get_by_text("own.csv: 4 queries")).to_be_visible()
    found += serious(page)
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
