"""What a job wrote, read one at a time: one that can't be read is that one's trouble."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.errors import SourceError, StorageNotFound, StorageRefused
from store.batch_output import MOST_ITEM_BYTES, read_outputs
from store.s3 import S3, Address
from tests.buckets import BUCKET, Counted, made_bucket


@pytest.fixture
def bucket() -> Iterator[tuple[S3, Counted]]:
    with made_bucket() as made:
        yield made


def test_items_are_named_by_their_inputs_keys_wherever_they_lie(bucket: tuple[S3, Counted], tmp_path: Path) -> None:
    for name in ("b.jpg.out", "a/c d.jpg.out", "a/notes.txt"):
        bucket[0].put(Address(BUCKET, f"job/{name}"), name.encode())
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    bucket[0].put(Address(BUCKET, "job-of-others/x.jpg.out"), b"")
    for where in (str(tmp_path), "s3://photos/job", "s3://photos/job/"):
        found = {key: read() for key, read in read_outputs(where, open_s3=lambda: bucket[0])}
        assert found == {"b.jpg": b"b.jpg.out", "a/c d.jpg": b"a/c d.jpg.out"}


def test_one_byte_too_many_is_read_and_no_more(bucket: tuple[S3, Counted], tmp_path: Path) -> None:
    (tmp_path / "a.out").write_bytes(bytes(MOST_ITEM_BYTES + 10))
    bucket[0].put(Address(BUCKET, "job/a.out"), bytes(MOST_ITEM_BYTES + 10))
    for where in (str(tmp_path), "s3://photos/job"):
        ((_, read),) = read_outputs(where, open_s3=lambda: bucket[0])
        assert len(read()) == MOST_ITEM_BYTES + 1


def test_an_object_that_is_gone_meanwhile_is_that_ones_trouble(bucket: tuple[S3, Counted]) -> None:
    for name in ("a.out", "b.out"):
        bucket[0].put(Address(BUCKET, f"job/{name}"), name.encode())
    (_, first), (_, second) = read_outputs("s3://photos/job", open_s3=lambda: bucket[0])
    bucket[1].delete_object(Bucket=BUCKET, Key="job/a.out")
    with pytest.raises(SourceError, match=r"There is no object s3://photos/job/a\.out") as raised:
        first()
    assert isinstance(raised.value.__cause__, StorageNotFound)
    assert second() == b"b.out"


def test_a_key_that_no_client_can_ask_for_is_that_ones_trouble(bucket: tuple[S3, Counted]) -> None:
    bucket[0].put(Address(BUCKET, "job/a\n.out"), b"")
    ((key, read),) = read_outputs("s3://photos/job", open_s3=lambda: bucket[0])
    assert key == "a\n"
    with pytest.raises(SourceError, match="is no address in S3"):
        read()


def test_a_file_that_is_a_link_by_now_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.out").write_bytes(b"a")
    ((_, read),) = read_outputs(str(tmp_path))
    (tmp_path / "a.out").rename(tmp_path / "elsewhere")
    (tmp_path / "a.out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=r"a\.out can't be read"):
        read()


@pytest.mark.parametrize("where", ["nowhere", "s3://photos/job"])
def test_a_place_without_items_is_refused(bucket: tuple[S3, Counted], where: str) -> None:
    with pytest.raises(SourceError, match=r"has no file that ends in \.out"):
        list(read_outputs(where, open_s3=lambda: bucket[0]))


def test_a_bucket_that_may_not_be_listed_is_refused(bucket: tuple[S3, Counted]) -> None:
    with pytest.raises((StorageNotFound, StorageRefused)):
        list(read_outputs("s3://no-such-bucket/job", open_s3=lambda: bucket[0]))
