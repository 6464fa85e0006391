"""The encoder behind an endpoint: exact requests, batches, patience, and every refusal in one sentence."""

import base64
import io
import json
from collections.abc import Mapping
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import Stubber
from PIL import Image

from search.encoders.remote import MAX_BODY_BYTES, MAX_IMAGES, MAX_TEXTS, RemoteEncoder
from search.errors import (
    Busy,
    EncoderMismatch,
    EndpointUnavailable,
    ModelError,
    ModelNotFound,
    ModelRefused,
    QueryTooLong,
    SearchError,
    TimedOut,
)
from tests.fakes import FakeEncoder
from ui.api_query import MAX_EMBED_IMAGES, MAX_EMBED_TEXTS

DESCRIBED = {
    "model": "fake",
    "fingerprint": "fake-1",
    "dim": 3,
    "preprocess": {
        "size": [8, 8],
        "mean": [0.5, 0.25, 0.125],
        "std": [1.0, 2.0, 4.0],
        "interpolation": "bilinear",
        "resize_mode": "squash",
        "fill_color": 7,
    },
}


class Endpoint:
    """boto3's client with answers in their order, and a clock that only sleeping moves."""

    def __init__(self) -> None:
        # without botocore's own attempts: what they repeat is its affair
        self.client = boto3.client(
            "sagemaker-runtime",
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.stub = Stubber(self.client)
        self.stub.activate()
        self.now_s = 0.0
        self.slept = 0

    def answers(self, request: object, answer: object) -> None:
        data = json.dumps(answer).encode()
        self.stub.add_response("invoke_endpoint", {"Body": StreamingBody(io.BytesIO(data), len(data))}, sent(request))

    def embeds(self, kind: str, entries: list[str], rows: list[list[float]], fingerprint: str = "fake-1") -> None:
        answer = {"embeddings": {kind: rows}, "model": "fake", "fingerprint": fingerprint}
        self.answers({"embed": {kind: entries}}, answer)

    def refuses(self, code: str, message: str = "", status: int = 400, original: tuple[int, str] | None = None) -> None:
        fields: dict[str, Any] = {}
        if original:
            fields = {"OriginalStatusCode": original[0], "OriginalMessage": original[1]}
        self.stub.add_client_error("invoke_endpoint", code, message, status, modeled_fields=fields)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept += 1

    def encoder(self, described: Mapping[str, object] = DESCRIBED) -> RemoteEncoder:
        self.answers({"describe": {}}, described)
        return self.asked()

    def asked(self) -> RemoteEncoder:
        return RemoteEncoder("sagemaker:x", "x", client=self.client, sleep=self.sleep, clock=lambda: self.now_s)


def sent(request: object) -> dict[str, object]:
    body = json.dumps(request, ensure_ascii=False).encode()
    return {"EndpointName": "x", "ContentType": "application/json", "Accept": "application/json", "Body": body}


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def own_error(status: int, code: str, message: str) -> tuple[int, str]:
    return status, json.dumps({"error": {"code": code, "message": message, "request_id": "r"}})


def test_the_endpoint_says_what_it_is(endpoint: Endpoint) -> None:
    encoder = endpoint.encoder()
    spec = encoder.preprocess
    assert (encoder.name, encoder.fingerprint, encoder.dim) == ("sagemaker:x", "fake-1", 3)
    assert (spec.size, spec.mean, spec.std) == ((8, 8), (0.5, 0.25, 0.125), (1.0, 2.0, 4.0))
    assert (spec.interpolation, spec.resize_mode, spec.fill_color) == ("bilinear", "squash", 7)


def test_texts_are_sent_as_they_are_and_come_back_as_rows(endpoint: Endpoint) -> None:
    encoder = endpoint.encoder()
    endpoint.embeds("texts", ["red", "Hündchen 🐈"], [[1, 0, 0], [0, 0.6, 0.8]])
    rows = encoder.encode_texts(["red", "Hündchen 🐈"])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, np.array([[1, 0, 0], [0, 0.6, 0.8]], np.float32))
    endpoint.stub.assert_no_pending_responses()


def test_nothing_in_is_nothing_out_and_nothing_sent(endpoint: Endpoint) -> None:
    encoder = endpoint.encoder()
    assert encoder.encode_texts([]).shape == (0, 3)
    assert encoder.encode_images(np.empty((0, 8, 8, 3), np.uint8)).shape == (0, 3)


def test_the_limits_are_those_of_the_contract() -> None:
    assert (MAX_TEXTS, MAX_IMAGES) == (MAX_EMBED_TEXTS, MAX_EMBED_IMAGES)


class Counting:
    """A client that keeps what was sent and answers as the fake encoder would."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.meta = type("Meta", (), {"region_name": "eu-central-1"})
        self.size = size
        self.bodies: list[bytes] = []

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        asked = json.loads(request["Body"])
        if "describe" in asked:
            told: dict[str, object] = {**DESCRIBED, "preprocess": {"size": list(self.size)}}
        else:
            self.bodies.append(request["Body"])
            ((kind, entries),) = asked["embed"].items()
            fake = FakeEncoder()
            rows = (
                fake.encode_texts(entries)
                if kind == "texts"
                else np.concatenate([fake.encode_images(decoded(entry)[None]) for entry in entries])
            )
            told = {"embeddings": {kind: rows.tolist()}, "fingerprint": "fake-1"}
        return {"Body": io.BytesIO(json.dumps(told).encode())}


def decoded(entry: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(base64.b64decode(entry))))


def test_many_texts_go_in_requests_of_256_and_come_back_in_order() -> None:
    client = Counting((8, 8))
    texts = ["red", "green", "blue"] * 200
    rows = RemoteEncoder("sagemaker:x", "x", client=client).encode_texts(texts)
    np.testing.assert_array_equal(rows, FakeEncoder().encode_texts(texts))
    assert [len(json.loads(body)["embed"]["texts"]) for body in client.bodies] == [256, 256, 88]


def test_pictures_go_in_requests_of_64_and_of_4_mb_and_lose_nothing() -> None:
    small, large = Counting((8, 8)), Counting((224, 224))
    noise = np.random.default_rng(1).integers(0, 256, (70, 224, 224, 3), dtype=np.uint8)
    few = noise[:, :8, :8]
    rows = RemoteEncoder("sagemaker:x", "x", client=small).encode_images(few)
    np.testing.assert_array_equal(rows, np.concatenate([FakeEncoder().encode_images(one[None]) for one in few]))
    assert [len(json.loads(body)["embed"]["images"]) for body in small.bodies] == [64, 6]
    RemoteEncoder("sagemaker:x", "x", client=large).encode_images(noise)
    assert all(len(body) <= MAX_BODY_BYTES for body in large.bodies)
    arrived = [decoded(entry) for body in large.bodies for entry in json.loads(body)["embed"]["images"]]
    np.testing.assert_array_equal(np.stack(arrived), noise)


def test_another_fingerprint_is_refused_before_its_embeddings_are_used(endpoint: Endpoint) -> None:
    encoder = endpoint.encoder()
    endpoint.embeds("texts", ["red"], [[1, 0, 0]], fingerprint="fake-2")
    with pytest.raises(EncoderMismatch, match=r'^The endpoint "x" serves another model now \(fake-2\) than before'):
        encoder.encode_texts(["red"])


@pytest.mark.parametrize("rows", [[[1, 0]], [[1, 0, 0], [1, 0, 0]], [[3, 0, 0]], [], "none"])
def test_rows_that_are_none_are_refused(endpoint: Endpoint, rows: Any) -> None:
    encoder = endpoint.encoder()
    endpoint.embeds("texts", ["red"], rows)
    with pytest.raises(ModelError, match="does not answer as Sightline's image does"):
        encoder.encode_texts(["red"])


@pytest.mark.parametrize("described", [{}, {**DESCRIBED, "dim": "many"}, {**DESCRIBED, "preprocess": None}])
def test_who_describes_no_encoder_is_a_stranger(endpoint: Endpoint, described: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="deploy this version's image to it"):
        endpoint.encoder(described)


@pytest.mark.parametrize(
    ("code", "status", "original"),
    [
        ("ModelNotReadyException", 429, None),
        ("ThrottlingException", 400, None),
        ("InternalDependencyException", 530, None),
        ("ServiceUnavailable", 503, None),
        ("ModelError", 424, own_error(429, "busy", "Too many at once.")),
        ("ModelError", 424, own_error(503, "not_ready", "Not ready: it has only just been started.")),
    ],
)
def test_who_says_later_is_asked_again(
    endpoint: Endpoint, code: str, status: int, original: tuple[int, str] | None
) -> None:
    encoder = endpoint.encoder()
    for _ in range(2):
        endpoint.refuses(code, status=status, original=original)
    endpoint.embeds("texts", ["red"], [[1, 0, 0]])
    assert encoder.encode_texts(["red"]).tolist() == [[1, 0, 0]]
    assert endpoint.slept == 2
    assert 0.75 <= endpoint.now_s <= 1.5


def test_patience_ends_before_a_waiting_caller_is_given_up(endpoint: Endpoint) -> None:
    for _ in range(20):
        endpoint.refuses("ModelNotReadyException", status=429)
    with pytest.raises(EndpointUnavailable, match=r'"x" is not ready \(ModelNotReadyException\)'):
        endpoint.asked()
    assert 17 < endpoint.now_s <= 25


def test_a_busy_endpoint_stays_busy_in_our_words(endpoint: Endpoint) -> None:
    for _ in range(20):
        endpoint.refuses("ModelError", status=424, original=own_error(429, "busy", "Too many."))
    with pytest.raises(Busy, match="give it more instances"):
        endpoint.asked()


@pytest.mark.parametrize(
    ("code", "message", "status", "kind", "said"),
    [
        (
            "ValidationError",
            "Endpoint x of account 123456789012 not found.",
            400,
            ModelNotFound,
            'There is no endpoint "x" in eu-central-1 of this account: check its name and AWS_REGION',
        ),
        ("AccessDeniedException", "no", 403, ModelRefused, "their role needs sagemaker:InvokeEndpoint on it."),
        ("ExpiredTokenException", "old", 403, ModelRefused, "have expired: sign in again."),
        ("ValidationError", "Endpoint is Failed", 400, ModelError, "says whether it is in service."),
    ],
)
def test_what_the_platform_refuses_says_what_to_do(
    endpoint: Endpoint, code: str, message: str, status: int, kind: type[SearchError], said: str
) -> None:
    endpoint.refuses(code, message, status)
    with pytest.raises(kind) as raised:
        endpoint.asked()
    assert said in str(raised.value)
    assert endpoint.slept == 0


@pytest.mark.parametrize(
    ("original", "kind", "said"),
    [
        (own_error(422, "query_too_long", "The query has 3,000 characters."), QueryTooLong, "3,000 characters"),
        (own_error(500, "error", "It broke."), ModelError, 'The endpoint "x" answered 500: It broke.'),
        ((504, "<html>"), TimedOut, "did not answer in time"),
        ((400, "<html>"), ModelError, "does not answer as Sightline's image does"),
    ],
)
def test_what_the_container_refuses_is_told_in_its_words(
    endpoint: Endpoint, original: tuple[int, str], kind: type[SearchError], said: str
) -> None:
    encoder = endpoint.encoder()
    endpoint.refuses("ModelError", status=424, original=original)
    with pytest.raises(kind, match=said):
        encoder.encode_texts(["red"])


def test_without_a_region_or_credentials_it_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ModelError, match="set AWS_REGION"):
        RemoteEncoder("sagemaker:x", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with pytest.raises(ModelRefused, match="a role that may sagemaker:InvokeEndpoint"):
        RemoteEncoder("sagemaker:x", "x")
