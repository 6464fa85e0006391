"""The routes that judge a collection by labelled queries, and hand out what was found."""

import csv
import io
import json
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from search.errors import BadQuery, ReadOnly
from search.evaluations import Evaluation, Evaluations
from search.labels import FORM, MOST_BYTES
from search.measures import ndcg_at_10, recall
from search.report import Report, to_json
from search.workspace import Workspace
from ui.api_errors import ERROR_ANSWERS, UnsupportedType
from ui.api_query import collection_name
from ui.bodies import content_type, openapi_body, read_body, read_json
from ui.downloads import cell
from ui.report_page import page
from ui.service import JSON_BYTES, check_change, service_of

CollectionName = Annotated[str, Query(description="The collection that was judged.")]
ReportId = Annotated[str | None, Query(description="Of a report that is kept; without it the last one.")]

router = APIRouter(responses=ERROR_ANSWERS)


@router.post(
    "/api/evaluate",
    status_code=202,
    summary="Judges a collection by labelled queries, in the background.",
    description=f"The body is a CSV file: {FORM}; every other column splits the queries. The address names the "
    "collection, and the file by `name`. A JSON body that names a collection asks the queries that come with it.",
    openapi_extra=openapi_body(
        {"text/csv": "query,relevant,kind\na red boat,boats/1.jpg boats/7.jpg,object\n"}
        | {"application/json": {"collection": "gallery"}}
    ),
)
async def start_evaluation(request: Request, collection: str | None = None, name: str = "labels.csv") -> Response:
    check_change(request)
    service = service_of(request)
    labels: bytes | None = None
    if content_type(request) == "application/json":
        body = await read_json(request, JSON_BYTES)
        unknown = sorted(set(body) - {"collection"})
        if unknown:
            raise BadQuery(f'The request has a field "{unknown[0][:40]}"; known is collection.')
        wanted = collection_name(body.get("collection"))
    elif content_type(request) == "text/csv":
        wanted, labels = collection_name(collection), await read_body(request, MOST_BYTES)
    else:
        raise UnsupportedType('Send the labels as CSV, with the header "Content-Type: text/csv".')
    made = await service.changes.run(_start, service.workspace, wanted, labels, name)
    return JSONResponse({"job": made.id}, status_code=202)


@router.get("/api/evaluate", summary="The evaluations that were asked for lately, newest first.")
async def list_evaluations(request: Request) -> Response:
    evaluations = service_of(request).workspace.evaluations
    return JSONResponse({"evaluations": [evaluation_json(one) for one in evaluations.list()] if evaluations else []})


@router.get("/api/evaluate/{id}", summary="How far an evaluation is.")
async def show_evaluation(request: Request, id: str) -> Response:
    return JSONResponse(evaluation_json(evaluations_of(service_of(request).workspace).get(id)))


@router.delete("/api/evaluate/{id}", summary="Cancels an evaluation.")
async def cancel_evaluation(request: Request, id: str) -> Response:
    check_change(request)
    return JSONResponse(evaluation_json(evaluations_of(service_of(request).workspace).cancel(id)))


@router.get("/api/report.json", summary="What an evaluation found, with each query's outcome.")
async def report_json(request: Request, collection: CollectionName, id: ReportId = None) -> Response:
    service = service_of(request)
    return await service.pictures.run(_json, service.workspace, collection, id)


@router.get("/api/report.csv", summary="Each query's outcome as a row.")
async def report_csv(request: Request, collection: CollectionName, id: ReportId = None) -> Response:
    service = service_of(request)
    return await service.pictures.run(_csv, service.workspace, collection, id)


@router.get("/api/report.html", summary="The report as one page that needs nothing else.")
async def report_html(request: Request, collection: CollectionName, id: ReportId = None) -> Response:
    service = service_of(request)
    return await service.pictures.run(_html, service.workspace, collection, id)


def evaluations_of(workspace: Workspace) -> Evaluations:
    """Raises: ReadOnly."""
    if workspace.evaluations is None:
        raise ReadOnly("This server only reads its data folder: nothing is evaluated through it.")
    return workspace.evaluations


def evaluation_json(one: Evaluation) -> dict[str, object]:
    told = asdict(one)
    message, code = told.pop("error"), told.pop("error_code")
    return {
        **told,
        "is_finished": one.is_finished,
        "error": {"code": code, "message": message} if message else None,
    }


def outcome_rows(report: Report) -> str:
    """A CSV table; what a spreadsheet would take for a formula is not one."""
    text = io.StringIO()
    writer = csv.writer(text)
    figures = ["answerable", "relevant", "found_in_10", "first_rank", "recall_at_10", "ndcg_at_10", "score", "flagged"]
    writer.writerow(["line", "query", "image", *map(cell, report.asked.columns), *figures, "took_ms", "found"])
    for one in report.outcomes:
        judged = [f"{recall(one, 10):.4f}", f"{ndcg_at_10(one):.4f}"] if one.is_answerable else ["", ""]
        score = "" if one.score is None else f"{one.score:.6f}"
        said = [int(one.is_answerable), one.relevant, len(one.places), one.first_rank, *judged, score, int(one.flagged)]
        names = [cell(one.text), cell(one.image), *map(cell, one.values)]
        writer.writerow([one.line, *names, *said, one.took_ms, cell(" ".join(one.found))])
    return text.getvalue()


def _start(workspace: Workspace, collection: str | None, labels: bytes | None, name: str) -> Evaluation:
    info = workspace.open(collection).info  # of one that there is
    return evaluations_of(workspace).submit(info.name, labels, name=name[-200:])


def _report(workspace: Workspace, collection: str, id: str | None) -> Report:
    """Raises: CollectionNotFound, ItemNotFound."""
    name = workspace.open(collection_name(collection)).info.name
    return evaluations_of(workspace).reports.get(name, id)


def _json(workspace: Workspace, collection: str, id: str | None) -> Response:
    told = json.dumps(to_json(_report(workspace, collection, id)), ensure_ascii=False)
    return _attached(told, "application/json", "report.json")


def _csv(workspace: Workspace, collection: str, id: str | None) -> Response:
    return _attached("\ufeff" + outcome_rows(_report(workspace, collection, id)), "text/csv", "queries.csv")


def _html(workspace: Workspace, collection: str, id: str | None) -> Response:
    report = _report(workspace, collection, id)
    comparison = evaluations_of(workspace).reports.compared(report)
    shown = page(report, comparison, collection=workspace.open(report.collection), decoder=workspace.decoder)
    return _attached(shown, "text/html", "report.html")


def _attached(text: str, media_type: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(text, media_type=media_type, headers=headers)
