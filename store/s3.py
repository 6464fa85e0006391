"""Objects in S3: their addresses, and the few requests that Sightline makes; nothing here knows what an object is for.

The one file of the store that imports boto3. Where S3 is, and who asks, is said by AWS's own variables
(AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID …) or the task's role.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, BinaryIO
from unicodedata import category

from search.errors import (
    SourceError,
    StorageConflict,
    StorageError,
    StorageNotFound,
    StorageRefused,
    StorageUnreachable,
    shown,
)

SCHEME = "s3://"
CONNECTIONS = 32
PUT_BYTES = 5 * 2**30  # S3's limit for an object that is sent in one request
PIECE_BYTES = 64 * 2**20  # of which an object has up to 10,000
_CHUNK_BYTES = 2**20
_RESUMED = 5  # times that a body that broke off is taken up again without a byte of progress
_CONNECT_S, _READ_S = 5, 30
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # docs.aws.amazon.com, "General purpose bucket naming rules"
_ACTIONS = {"ListObjectsV2": "s3:ListBucket", "HeadObject": "s3:GetObject"}  # else s3: and the operation's name


@dataclass(frozen=True, slots=True)
class Address:
    """An object, or all whose keys begin so; the whole bucket where the key is empty."""

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def below(self, name: str) -> "Address":
        """The key as a folder, and a name in it."""
        return Address(self.bucket, f"{self.key.rstrip('/')}/{name}" if self.key else name)


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as S3 lists it. S3's time has whole seconds: the digits below them are made of the ETag, so that two
    objects of one name differ in `mtime_ns` though they were written within one second."""

    key: str
    size_bytes: int
    etag: str
    mtime_ns: int


def is_address(text: str) -> bool:
    return text.startswith(SCHEME)


def parse_address(text: str) -> Address:
    """Raises: SourceError."""
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not is_address(text) or not _BUCKET.fullmatch(bucket):
        raise SourceError(
            f"{text[:200]!r} is no address in S3: it has the form s3://bucket/prefix, and a bucket's name has 3 to 63 "
            "small letters, digits, dots and hyphens."
        )
    if not is_key(key):
        raise SourceError(f'"{shown(text)}" is no address in S3: a key is up to 1,024 bytes of text, without "..".')
    return Address(bucket, key)


def is_key(text: str) -> bool:
    """Whether it is one that Sightline reads: no control characters and no `..`, which S3 allows."""
    if len(text.encode("utf-8", "replace")) > 1024 or any(category(c) in ("Cc", "Cs") for c in text):
        return False
    return not any(part in (".", "..") for part in text.split("/"))  # HTTP clients take them for steps


class S3:
    """Thread-safe, as the client that it is given is."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def list(self, prefix: Address) -> Iterator[Stored]:
        """Every object whose key begins with the prefix's, by key. Raises: StorageError."""
        for page in self._pages(prefix):
            yield from (_stored(told["Key"], told["Size"], told) for told in page.get("Contents", ()))

    def names(self, folder: Address) -> Iterator[str]:
        """What lies directly in it; the names of folders end with a slash. Raises: StorageError."""
        inside = folder.below("")
        for page in self._pages(inside, Delimiter="/"):
            keys = [told["Key"] for told in page.get("Contents", ())]
            keys += [told["Prefix"] for told in page.get("CommonPrefixes", ())]
            yield from (key.removeprefix(inside.key) for key in keys)

    def _pages(self, prefix: Address, **asked: str) -> Iterator[dict[str, Any]]:
        asked |= {"Bucket": prefix.bucket, "Prefix": prefix.key}
        while True:
            with _errors(prefix, "ListObjectsV2"):
                page = self._client.list_objects_v2(**asked)
            yield page
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def find(self, address: Address) -> Stored:
        """Raises: StorageNotFound, StorageError."""
        with _errors(address, "HeadObject"):
            told = self._client.head_object(Bucket=address.bucket, Key=address.key)
        return _stored(address.key, told["ContentLength"], told)

    def read(self, address: Address, *, most_bytes: int) -> tuple[Stored, bytes]:
        """An object as it is now, and up to one byte more than may be. Raises: StorageNotFound, StorageError."""
        stored, chunks = self._opened(address, most_bytes=most_bytes + 1)
        return stored, b"".join(chunks)

    def download(self, address: Address, into: BinaryIO, *, most_bytes: int) -> Stored:
        """Raises: StorageNotFound, StorageError where it is larger or can't be read to its end."""
        stored, chunks = self._opened(address, most_bytes=most_bytes)
        if stored.size_bytes > most_bytes:
            raise StorageError(
                f"{address} has {stored.size_bytes:,} bytes, and {most_bytes:,} are the limit: nothing of it was read."
            )
        for chunk in chunks:
            into.write(chunk)
        return stored

    def put(self, address: Address, data: bytes | BinaryIO, *, new: bool = False, etag: str = "") -> str:
        """Returns the object's ETag. `new`: only where there is none; `etag`: only in place of that one.

        Raises: StorageConflict where that does not hold, StorageError. A request that was sent again because its
        answer was lost conflicts with itself.
        """
        condition = {"IfNoneMatch": "*"} if new else {"IfMatch": etag} if etag else {}
        with _errors(address, "PutObject"):
            told = self._client.put_object(Bucket=address.bucket, Key=address.key, Body=data, **condition)
        return str(told["ETag"])

    def put_in_pieces(self, address: Address, file: BinaryIO, *, piece_bytes: int = PIECE_BYTES) -> None:
        """They become an object all at once, at the end, and only where there is none by then.

        What was sent of one that comes to no end is taken away, unless the process is killed or may not
        (s3:AbortMultipartUpload): that is for a rule of the bucket. Raises: StorageConflict, StorageError.
        """
        upload = {"Bucket": address.bucket, "Key": address.key}
        checked = {"ChecksumAlgorithm": "CRC32"}
        with _errors(address, "PutObject"):
            upload["UploadId"] = self._client.create_multipart_upload(**upload, **checked)["UploadId"]
        try:
            self._send_pieces(address, upload, checked, file, piece_bytes)
        except BaseException:
            with suppress(StorageError), _errors(address, "AbortMultipartUpload"):
                self._client.abort_multipart_upload(**upload)
            raise

    def _send_pieces(
        self, address: Address, upload: dict[str, str], checked: dict[str, str], file: BinaryIO, piece_bytes: int
    ) -> None:
        sent: list[dict[str, Any]] = []
        with _errors(address, "PutObject"):
            while piece := file.read(piece_bytes):
                number = len(sent) + 1
                told = self._client.upload_part(**upload, **checked, PartNumber=number, Body=piece)
                known = {name: told[name] for name in ("ETag", "ChecksumCRC32") if name in told}
                sent.append({"PartNumber": number, **known})
            self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent}, IfNoneMatch="*")

    def _opened(self, address: Address, *, most_bytes: int) -> tuple[Stored, Iterator[bytes]]:
        with _errors(address, "GetObject"):
            told = self._client.get_object(Bucket=address.bucket, Key=address.key)
        stored = _stored(address.key, told["ContentLength"], told)
        return stored, self._chunks(address, stored, told["Body"], most_bytes=min(most_bytes, stored.size_bytes))

    def _chunks(self, address: Address, stored: Stored, body: Any, *, most_bytes: int) -> Iterator[bytes]:
        """A body that breaks off is taken up again where it was, as long as it is of the same object."""
        at, broken = 0, 0
        while at < most_bytes:
            if chunk := _piece(address, body, min(_CHUNK_BYTES, most_bytes - at)):
                at, broken = at + len(chunk), 0
                yield chunk
                continue
            body.close()
            broken += 1
            if broken > _RESUMED:
                raise StorageUnreachable(f"{address} broke off after {at:,} bytes, {_RESUMED + 1} times: try again.")
            with _errors(address, "GetObject"):
                body = self._client.get_object(
                    Bucket=address.bucket, Key=address.key, Range=f"bytes={at}-", IfMatch=stored.etag
                )["Body"]
        if at == stored.size_bytes:
            _piece(address, body, 1)  # botocore compares checksums when it is asked for more than there is
        body.close()


def connect() -> S3:
    """Asks nothing of the network yet. Throttling and broken connections are tried again by botocore itself."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=_CONNECT_S,
        read_timeout=_READ_S,
        max_pool_connections=CONNECTIONS,
    )
    try:
        # ECS sets AWS_REGION, and boto3 reads AWS_DEFAULT_REGION only.
        return S3(boto3.session.Session().client("s3", region_name=os.environ.get("AWS_REGION") or None, config=config))
    except BotoCoreError as error:
        raise StorageRefused(f"AWS can't be used from here: {error}".replace("\n", " ")) from error


def _piece(address: Address, body: Any, size_bytes: int) -> bytes:
    """Nothing where it broke off. Raises: StorageUnreachable where what came is not what was kept."""
    from botocore.exceptions import BotoCoreError, FlexibleChecksumError

    try:
        return bytes(body.read(size_bytes))
    except FlexibleChecksumError as error:
        raise StorageUnreachable(f"{address} arrived damaged: try again.") from error
    except BotoCoreError:
        return b""


def _stored(key: str, size_bytes: int, told: dict[str, Any]) -> Stored:
    written: datetime = told["LastModified"]
    digits = int.from_bytes(sha256(told["ETag"].encode()).digest()[:8], "big") % 10**9
    return Stored(key, size_bytes, told["ETag"], int(written.timestamp()) * 10**9 + digits)


@contextmanager
def _errors(address: Address, operation: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _refusal(address, operation, error.response) from error
    except BotoCoreError as error:
        raise _failure(address, error) from error


def _refusal(address: Address, operation: str, response: dict[str, Any]) -> StorageError:
    """What S3 answered, in a sentence; its codes are in "Error responses" of the Amazon S3 API reference."""
    code = str(response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        return StorageNotFound(f'There is no bucket "{address.bucket}": check the name, and AWS_ENDPOINT_URL if set.')
    if code in ("NoSuchKey", "404", "NoSuchVersion"):
        return StorageNotFound(f"There is no object {address}: check the name.")
    if code in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
        return StorageConflict(f"{address} was changed by another process meanwhile.")
    if code in ("AccessDenied", "403", "AllAccessDisabled"):
        action = _ACTIONS.get(operation, f"s3:{operation}")
        return StorageRefused(
            f"{address} is refused to this process: its AWS role needs {action} there (and s3:ListBucket, without "
            "which what is missing is refused too)."
        )
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"):
        return StorageRefused(f"AWS does not accept this process's credentials for {address} ({code}): renew them.")
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"):
        return StorageRefused(f'The bucket "{address.bucket}" is in another region ({code}): set AWS_REGION to it.')
    if code == "InvalidObjectState":
        return StorageRefused(f"{address} is in an archive class of S3: restore it there first.")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500 or code in ("SlowDown", "Throttling", "RequestLimitExceeded", "TooManyRequestsException"):
        return StorageUnreachable(f"S3 was too busy for {address} ({code or status}), five times: try again later.")
    return StorageRefused(f"S3 refused {operation} of {address} ({code or status}).")


def _failure(address: Address, error: Exception) -> StorageError:
    """Why there was no answer."""
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return StorageRefused(
            f"There are no AWS credentials for {address}: give the task a role, or set AWS_PROFILE, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError):
        return StorageUnreachable(
            f"S3 does not answer for {address} ({type(error).__name__}): is there a way to it from here (a NAT gateway "
            "or an endpoint for S3), and is AWS_ENDPOINT_URL right if set?"
        )
    return StorageRefused(f"{address} can't be asked for: {error}.".replace("\n", " "))
