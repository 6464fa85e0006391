"""S3 for tests: moto's, in this process, with what is asked of it counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto import mock_aws

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
