"""Where parts lie: a folder or prefix stands for those directly below it."""

from pathlib import Path

import pytest

from search.errors import SourceError
from store.parts import find_parts
from store.s3 import Address
from tests.buckets import BUCKET, made_bucket

FILES = (
    "parts/part-0002-of-0002/manifest.json",
    "parts/part-0002-of-0002/collection/thumbs/00/0.webp",
    "parts/part-0001-of-0002.tar.gz",
    "parts/.part-0003-of-0003/manifest.json",
    "parts/notes.txt",
    "parts/logs/manifest.json",
    "parts-of-others/part-0001-of-0001/manifest.json",
)


def test_a_folder_of_parts_stands_for_them(tmp_path: Path) -> None:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    below = [str(tmp_path / "parts" / name) for name in ("part-0001-of-0002.tar.gz", "part-0002-of-0002")]
    for where in (f"{tmp_path}/parts", f"{tmp_path}/parts/"):
        assert find_parts(where) == below
    for where in below:
        assert find_parts(where) == [where]
    with pytest.raises(SourceError, match=r"^There is nothing of that name: name parts or a folder of them\.$"):
        find_parts(str(tmp_path / "nothing"))
    for where in (
        tmp_path / "parts" / "notes.txt",
        tmp_path / "parts" / below[1] / "collection" / "thumbs" / "00",
    ):
        with pytest.raises(SourceError, match="There is no part: name parts or a folder of them"):
            find_parts(str(where))


def test_a_prefix_of_parts_stands_for_them_and_is_listed_without_what_is_in_them() -> None:
    with made_bucket() as (s3, client):
        for name in FILES:
            s3.put(Address(BUCKET, name), b"")
        for number in range(1_100):
            s3.put(Address(BUCKET, f"many/part-{number:04}-of-1100/manifest.json"), b"")
        below = [f"s3://photos/parts/{name}" for name in ("part-0001-of-0002.tar.gz", "part-0002-of-0002")]
        client.asked.clear()
        for where in ("s3://photos/parts", "s3://photos/parts/"):
            assert find_parts(where, open_s3=lambda: s3) == below
        assert client.asked == [("list_objects_v2", "parts/")] * 2
        for where in below:
            assert find_parts(where, open_s3=lambda: s3) == [where]
        with pytest.raises(SourceError, match="There is no part"):
            find_parts("s3://photos/nothing", open_s3=lambda: s3)
        assert len(find_parts("s3://photos/many", open_s3=lambda: s3)) == 1_100
