"""What the page asks the server: each takes what the browser sent, trusts none of it, and answers plain values.

They read and never change anything; changes go through the HTTP API. Errors meant for a person come back as
`{"error": {"code", "message"}}`.
"""

from collections.abc import Callable, Mapping

from search.engine import check_fields
from search.errors import BadQuery, CollectionNotFound, ItemNotFound, ModelNotDownloaded, SearchError
from search.query import MAX_TOP_K, parse_where, parse_window
from search.workspace import Workspace
from ui.detail import facts, shares
from ui.grid import hit_tile, tile
from ui.quality import last_report, worst_of
from ui.query_box import example_queries, literal, read_query, shown_parts
from ui.telemetry import current_request_id

Shown = dict[str, object]
BUNDLED = "pocket"
LOOKED_AT_FOR_EXAMPLES = 200  # records
LOAD_WITHIN_S = 0.5  # a model that takes longer is waited for by the page, which says so


def about(workspace: Workspace, asked: Mapping[str, object]) -> Shown:
    """The collections, and what the page needs to know of the one that it searches."""
    summaries = workspace.collections()
    name = _collection(asked) or workspace.default
    shelf = [{"name": summary.info.name, "count": summary.count} for summary in summaries]
    summary = next((summary for summary in summaries if summary.info.name == name), None)
    if summary is None:
        return {"collections": shelf, "collection": None, "fields": {}, "examples": [], "is_bundled": False}
    collection = workspace.library.open(name)
    is_bundled = summary.info.model == BUNDLED
    newest = collection.page(offset=0, count=LOOKED_AT_FOR_EXAMPLES)
    return {
        "collections": shelf,
        "collection": name,
        "fields": collection.fields(),
        "examples": example_queries(newest, knows_photographs=not is_bundled),
        "is_bundled": is_bundled,
        "is_own": not summary.info.read_only,
        "model": {"name": summary.info.model, "state": workspace.model(summary.info.model).state},
    }


def find(workspace: Workspace, asked: Mapping[str, object]) -> Shown:
    """Or `loading`, where the collection's model must come into memory first."""
    query = read_query(asked)
    loading = workspace.prepare(_collection(asked), within_s=LOAD_WITHIN_S)
    if loading is not None:
        return {"loading": {"model": loading.model, "stage": loading.stage, "since_s": loading.since_s}}
    engine = workspace.engine(_collection(asked))
    answer = engine.search(query)
    examples = engine.collection.records([part.id for part in query.parts if part.id is not None])
    text, chips = shown_parts(answer.collection, query.parts, examples)
    matching = engine.collection.matching(query.where) if query.where else answer.size
    is_last = len(answer.hits) < query.top_k  # an example is no answer to itself, so there may be fewer than match
    return {
        "collection": answer.collection,
        "text": text,
        "parts": chips,
        "query": [literal(part) for part in query.parts],
        "hits": [hit_tile(answer.collection, hit) for hit in answer.hits],
        "most": query.offset + len(answer.hits) if is_last else min(MAX_TOP_K, matching),
        "matching": matching,
        "size": answer.size,
        "weak": answer.weak,
        "via": answer.via,
        "request_id": current_request_id(),  # for what is told of its images later
    }


def browse(workspace: Workspace, asked: Mapping[str, object]) -> Shown:
    """The newest images, where nothing is searched for."""
    collection = workspace.open(_collection(asked))
    top_k, offset = parse_window(asked)
    where = parse_where(asked.get("where"))
    check_fields(collection, where)
    matching = collection.matching(where)
    name = collection.info.name
    records = collection.page(offset=offset, count=top_k, where=where)
    return {
        "collection": name,
        "hits": [tile(name, record) for record in records],
        "most": min(MAX_TOP_K, matching),
        "matching": matching,
        "size": len(collection),
    }


def show(workspace: Workspace, asked: Mapping[str, object]) -> Shown:
    """One image: its facts, and what each part of the query had to do with it being found."""
    id = asked.get("id")
    if not isinstance(id, str):
        raise BadQuery("The page named no image; reload the page.")
    collection = workspace.open(_collection(asked))
    record = collection.records([id]).get(id)
    if record is None:
        raise ItemNotFound("That image is no longer in this collection.")
    shown = facts(collection.info.name, record)
    if not asked.get("text") and not asked.get("parts"):
        return {"image": shown, "shares": []}
    engine, query = workspace.engine(collection.info.name), read_query(asked)
    examples = collection.records([part.id for part in query.parts if part.id not in (None, id)])
    return {"image": shown, "shares": shares(engine.explain(query, id), query, examples)}


def report(workspace: Workspace, asked: Mapping[str, object]) -> Shown:
    """The last one of the collection."""
    return last_report(workspace, _collection(asked))


def worst(workspace: Workspace, asked: Mapping[str, object]) -> Shown:
    """The worst queries of one slice of a report."""
    id, column, value = (asked.get(name) for name in ("id", "column", "value"))
    return {"body": worst_of(workspace, _collection(asked), id=id, column=column, value=value)}


READING: tuple[Callable[[Workspace, Mapping[str, object]], Shown], ...] = (about, find, browse, show, report, worst)


def answered(function: Callable[[Workspace, Mapping[str, object]], Shown], workspace: Workspace, sent: object) -> Shown:
    """The function's answer, or the error that a person should read."""
    try:
        if not isinstance(sent, Mapping):
            raise BadQuery("The page sent something that can't be read; reload the page.")
        return function(workspace, sent)
    except ModelNotDownloaded as error:
        return {"error": {"code": error.code, "message": str(error), "model": error.name}}
    except SearchError as error:
        return {"error": {"code": error.code, "message": str(error)}}


def _collection(asked: Mapping[str, object]) -> str | None:
    name = asked.get("collection")
    if name is not None and not (isinstance(name, str) and 1 <= len(name) <= 100):
        raise CollectionNotFound("A collection's name has 1 to 100 characters.")
    return name
