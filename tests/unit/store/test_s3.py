"""What is asked of S3, to the letter, and what its answers and silences become."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from search.errors import (
    SourceError,
    StorageConflict,
    StorageError,
    StorageNotFound,
    StorageRefused,
    StorageUnreachable,
)
from store.s3 import S3, Address, connect, parse_address

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ADDRESS = Address("photos", "a/boat.jpg")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    return boto3.client("s3", region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key="secret")


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A real enough S3 with the empty bucket `photos`."""
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with mock_aws():
        made = boto3.client("s3", region_name="us-east-1")
        made.create_bucket(Bucket="photos")
        yield S3(made)


class Body(io.BytesIO):
    """A body that breaks off after some bytes."""

    def __init__(self, data: bytes, *, breaks: bool = False) -> None:
        super().__init__(data)
        self._breaks = breaks

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data and self._breaks:
            raise ReadTimeoutError(endpoint_url="https://s3")
        return data


def answer(data: bytes, *, size_bytes: int | None = None, breaks: bool = False) -> dict[str, Any]:
    body: Any = Body(data, breaks=True) if breaks else StreamingBody(io.BytesIO(data), len(data))
    length = len(data) if size_bytes is None else size_bytes
    return {"Body": body, "ContentLength": length, "ETag": '"e1"', "LastModified": AT}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://photos", Address("photos", "")),
        ("s3://photos/", Address("photos", "")),
        ("s3://photos/a b/ü?#%.jpg", Address("photos", "a b/ü?#%.jpg")),
        ("s3://photos//a", Address("photos", "/a")),
    ],
)
def test_an_address_is_a_bucket_and_a_key_as_it_stands(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "photos", "https://photos/a", "s3:/photos", "s3://", "s3://P/a", "s3://a.b_c/x", "s3://photos/a\nb"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="no address in S3"):
        parse_address(text)


def test_a_name_goes_below_a_key_as_into_a_folder() -> None:
    assert str(Address("photos", "a/").below("b")) == str(Address("photos", "a").below("b")) == "s3://photos/a/b"
    assert str(Address("photos").below("b")) == "s3://photos/b"


def test_a_listing_is_asked_for_page_by_page(client: Any, stub: Stubber) -> None:
    one = {"Key": "a/1.jpg", "Size": 3, "ETag": '"e1"', "LastModified": AT}
    two = {"Key": "a/2.jpg", "Size": 4, "ETag": '"e2"', "LastModified": AT}
    stub.add_response(
        "list_objects_v2",
        {"Contents": [one], "IsTruncated": True, "NextContinuationToken": "more"},
        {"Bucket": "photos", "Prefix": "a/"},
    )
    stub.add_response(
        "list_objects_v2",
        {"Contents": [two], "IsTruncated": False},
        {"Bucket": "photos", "Prefix": "a/", "ContinuationToken": "more"},
    )
    first, second = S3(client).list(Address("photos", "a/"))
    assert (first.key, first.size_bytes, first.etag) == ("a/1.jpg", 3, '"e1"')
    assert (second.key, second.size_bytes, second.etag) == ("a/2.jpg", 4, '"e2"')
    assert first.mtime_ns // 10**9 == second.mtime_ns // 10**9 == int(AT.timestamp())
    assert first.mtime_ns != second.mtime_ns


def test_a_read_takes_one_byte_more_than_may_be_and_no_further(client: Any, stub: Stubber) -> None:
    stub.add_response("get_object", answer(b"abcdef"), {"Bucket": "photos", "Key": "a/boat.jpg"})
    stored, data = S3(client).read(ADDRESS, most_bytes=3)
    assert (data, stored.size_bytes) == (b"abcd", 6)


def test_a_body_that_breaks_off_is_taken_up_where_it_was(client: Any, stub: Stubber) -> None:
    stub.add_response(
        "get_object", answer(b"abc", size_bytes=8, breaks=True), {"Bucket": "photos", "Key": "a/boat.jpg"}
    )
    rest = {"Bucket": "photos", "Key": "a/boat.jpg", "Range": "bytes=3-", "IfMatch": '"e1"'}
    stub.add_response("get_object", answer(b"defgh"), rest)
    assert S3(client).read(ADDRESS, most_bytes=100)[1] == b"abcdefgh"


def test_an_object_that_was_replaced_meanwhile_is_not_patched_together(client: Any, stub: Stubber) -> None:
    stub.add_response("get_object", answer(b"abc", size_bytes=8, breaks=True))
    stub.add_client_error("get_object", "PreconditionFailed", http_status_code=412)
    with pytest.raises(StorageConflict, match="was changed by another process"):
        S3(client).read(ADDRESS, most_bytes=100)


def test_a_body_that_never_goes_on_is_given_up(client: Any, stub: Stubber) -> None:
    stub.add_response("get_object", answer(b"abc", size_bytes=8, breaks=True))
    for _ in range(5):
        stub.add_response("get_object", answer(b"", breaks=True))
    with pytest.raises(StorageUnreachable, match="broke off after 3 bytes, 6 times"):
        S3(client).read(ADDRESS, most_bytes=100)


def test_a_download_of_more_than_may_be_writes_nothing(client: Any, stub: Stubber) -> None:
    stub.add_response("get_object", answer(b"abcdef"))
    into = io.BytesIO()
    with pytest.raises(StorageError, match="has 6 bytes, and 5 are the limit"):
        S3(client).download(ADDRESS, into, most_bytes=5)
    assert into.getvalue() == b""


@pytest.mark.parametrize(
    ("condition", "asked"),
    [({}, {}), ({"new": True}, {"IfNoneMatch": "*"}), ({"etag": '"e1"'}, {"IfMatch": '"e1"'})],
)
def test_a_put_carries_its_condition(client: Any, stub: Stubber, condition: Any, asked: dict[str, str]) -> None:
    stub.add_response(
        "put_object", {"ETag": '"e2"'}, {"Bucket": "photos", "Key": "a/boat.jpg", "Body": b"data", **asked}
    )
    assert S3(client).put(ADDRESS, b"data", **condition) == '"e2"'


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        ("NoSuchBucket", 404, StorageNotFound, 'There is no bucket "photos"'),
        ("NoSuchKey", 404, StorageNotFound, "There is no object s3://photos/a/boat.jpg"),
        ("AccessDenied", 403, StorageRefused, "its AWS role needs s3:GetObject there"),
        ("ExpiredToken", 400, StorageRefused, "renew them"),
        ("PermanentRedirect", 301, StorageRefused, "set AWS_REGION"),
        ("InvalidObjectState", 403, StorageRefused, "restore it there first"),
        ("SlowDown", 503, StorageUnreachable, "too busy"),
        ("InternalError", 500, StorageUnreachable, "too busy"),
        ("Surprise", 400, StorageRefused, r"refused GetObject of s3://photos/a/boat.jpg \(Surprise\)"),
    ],
)
def test_each_refusal_of_s3_says_what_to_do(
    client: Any, stub: Stubber, code: str, status: int, kind: type[StorageError], said: str
) -> None:
    stub.add_client_error("get_object", code, http_status_code=status)
    with pytest.raises(kind, match=said):
        S3(client).read(ADDRESS, most_bytes=10)


class Silent:
    """A client whose every request ends so."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def head_object(self, **asked: str) -> dict[str, Any]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (NoCredentialsError(), StorageRefused, "There are no AWS credentials for s3://photos/a/boat.jpg"),
        (EndpointConnectionError(endpoint_url="https://s3"), StorageUnreachable, "is there a way to it from here"),
        (ReadTimeoutError(endpoint_url="https://s3"), StorageUnreachable, "does not answer"),
    ],
)
def test_where_there_is_no_answer_it_says_why(error: Exception, kind: type[StorageError], said: str) -> None:
    with pytest.raises(kind, match=said):
        S3(Silent(error)).find(ADDRESS)


def test_a_profile_that_is_none_is_said_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageRefused, match="AWS can't be used from here"):
        connect()


def test_what_was_put_is_listed_found_and_read(bucket: S3) -> None:
    etag = bucket.put(Address("photos", "a/ü 1.jpg"), b"one")
    bucket.put(Address("photos", "b/2.jpg"), io.BytesIO(b"two"))
    assert [stored.key for stored in bucket.list(Address("photos", "a/"))] == ["a/ü 1.jpg"]
    assert [stored.key for stored in bucket.list(Address("photos"))] == ["a/ü 1.jpg", "b/2.jpg"]
    found = bucket.find(Address("photos", "a/ü 1.jpg"))
    assert (found.size_bytes, found.etag) == (3, etag)
    assert bucket.read(Address("photos", "a/ü 1.jpg"), most_bytes=10) == (found, b"one")
    into = io.BytesIO()
    bucket.download(Address("photos", "b/2.jpg"), into, most_bytes=3)
    assert into.getvalue() == b"two"


def test_only_one_of_two_writers_makes_an_object_new(bucket: S3) -> None:
    etag = bucket.put(ADDRESS, b"first", new=True)
    with pytest.raises(StorageConflict):
        bucket.put(ADDRESS, b"second", new=True)
    bucket.put(ADDRESS, b"third", etag=etag)
    with pytest.raises(StorageConflict):
        bucket.put(ADDRESS, b"fourth", etag=etag)
    assert bucket.read(ADDRESS, most_bytes=10)[1] == b"third"


def test_what_is_missing_is_said(bucket: S3) -> None:
    with pytest.raises(StorageNotFound, match="There is no object"):
        bucket.find(ADDRESS)
    with pytest.raises(StorageNotFound, match='no bucket "nowhere"'):
        list(bucket.list(Address("nowhere")))


PIECE_BYTES = 5 * 2**20  # the least that S3 takes but of the last one
LARGE = b"a" * PIECE_BYTES + b"b" * 1_000


def test_a_large_object_is_sent_in_pieces_and_is_there_as_a_whole(bucket: S3) -> None:
    bucket.put_in_pieces(ADDRESS, io.BytesIO(LARGE), piece_bytes=PIECE_BYTES)
    assert bucket.read(ADDRESS, most_bytes=2 * len(LARGE))[1] == LARGE
    assert unfinished(bucket) == []


def test_pieces_take_no_other_object_s_place_and_are_taken_away(bucket: S3) -> None:
    bucket.put(ADDRESS, b"first")
    with pytest.raises(StorageConflict):
        bucket.put_in_pieces(ADDRESS, io.BytesIO(LARGE), piece_bytes=PIECE_BYTES)
    assert bucket.read(ADDRESS, most_bytes=10)[1] == b"first"
    assert unfinished(bucket) == []


def test_pieces_that_break_off_are_taken_away(bucket: S3) -> None:
    class BreaksOff(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise ReadTimeoutError(endpoint_url="https://s3")
            return super().read(size)

    with pytest.raises(StorageUnreachable):
        bucket.put_in_pieces(ADDRESS, BreaksOff(LARGE), piece_bytes=PIECE_BYTES)
    assert unfinished(bucket) == []
    with pytest.raises(StorageNotFound):
        bucket.find(ADDRESS)


def test_the_end_of_pieces_has_the_condition_and_their_checksums(client: Any, stub: Stubber) -> None:
    at = {"Bucket": "photos", "Key": "a/boat.jpg"}
    upload = {**at, "UploadId": "u1"}
    stub.add_response("create_multipart_upload", {"UploadId": "u1"}, {**at, "ChecksumAlgorithm": "CRC32"})
    parts = []
    for number, body in ((1, b"abc"), (2, b"d")):
        told = {"ETag": f'"e{number}"', "ChecksumCRC32": f"c{number}"}
        stub.add_response(
            "upload_part", told, {**upload, "PartNumber": number, "Body": body, "ChecksumAlgorithm": "CRC32"}
        )
        parts.append({"PartNumber": number, **told})
    ended = {**upload, "MultipartUpload": {"Parts": parts}, "IfNoneMatch": "*"}
    stub.add_response("complete_multipart_upload", {"ETag": '"e"'}, ended)
    S3(client).put_in_pieces(ADDRESS, io.BytesIO(b"abcd"), piece_bytes=3)


def unfinished(bucket: S3) -> list[str]:
    found = bucket._client.list_multipart_uploads(Bucket="photos").get("Uploads", ())
    return [upload["Key"] for upload in found]
