"""The encoder behind a SageMaker endpoint that runs Sightline's own image; boto3's errors become ours here.

Pixels travel as lossless PNG of the encoder's own size, which the endpoint's preprocessing leaves as they are.
"""

import base64
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search.encoders.preprocess import preprocess_of
from search.errors import (
    BadQuery,
    Busy,
    EmptyQuery,
    EncoderMismatch,
    EndpointUnavailable,
    ModelError,
    ModelNotFound,
    ModelRefused,
    QueryTooLong,
    SearchError,
    TimedOut,
)
from search.types import Embeddings

# Of one {"embed": …}: docs/architecture.md, "HTTP contract". A serverless endpoint takes 4 MB, a real-time one 6.
MAX_TEXTS = 256
MAX_IMAGES = 64
MAX_BODY_BYTES = 4_000_000
_NUMBER_BYTES = 24  # of an answer: a float32 in JSON, and its comma

_CONNECT_S = 5
_READ_S = 60  # the longest that an endpoint may take. Source: InvokeEndpoint, "Response"
_ATTEMPTS = 3  # of botocore, at what breaks on the way
_PATIENCE_S = 25.0  # with an endpoint that says "later"; who searches on the page is given up on after 30
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 8.0

_LATER = ("ModelNotReadyException", "InternalDependencyException", "ThrottlingException", "ServiceUnavailable")
_REFUSED = ("AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId")
_OWN_QUERY_ERRORS: dict[str, type[SearchError]] = {kind.code: kind for kind in (BadQuery, EmptyQuery, QueryTooLong)}


class RemoteEncoder:
    """An Encoder. Thread-safe. Asks the endpoint what it is when it is made, and holds it to that.

    Raises: ModelNotFound, ModelRefused, EndpointUnavailable, ModelError; later EncoderMismatch, Busy, TimedOut too.
    """

    def __init__(
        self,
        name: str,
        endpoint: str,
        *,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client`: boto3's for `sagemaker-runtime`, by default of the environment's account and region."""
        self.name, self._endpoint, self._sleep, self._clock = name, endpoint, sleep, clock
        self._client = client or _client(endpoint)
        told = self._ask({"describe": {}})
        try:
            self.fingerprint, self.dim = str(told["fingerprint"]), int(told["dim"])
            self.preprocess = preprocess_of(told["preprocess"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise _stranger(endpoint) from error

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        most = max(1, min(MAX_TEXTS, MAX_BODY_BYTES // (self.dim * _NUMBER_BYTES)))
        sizes = [len(json.dumps(text, ensure_ascii=False).encode()) + 2 for text in texts]
        return self._rows("texts", [list(texts[part]) for part in _parts(sizes, most)])

    def encode_images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        encoded = [base64.b64encode(_png(one)).decode() for one in pixels]
        parts = _parts([len(image) + 4 for image in encoded], MAX_IMAGES)
        return self._rows("images", [encoded[part] for part in parts])

    def _rows(self, kind: str, batches: Sequence[list[str]]) -> Embeddings:
        found = [self._embed(kind, batch) for batch in batches]
        return np.concatenate(found) if found else np.empty((0, self.dim), np.float32)

    def _embed(self, kind: str, batch: list[str]) -> Embeddings:
        answer = self._ask({"embed": {kind: batch}})
        if (now := str(answer.get("fingerprint"))) != self.fingerprint:
            raise EncoderMismatch(
                f'The endpoint "{self._endpoint}" serves another model now ({now[:12]}) than before '
                f"({self.fingerprint[:12]}), and their embeddings can't be mixed: deploy the former model again; or "
                "start Sightline again and make new collections with the new one."
            )
        try:
            rows = np.asarray(answer["embeddings"][kind], np.float32)  # (n, dim)
        except (KeyError, TypeError, ValueError) as error:
            raise _stranger(self._endpoint) from error
        if rows.shape != (len(batch), self.dim) or not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3):
            raise _stranger(self._endpoint)
        return rows

    def _ask(self, request: Mapping[str, object]) -> Mapping[str, Any]:
        """An endpoint that says "later" is asked again, less and less often."""
        body = json.dumps(request, ensure_ascii=False).encode()
        until, wait_s = self._clock() + _PATIENCE_S, _FIRST_WAIT_S
        while True:
            try:
                return self._asked_once(body)
            except (_Later, Busy):
                pause_s = wait_s * random.uniform(0.5, 1.0)  # so that many do not come back together
                if self._clock() + pause_s > until:
                    raise
            self._sleep(pause_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _asked_once(self, body: bytes) -> Mapping[str, Any]:
        with _told(self._endpoint, str(self._client.meta.region_name)):
            answer = self._client.invoke_endpoint(
                EndpointName=self._endpoint, ContentType="application/json", Accept="application/json", Body=body
            )
            data = answer["Body"].read()
        try:
            told = json.loads(data)
        except ValueError as error:
            raise _stranger(self._endpoint) from error
        if not isinstance(told, dict):
            raise _stranger(self._endpoint)
        return told


class _Later(EndpointUnavailable):
    """What may be otherwise in a moment."""


def _client(endpoint: str) -> Any:
    """Raises: ModelRefused, ModelError."""
    import boto3
    from botocore.config import Config

    with _told(endpoint, "none"):
        return boto3.session.Session().client(
            "sagemaker-runtime",
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            ),
        )


@contextmanager
def _told(endpoint: str, region: str) -> Iterator[None]:
    """botocore's errors, by class and code."""
    from botocore import exceptions as aws

    try:
        yield
    except aws.ClientError as error:
        raise _of_answer(error, endpoint, region) from error
    except aws.NoRegionError as error:
        raise ModelError(
            f'No region is set to look for the endpoint "{endpoint}" in: set AWS_REGION (or AWS_DEFAULT_REGION) to the '
            "endpoint's."
        ) from error
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError) as error:
        raise ModelRefused(
            f'There are no credentials to call the endpoint "{endpoint}" with: give this process a role that may '
            "sagemaker:InvokeEndpoint, or set AWS_PROFILE."
        ) from error
    except aws.ReadTimeoutError as error:
        raise TimedOut(
            f'The endpoint "{endpoint}" did not answer within {_READ_S} s: try again; if it stays so, give it more '
            "instances or a larger one."
        ) from error
    except (aws.HTTPClientError, aws.IncompleteReadError) as error:
        raise EndpointUnavailable(
            f'The endpoint "{endpoint}" can\'t be reached in {region}: check the network (a VPC without internet needs '
            "an interface endpoint for sagemaker.runtime), AWS_REGION, and a proxy's settings."
        ) from error
    except aws.BotoCoreError as error:
        raise ModelError(f'The endpoint "{endpoint}" can\'t be called: {error}'.rstrip(".") + ".") from error


def _of_answer(error: Any, endpoint: str, region: str) -> SearchError:
    """Of a botocore ClientError."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    said = str(error.response.get("Error", {}).get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "ModelError":
        return _of_container(error.response, endpoint)
    if code in _LATER or status == 429 or status >= 500:
        return _Later(
            f'The endpoint "{endpoint}" is not ready ({code or status}): it is starting, or has more to do than it '
            "can; try again in a minute, or give it more instances."
        )
    if code in _REFUSED:
        return ModelRefused(
            f'The endpoint "{endpoint}" in {region} may not be called with these credentials ({code}): their role '
            "needs sagemaker:InvokeEndpoint on it."
        )
    if code in _EXPIRED:
        return ModelRefused(f'The credentials to call the endpoint "{endpoint}" with have expired: sign in again.')
    if "not found" in said.lower() or "could not find" in said.lower():
        return ModelNotFound(
            f'There is no endpoint "{endpoint}" in {region} of this account: check its name and AWS_REGION, or make it '
            "with `python -m deploy up`."
        )
    return ModelError(
        f'The endpoint "{endpoint}" in {region} refused the call ({code}: {said[:300]}): `python -m deploy status` '
        "says whether it is in service."
    )


def _of_container(response: Mapping[str, Any], endpoint: str) -> SearchError:
    """Of a 424: what the container itself answered is in it."""
    status = int(response.get("OriginalStatusCode") or 0)
    code, said = _own_error(str(response.get("OriginalMessage", "")))
    if status == 429:
        return Busy(f'The endpoint "{endpoint}" has more to do than it can: try again, or give it more instances.')
    if code in _OWN_QUERY_ERRORS:
        return _OWN_QUERY_ERRORS[code](said)
    if status == 503 or code in ("not_ready", "stopping"):
        return _Later(f'The endpoint "{endpoint}" is not ready: {said or "its container says no more"}')
    if status == 504 or (status == 0 and not code):
        return TimedOut(f'The container of the endpoint "{endpoint}" did not answer in time: try again.')
    if not code:
        return _stranger(endpoint)
    return ModelError(f'The endpoint "{endpoint}" answered {status}: {said}')


def _own_error(message: str) -> tuple[str, str]:
    """Code and sentence of our error body; empty where it is none."""
    try:
        told = json.loads(message)["error"]
        return str(told["code"]), str(told["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        return "", ""


def _stranger(endpoint: str) -> ModelError:
    return ModelError(
        f"The endpoint \"{endpoint}\" does not answer as Sightline's image does: deploy this version's image to it."
    )


def _parts(sizes: Sequence[int], most: int) -> list[slice]:
    """Cuts a row of `sizes` (bytes) into requests of at most `most` entries; one too large goes by itself."""
    cuts, held = [0], 0
    for index, size in enumerate(sizes):
        if index > cuts[-1] and (index - cuts[-1] == most or held + size > MAX_BODY_BYTES - 1_000):
            cuts.append(index)
            held = 0
        held += size
    return [slice(start, end) for start, end in zip(cuts, [*cuts[1:], len(sizes)], strict=True) if end > start]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    data = BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1)  # lossless at any level; this one is the quickest
    return data.getvalue()
