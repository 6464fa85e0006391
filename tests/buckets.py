"""S3 for tests, moto's: in this process, with what is asked of it counted; and as a server that processes ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws
from moto.server import ThreadedMotoServer

from store.s3 import S3

BUCKET = "photos"


class Counted:
    """A client that notes each request: operation and key, or prefix."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.asked: list[tuple[str, str]] = []

    def __getattr__(self, operation: str) -> Any:
        def ask(**given: Any) -> Any:
            self.asked.append((operation, given.get("Key", given.get("Prefix", ""))))
            return getattr(self._client, operation)(**given)

        return ask


@contextmanager
def made_bucket() -> Iterator[tuple[S3, Counted]]:
    """An empty bucket `photos`; no credentials are needed, none are looked for."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        counted = Counted(client)
        yield S3(counted), counted


@contextmanager
def bucket_server() -> Iterator[tuple[Any, dict[str, str]]]:
    """A client, and what makes boto3 in other processes ask the same server; it has an empty bucket `photos`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nowhere",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="none",
    )
    try:
        client.create_bucket(Bucket=BUCKET)
        yield client, environment
    finally:
        client.close()
        server.stop()
