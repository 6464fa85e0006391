"""What goes in and out of a search over HTTP: bodies to queries, answers to JSON or CSV; shared by `ui` and `serve`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from search.errors import BadQuery, EmptyQuery
from search.query import parse_request
from search.shipped_item import TYPE as ITEM_TYPE
from search.shipped_item import ship_item
from search.types import Answer, Hit, Part, Query
from search.workspace import Workspace
from ui.api_errors import UnsupportedType
from ui.bodies import parse_json
from ui.downloads import Row, csv_text
from ui.picture_urls import ThumbUrl, no_thumb_url
from ui.telemetry import Work

IMAGE_TYPES = tuple(f"image/{kind}" for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic", "heif"))
LINES_TYPE = "application/jsonlines"
QUERY_TYPES = ("application/json", LINES_TYPE, "text/plain", *IMAGE_TYPES)
MAX_EMBED_TEXTS = 256
MAX_EMBED_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Body:
    """A request to search or embed as it came: bytes, their type, and the address's parameters."""

    data: bytes
    type: str
    params: Mapping[str, str]
    wants_csv: bool = False
    wants_item: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    body: bytes
    type: str
    work: Work


@dataclass(frozen=True, slots=True)
class SearchWish:
    """What a JSON object asks for: a search."""

    collection: str | None
    query: Query

    @property
    def texts(self) -> list[str]:
        return [part.text for part in self.query.parts if part.text is not None]


@dataclass(frozen=True, slots=True)
class EmbedWish:
    """What a JSON object asks for: embeddings."""

    collection: str | None
    texts: list[str]
    images: list[bytes]


def check_type(type: str, accepted: Sequence[str]) -> None:
    """Raises: UnsupportedType."""
    if type not in accepted:
        raise UnsupportedType(
            f'What is sent here can be {", ".join(accepted)}, not "{type[:60]}". Set the header Content-Type to what '
            "the body is."
        )


def search(workspace: Workspace, body: Body, *, thumb_url: ThumbUrl) -> Reply:
    """Raises: NotJson, UnsupportedType, BadQuery, BadImage, CollectionError, ModelError."""
    if body.type == "application/json":
        wish = read_search(parse_json(body.data))
        return reply_to(workspace, wish, thumb_url=thumb_url, wants_csv=body.wants_csv)
    settings = {name: _number(value) for name, value in body.params.items()}
    wish = SearchWish(collection_name(settings.get("collection")), _bare_query(body, settings))
    return reply_to(workspace, wish, thumb_url=thumb_url, wants_csv=body.wants_csv)


def invoke(workspace: Workspace, body: Body) -> Reply:
    """What `/invocations` answers: a search, `{"embed": …}` or `{"describe": …}`. Raises: as search and embed do."""
    if body.wants_item and body.type in IMAGE_TYPES:
        return item(workspace, body)
    if body.type != "application/json":
        return search(workspace, body, thumb_url=no_thumb_url)
    request = parse_json(body.data)
    if "describe" in request:
        return describe(workspace, _alone(request, "describe", '{"describe": {}}'))
    return reply_to(workspace, read_invocation(request), thumb_url=no_thumb_url, wants_csv=body.wants_csv)


def item(workspace: Workspace, body: Body) -> Reply:
    """A picture as what a collection elsewhere takes in. Raises: BadImage, CollectionError, ModelError."""
    embedder = workspace.embedder(collection_name(body.params.get("collection")))
    decoded = embedder.decode(body.data, name="The picture")
    embedding = embedder.encoder.encode_images(decoded.pixels[np.newaxis])[0]
    told = ship_item(body.data, decoded, embedding, embedder.encoder)
    return Reply(told, ITEM_TYPE, Work(model=embedder.encoder.name))


def embed(workspace: Workspace, request: Mapping[str, object]) -> Reply:
    """Raises: BadQuery, BadImage, CollectionError, ModelError."""
    return reply_to(workspace, read_embed(request), thumb_url=no_thumb_url)


def read_invocation(request: Mapping[str, object]) -> SearchWish | EmbedWish:
    """Raises: BadQuery."""
    if "embed" not in request:
        return read_search(request)
    return read_embed(_alone(request, "embed", '{"embed": {"texts": ["a red boat"]}}'))


def read_search(request: Mapping[str, object]) -> SearchWish:
    """Raises: BadQuery."""
    return SearchWish(collection_name(request.get("collection")), parse_request(request))


def read_embed(request: Mapping[str, object]) -> EmbedWish:
    """Raises: BadQuery."""
    unknown = sorted(set(request) - {"texts", "images", "collection"})
    if unknown:
        raise BadQuery(f'The request has a field "{unknown[0][:40]}"; known are texts, images, collection.')
    texts = [part.text or "" for part in _literal(request, "texts", most=MAX_EMBED_TEXTS)]
    images = [part.image or b"" for part in _literal(request, "images", most=MAX_EMBED_IMAGES)]
    if not texts and not images:
        raise EmptyQuery('Nothing to embed: give "texts", a list of texts, or "images", a list of pictures in base64.')
    return EmbedWish(collection_name(request.get("collection")), texts, images)


def reply_to(
    workspace: Workspace, wish: SearchWish | EmbedWish, *, thumb_url: ThumbUrl, wants_csv: bool = False
) -> Reply:
    """Raises: BadQuery, BadImage, CollectionError, ModelError."""
    if isinstance(wish, EmbedWish):
        return _embeddings_reply(workspace, wish)
    engine = workspace.engine(wish.collection)
    answer = engine.search(wish.query)
    work = Work(
        collection=answer.collection,
        model=engine.encoder.name,
        texts=tuple(wish.texts),
        steps_ms=answer.took_ms,
        weak=answer.weak,
    )
    if wants_csv:
        return Reply(csv_text(hit_rows(answer.hits)).encode(), "text/csv", work)
    return _json_reply(answer_json(answer, thumb_url=thumb_url), work)


def describe(workspace: Workspace, request: Mapping[str, object]) -> Reply:
    """The encoder that embeds here, for who uses it from elsewhere. Raises: BadQuery, CollectionError, ModelError."""
    unknown = sorted(set(request) - {"collection"})
    if unknown:
        raise BadQuery(f'"describe" has a field "{unknown[0][:40]}"; known is collection.')
    encoder = workspace.embedder(collection_name(request.get("collection"))).encoder
    told = {"model": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim}
    return _json_reply({**told, "preprocess": asdict(encoder.preprocess)}, Work(model=encoder.name))


def answer_json(answer: Answer, *, thumb_url: ThumbUrl) -> dict[str, object]:
    return {
        "collection": answer.collection,
        "model": answer.model,
        "fingerprint": answer.fingerprint,
        "via": answer.via,
        "took_ms": {step: round(ms, 2) for step, ms in answer.took_ms.items()},
        "size": answer.size,
        "weak": answer.weak,
        "hits": [_hit_json(hit, thumb_url(answer.collection, hit.record)) for hit in answer.hits],
    }


def hit_rows(hits: Sequence[Hit]) -> list[Row]:
    return [Row(rank=hit.rank, score=hit.score, record=hit.record) for hit in hits]


def collection_name(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= 100:
        raise BadQuery('"collection" must be the name of a collection, 1 to 100 characters.')
    return value


def _alone(request: Mapping[str, object], name: str, example: str) -> Mapping[str, object]:
    wanted = request[name]
    if len(request) > 1 or not isinstance(wanted, dict):
        raise BadQuery(f'"{name}" stands alone and is an object: {example}.')
    return wanted


def _bare_query(body: Body, settings: Mapping[str, object]) -> Query:
    """The query of a body that is nothing but a text or a picture."""
    if body.type == "text/plain":
        return parse_request({**settings, "query": _text(body.data)})
    if not body.data:
        raise EmptyQuery("The picture in the request is empty (0 bytes).")
    return replace(parse_request({**settings, "query": "picture"}), parts=(Part(image=body.data),))


def _literal(request: Mapping[str, object], name: str, *, most: int) -> tuple[Part, ...]:
    entries = request.get(name, [])
    if not isinstance(entries, list) or len(entries) > most:
        raise BadQuery(f'"{name}" must be a list of at most {most} entries.')
    kind = name.removesuffix("s")
    return tuple(part for entry in entries for part in parse_request({"query": [{kind: entry}]}).parts)


def _embeddings_reply(workspace: Workspace, wish: EmbedWish) -> Reply:
    embedder = workspace.embedder(wish.collection)
    encoder = embedder.encoder
    texts, images = embedder.embed_texts(wish.texts), embedder.embed_images(wish.images)
    told = {
        "embeddings": {"texts": texts.tolist(), "images": images.tolist()},
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
    }
    work = Work(collection=wish.collection or workspace.default, model=encoder.name, texts=tuple(wish.texts))
    return _json_reply(told, work)


def _hit_json(hit: Hit, thumb: str | None) -> dict[str, object]:
    record = hit.record
    return {
        "id": hit.id,
        "score": round(hit.score, 6),
        "rank": hit.rank,
        "fit": round(hit.fit, 4),
        "uri": record.uri,
        "thumb": thumb,
        "caption": record.caption,
        "width": record.width,
        "height": record.height,
        "taken_at": record.taken_at,
        "metadata": dict(record.metadata),
    }


def _json_reply(value: object, work: Work) -> Reply:
    return Reply(json.dumps(value, ensure_ascii=False).encode(), "application/json", work)


def _number(value: str) -> object:
    """A parameter of an address as the number that it spells, else as it is: what it must be is checked later."""
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadQuery("The text of the query is not UTF-8.") from error
