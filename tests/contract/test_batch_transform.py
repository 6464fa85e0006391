"""A bucket's pictures, sent to `serve` as a Batch Transform job sends them and joined, are what one index makes."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.batch import Batch, request
from deploy.sagemaker_requests import Wanted
from deploy.sections import Sagemaker
from search.types import Record
from tests.contract.test_parts import drawn, kept
from tests.processes import run, served

COUNT = 1_000
JOB = request(
    Wanted("sightline", "image", "", "arn:aws:iam::123456789012:role/a-role", Sagemaker()),
    Batch("s3://bucket/in", "s3://bucket/out", "ml.c7i.large"),
    "a-job",
)
HEADERS = {"content-type": JOB["TransformInput"]["ContentType"], "accept": JOB["TransformOutput"]["Accept"]}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("bucket") / "in", COUNT)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("serve"), SAGEMAKER_BATCH="true") as host:
        yield host


def asked(host: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    within_s = JOB["ModelClientConfig"]["InvocationsTimeoutInSeconds"]
    with closing(HTTPConnection(host, timeout=within_s)) as connection:
        connection.request(method, path, body, HEADERS if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_job_asks_no_more_of_the_container_than_it_offers(host: str) -> None:
    status, body = asked(host, "GET", "/execution-parameters")
    offered = json.loads(body)
    assert status == 200
    assert JOB["MaxPayloadInMB"] == offered["MaxPayloadInMB"]
    assert JOB["MaxConcurrentTransforms"] <= offered["MaxConcurrentTransforms"]
    assert (JOB["BatchStrategy"], offered["BatchStrategy"]) == ("SingleRecord", "SINGLE_RECORD")
    assert JOB["TransformInput"]["SplitType"] == JOB["TransformOutput"]["AssembleWith"] == "None"


def test_a_thousand_pictures_come_in_as_one_index_makes_them(host: str, images: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "out"

    def transform(path: Path) -> int:
        data = path.read_bytes()
        assert len(data) <= JOB["MaxPayloadInMB"] * 2**20
        status, item = asked(host, "POST", "/invocations", data)
        out = outputs / f"{path.relative_to(images)}.out"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(item)
        return status

    with ThreadPoolExecutor(JOB["MaxConcurrentTransforms"]) as clients:
        statuses = list(clients.map(transform, sorted(images.rglob("*.png"))))
    assert statuses == [200] * COUNT
    run("import", str(outputs), "-c", "photos", "--source", "s3://bucket/in", data_dir=tmp_path / "joined")
    run("index", str(images), "-c", "photos", data_dir=tmp_path / "whole")
    joined, rows = kept(tmp_path / "joined", "photos")
    whole, whole_rows = kept(tmp_path / "whole", "photos")
    assert joined == {f"s3://bucket/{uri}": in_the_bucket(record) for uri, record in whole.items()}
    for uri, row in whole_rows.items():
        other = rows[f"s3://bucket/{uri}"]
        assert float(np.frombuffer(row, np.float32) @ np.frombuffer(other, np.float32)) >= 0.9999


def in_the_bucket(record: Any) -> Record:
    """As the same image is kept there, but for its file's time, which no item says."""
    metadata = {**record.metadata, "folder": f"in/{record.metadata['folder']}"}
    return replace(record, uri=f"s3://bucket/{record.uri}", mtime_ns=None, metadata=metadata)
