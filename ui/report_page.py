"""A report as one HTML page that asks nothing of anybody: style, plots and small pictures are in it."""

from base64 import b64encode
from collections.abc import Mapping
from string import Template

from search.comparison import Comparison
from search.errors import BadImage, Busy
from search.images.decoder import Decoder
from search.measures import Outcome
from search.report import Report
from search.types import Collection, Record
from ui.markup import Markup, element, joined
from ui.report_text import about, asked, when
from ui.report_view import Links, body, shown_ids, slice_name
from ui.theme import STATIC

PICTURE_PX = 160
MOST_PICTURE_BYTES = 3 * 2**20  # of all pictures together, before base64


def page(
    report: Report,
    comparison: Comparison | None,
    *,
    collection: Collection,
    decoder: Decoder,
    most_picture_bytes: int = MOST_PICTURE_BYTES,
) -> str:
    records = collection.records(shown_ids(report.outcomes))
    pictures = _pictures(records, collection, decoder, room_bytes=most_picture_bytes)

    def picture(id: str) -> Markup:
        record = records.get(id)
        name = "no longer in the collection" if record is None else record.caption or record.uri
        if id not in pictures:
            return element("span", {"class": "thumb missing", "title": name}, element("span", {}, name))
        return element("img", {"class": "thumb", "src": pictures[id], "alt": name, "title": name})

    def query(one: Outcome) -> Markup:
        return element("strong", {}, asked(one))

    title = f"Retrieval quality of {report.collection}"
    head = element(
        "header",
        {},
        element("h1", {}, title),
        element("p", {"class": "report-about"}, f"{about(report)} · {when(report)}"),
    )
    return Template((STATIC / "report.html").read_text(encoding="utf-8")).substitute(
        title=joined([title]),
        style=_style(),
        body=joined([head, body(report, comparison, Links(picture, query, lambda one: joined([slice_name(one)])))]),
    )


def _pictures(
    records: Mapping[str, Record], collection: Collection, decoder: Decoder, *, room_bytes: int
) -> dict[str, str]:
    """Small pictures as data addresses, as many as have room."""
    found: dict[str, str] = {}
    for id in records:
        thumbnail = collection.thumbnail(id)
        if thumbnail is None:
            continue
        try:
            small = decoder.reencode(thumbnail, px=PICTURE_PX)
        except (BadImage, Busy):
            continue
        room_bytes -= len(small)
        if room_bytes < 0:
            break
        found[id] = f"data:image/webp;base64,{b64encode(small).decode()}"
    return found


def _style() -> str:
    """The page's tokens, and what the report needs besides."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("tokens.css", "report.css"))
