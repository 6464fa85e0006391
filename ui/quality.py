"""What the Quality tab shows of a collection's last report: markup whose images and queries can be opened."""

from collections.abc import Sequence

from search.errors import BadQuery, ItemNotFound
from search.measures import Outcome
from search.report import Slice
from search.types import Collection
from search.workspace import Workspace
from ui.grid import tile
from ui.markup import Markup, element
from ui.report_text import asked, when
from ui.report_view import Links, body, outcomes_of, shown_ids, slice_name, strips


def last_report(workspace: Workspace, collection: str | None) -> dict[str, object]:
    """`report` is None where there is none yet; `has_labels`: queries come with the collection."""
    opened = workspace.open(collection)
    name, evaluations = opened.info.name, workspace.evaluations
    shown: dict[str, object] = {"collection": name, "has_labels": False, "report": None}
    if evaluations is None:
        return shown
    shown["has_labels"] = evaluations.has_labels(name)
    try:
        report = evaluations.reports.get(name)
    except ItemNotFound:
        return shown
    links = _links(opened, report.outcomes)
    shown["report"] = {
        "id": report.id,
        "title": f"{when(report)} · {report.model} ({report.fingerprint[:12]}) · {report.size:,} images",
        "is_outdated": (report.version, report.size) != (opened.info.version, len(opened)),
        "body": body(report, evaluations.reports.compared(report), links),
    }
    return shown


def worst_of(workspace: Workspace, collection: str | None, *, id: object, column: object, value: object) -> str:
    """The worst queries of one slice of a report, or of all where `column` is none. Raises: ItemNotFound, BadQuery."""
    opened = workspace.open(collection)
    if workspace.evaluations is None or not isinstance(id, str):
        raise BadQuery("The page named no report; reload the page.")
    report = workspace.evaluations.reports.get(opened.info.name, id)
    if not isinstance(column, str) or not isinstance(value, str):
        return strips(report.outcomes, _links(opened, report.outcomes))
    outcomes = outcomes_of(report, column, value)
    return strips(outcomes, _links(opened, outcomes), of=value or "(none)")


def _links(collection: Collection, outcomes: Sequence[Outcome]) -> Links:
    records = collection.records(shown_ids(outcomes))

    def picture(id: str) -> Markup:
        record = records.get(id)
        if record is None:
            return element("span", {"class": "thumb missing"}, "no longer here")
        shown = tile(collection.info.name, record)
        name = str(shown["caption"] or shown["name"])
        image = element("img", {"src": str(shown["thumb"]), "alt": "", "loading": "lazy", "decoding": "async"})
        said = {"type": "button", "class": "thumb", "data-open": id, "aria-label": f"Open: {name}", "title": name}
        return element("button", said, image)

    def query(one: Outcome) -> Markup:
        if one.image:  # it was asked with a picture of another machine's shell
            return element("strong", {}, asked(one))
        return element("button", {"type": "button", "class": "text-button", "data-query": one.text}, asked(one))

    def slice(one: Slice) -> Markup:
        said = {"type": "button", "class": "text-button", "aria-pressed": "false", "title": "Show its worst queries"}
        return element("button", {**said, "data-column": one.column, "data-value": one.value}, slice_name(one))

    return Links(picture, query, slice)
