"""The routes by which results are taken away, as a table or as originals; their bytes are made in downloads.py."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from starlette.requests import Request

from search.errors import BadQuery
from search.query import MAX_TOP_K, parse_request
from ui import downloads
from ui.api_errors import ERROR_ANSWERS
from ui.api_query import collection_name, hit_rows
from ui.bodies import content_type, limited, openapi_body, parse_json, read_json
from ui.downloads import Row
from ui.service import JSON_BYTES, Service, service_of

_EXPORT_EXAMPLE = {"ids": ["an item's id"], "collection": "gallery", "query": "a red boat"}

router = APIRouter(responses=ERROR_ANSWERS)


@router.post(
    "/api/export.csv",
    summary="Rank, score, id, uri, caption and metadata of hits or items, as a table.",
    openapi_extra=openapi_body({"application/json": _EXPORT_EXAMPLE}),
)
async def export_csv(request: Request) -> Response:
    service = service_of(request)
    wanted = await _wanted(request)
    _, rows = await _found(service, wanted)
    # The mark at its beginning tells spreadsheets that it is UTF-8.
    text = "\ufeff" + downloads.csv_text(rows)
    return Response(text, media_type="text/csv", headers=_attachment("sightline.csv"))


@router.post(
    "/api/export.zip",
    summary="The originals of hits or items, as one archive.",
    description=f"At most {downloads.MAX_ZIP_FILES} files and {downloads.MAX_ZIP_BYTES // 2**30} GB.",
    openapi_extra=openapi_body({"application/json": _EXPORT_EXAMPLE}),
)
async def export_zip(request: Request) -> Response:
    service = service_of(request)
    wanted = await _wanted(request)
    name, rows = await _found(service, wanted)
    records = [row.record for row in rows]
    downloads.check_zip(records)
    chunks = downloads.zip_chunks(service.workspace.library.open(name), records)
    limits = {"x-limit-files": str(downloads.MAX_ZIP_FILES), "x-limit-bytes": str(downloads.MAX_ZIP_BYTES)}
    return StreamingResponse(chunks, media_type="application/zip", headers=_attachment("sightline.zip") | limits)


async def _found(service: Service, wanted: Mapping[str, object]) -> tuple[str, list[Row]]:
    workers = service.examples if isinstance(wanted.get("query"), list) else service.searches
    return await workers.run(_rows, service, wanted)


def _rows(service: Service, wanted: Mapping[str, object]) -> tuple[str, list[Row]]:
    """The collection's name and the rows asked for: the ids in their order, or else the query's hits.

    Raises: BadQuery, CollectionError.
    """
    unknown = sorted(set(wanted) - {"ids", "collection", "query", "where"})
    if unknown:
        raise BadQuery(f'The request has a field "{unknown[0][:40]}"; known are ids, collection, query, where.')
    engine = service.workspace.engine(collection_name(wanted.get("collection")))
    if "query" not in wanted and ("ids" not in wanted or "where" in wanted):
        raise BadQuery('Say what to export: "ids", a list of ids, or "query" as in a search, with "where" if need be.')
    found: dict[str, Row] = {}
    if wanted.get("query") is not None:
        query = parse_request({"query": wanted["query"], "where": wanted.get("where"), "top_k": MAX_TOP_K})
        found = {row.record.id: row for row in hit_rows(engine.search(query).hits)}
    if "ids" not in wanted:
        return engine.collection.info.name, list(found.values())
    ids = _ids(wanted["ids"])
    records = engine.collection.records(ids)
    return engine.collection.info.name, [found.get(id) or Row(records[id]) for id in ids if id in records]


def _ids(value: object) -> Sequence[str]:
    if not isinstance(value, list) or len(value) > MAX_TOP_K or not all(isinstance(id, str) for id in value):
        raise BadQuery(f'"ids" must be a list of at most {MAX_TOP_K:,} ids, which are strings.')
    return list(dict.fromkeys(value))


async def _wanted(request: Request) -> Mapping[str, object]:
    """JSON, or the same in the field `request` of a form, so that a browser can save the answer as it comes."""
    if content_type(request) != "application/x-www-form-urlencoded":
        return await read_json(request, JSON_BYTES)
    async with limited(request, JSON_BYTES).form(max_files=0, max_fields=1) as form:
        field = form.get("request")
    return parse_json(field.encode() if isinstance(field, str) else b"")


def _attachment(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
