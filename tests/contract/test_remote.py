"""The page and its encoder behind an endpoint: the real `serve` process under the runtime's REST form."""

import base64
import io
import json
import select
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.encoders.load import load_encoder
from search.encoders.preprocess import to_pixels
from search.encoders.remote import RemoteEncoder
from search.errors import EndpointUnavailable, ModelNotFound
from search.images.open import open_image
from search.images.thumbnail import THUMB_PX
from search.types import Encoder, Preprocess
from tests.processes import ROOT, served, served_ui
from tests.runtime_server import aws_environment, sagemaker_runtime

TEXTS = ["a red boat", "猫が好き 🐈", "Été à la plage", "green " * 100, "a dog & a cat"]


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("endpoint")) as address:
        yield address


@pytest.fixture(scope="module")
def runtime(container: str) -> Iterator[str]:
    with sagemaker_runtime({"pocket-search": container, "gone": "127.0.0.1:9"}) as address:
        yield address


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder("pocket", models_dir=tmp_path_factory.mktemp("m"), bundled=ROOT / "pocket" / "encoder")


@pytest.fixture
def remote(runtime: str, monkeypatch: pytest.MonkeyPatch) -> RemoteEncoder:
    for name, value in aws_environment(runtime).items():
        monkeypatch.setenv(name, value)
    return RemoteEncoder("sagemaker:pocket-search", "pocket-search")


def pictures(size: tuple[int, int], count: int) -> np.ndarray:
    random = np.random.default_rng(3)
    noise, tints = random.integers(0, 256, (count, *size, 3)), random.integers(0, 256, (count, 1, 1, 3))
    return ((noise + 3 * tints) // 4).astype(np.uint8)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("size", [(64, 64), (224, 224), (224, 336), (384, 256)])
def test_preprocessing_leaves_a_picture_of_the_encoders_size_as_it_is(
    mode: str, interpolation: str, size: tuple[int, int]
) -> None:
    spec = Preprocess(size, (0, 0, 0), (1, 1, 1), interpolation, mode)  # type: ignore[arg-type]
    pixels = pictures(size, 1)[0]
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    opened = open_image(data.getvalue(), name="it", short_px=2 * max(size), long_px=THUMB_PX)
    np.testing.assert_array_equal(to_pixels(opened.image, spec), pixels)


def test_it_is_the_same_encoder_as_here(remote: RemoteEncoder, local: Encoder) -> None:
    assert (remote.fingerprint, remote.dim, remote.preprocess) == (local.fingerprint, local.dim, local.preprocess)
    pixels = pictures(local.preprocess.size, 70)
    for there, here in (
        (remote.encode_texts(TEXTS), local.encode_texts(TEXTS)),
        (remote.encode_images(pixels), local.encode_images(pixels)),
    ):
        assert there.dtype == np.float32
        assert float(np.min(np.sum(there * here, axis=1))) >= 0.9999


def test_an_endpoint_that_is_not_there_is_named(remote: RemoteEncoder) -> None:
    with pytest.raises(ModelNotFound, match='There is no endpoint "nothing" in eu-central-1'):
        RemoteEncoder("sagemaker:nothing", "nothing")


def test_an_endpoint_whose_container_is_gone_is_waited_for_and_named(remote: RemoteEncoder) -> None:
    now = [0.0]
    with pytest.raises(EndpointUnavailable, match='"gone" is not ready'):
        RemoteEncoder(
            "sagemaker:gone", "gone", sleep=lambda s: now.__setitem__(0, now[0] + 10 * s), clock=lambda: now[0]
        )


def test_a_collection_of_the_page_is_made_and_searched_through_the_endpoint(runtime: str, tmp_path: Path) -> None:
    boat = (ROOT / "tests" / "images" / "red.png").read_bytes()
    with served_ui(tmp_path, SIGHTLINE_MODEL="sagemaker:pocket-search", **aws_environment(runtime)) as address:
        models = asked(address, "GET", "/api/models")["models"]
        assert (models[0]["name"], models[0]["state"]) == ("sagemaker:pocket-search", "ready")
        asked(address, "POST", "/api/collections", {"name": "mine", "model": "sagemaker:pocket-search"})
        sent(address, "red.png", boat)
        picture = [{"image": base64.b64encode(boat).decode()}]
        found = asked(address, "POST", "/api/search", {"query": picture, "collection": "mine"})
        assert (found["model"], len(found["hits"])) == ("sagemaker:pocket-search", 1)
        assert found["hits"][0]["score"] > 0.999
        words = asked(address, "POST", "/api/search", {"query": "a red boat", "collection": "mine"})
        assert words["fingerprint"] == found["fingerprint"]
        assert len(words["hits"]) == 1


def asked(address: str, method: str, path: str, body: object = None) -> dict:
    with connected(address) as connection:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"content-type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status < 300, told
        return told


def sent(address: str, name: str, data: bytes) -> None:
    """Uploads a picture and waits for its job."""
    boundary = "frontier"
    body = (
        (
            f'--{boundary}\r\ncontent-disposition: form-data; name="files"; filename="{name}"\r\n'
            "content-type: image/png\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    with connected(address) as connection:
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        connection.request("POST", "/api/images?collection=mine", body, headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    assert answer.status == 202, told
    while (job := asked(address, "GET", f"/api/jobs/{told['job']}"))["state"] in ("waiting", "running"):
        select.select([], [], [], 0.05)
    assert job["state"] == "done", job


@contextmanager
def connected(address: str) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(address, timeout=60)
    try:
        yield connection
    finally:
        connection.close()
