import csv
import io
import zipfile
from typing import BinaryIO

import pytest

from search.errors import BadQuery, SourceError
from search.types import Record
from ui.downloads import MAX_ZIP_BYTES, MAX_ZIP_FILES, Row, check_zip, csv_text, safe_name, unique_names, zip_chunks


def record(id: str, uri: str = "photos/a.jpg", *, size_bytes: int = 3, **rest: object) -> Record:
    return Record(id=id, uri=uri, content_hash="0" * 64, size_bytes=size_bytes, width=8, height=8, **rest)  # type: ignore[arg-type]


class Originals:
    """As much of a Collection as a download needs: originals by id."""

    def __init__(self, originals: dict[str, bytes]) -> None:
        self._originals = originals

    def original(self, id: str) -> BinaryIO:
        if id not in self._originals:
            raise SourceError("The original is gone.")
        return io.BytesIO(self._originals[id])


def test_csv_has_a_column_for_each_field_of_any_row() -> None:
    rows = [
        Row(record("a", metadata={"year": 2020}), rank=1, score=0.25),
        Row(record("b", "photos/b.jpg", caption="two, boats", metadata={"author": "Ann"})),
    ]
    assert csv_text(rows) == (
        "rank,score,id,uri,caption,author,year\r\n"
        "1,0.250000,a,photos/a.jpg,,,2020\r\n"
        ',,b,photos/b.jpg,"two, boats",Ann,\r\n'
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\n", "＝"])
def test_no_cell_is_a_formula(start: str) -> None:
    formula = f"{start}HYPERLINK(0)"
    rows = [Row(record("a", formula, caption=formula, metadata={formula: formula}))]
    header, row = csv.reader(io.StringIO(csv_text(rows), newline=""))
    assert header[5] == f"'{formula}"
    assert row[3:] == [f"'{formula}"] * 3


def test_no_cell_has_control_characters_but_tab_and_newline() -> None:
    hostile = "a\x1b[31m\x00\x7f\x9b\rb\tc\nd\r\ne"
    rows = [Row(record("a", hostile, caption=hostile, metadata={hostile: hostile}))]
    header, row = csv.reader(io.StringIO(csv_text(rows), newline=""))
    clean = "a\ufffd[31m\ufffd\ufffd\ufffd\ufffdb\tc\nd\ne"
    assert [header[5], *row[3:]] == [clean] * 4


def test_negative_numbers_stay_numbers() -> None:
    rows = [Row(record("a", metadata={"depth_m": -4.5}), rank=1, score=-0.125)]
    assert csv_text(rows).splitlines()[1] == "1,-0.125000,a,photos/a.jpg,,-4.5"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("photos/boat.jpg", "boat.jpg"),
        ("photos/..", "image"),
        ("photos/..\\..\\evil.jpg", "_.._evil.jpg"),
        ("photos/a\x00b\n.jpg", "a_b_.jpg"),
        ("photos/con.jpg", "_con.jpg"),
        ("photos/\u202egpj.exe", "_gpj.exe"),
        ("photos/.hidden", "hidden"),
        ("photos/C:evil.jpg", "C_evil.jpg"),
        ("photos/trailing. ", "trailing"),
        ("photos/" + "é" * 200 + ".jpeg", "é" * 72 + ".jpeg"),
        ("photos/lone\udc80.png", "lone_.png"),
        ("", "image"),
    ],
)
def test_hostile_names_are_made_safe(uri: str, name: str) -> None:
    assert safe_name(uri) == name


def test_names_are_unique_whatever_their_case() -> None:
    uris = ["a/x.jpg", "b/X.jpg", "c/x.jpg", "d/x (2).jpg", "e/left-out.txt"]
    assert unique_names(uris) == ["x.jpg", "X (2).jpg", "x (3).jpg", "x (2) (2).jpg", "left-out (2).txt"]


def test_the_archive_holds_the_originals_and_says_what_it_leaves_out() -> None:
    originals = Originals({"a": b"one", "c": b"three"})
    records = [record("a"), record("b", "photos/b.jpg"), record("c", "more/a.jpg")]
    data = b"".join(zip_chunks(originals, records))  # type: ignore[arg-type]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.jpg": b"one",
            "a (2).jpg": b"three",
            "left-out.txt": b"b.jpg: The original is gone.\n",
        }


def test_the_archive_is_made_while_it_is_sent() -> None:
    chunks = zip_chunks(Originals({"a": bytes(10 * 2**20)}), [record("a")])  # type: ignore[arg-type]
    assert max(len(chunk) for chunk in chunks) < 2**20


def test_too_many_files_are_refused_with_the_limits() -> None:
    with pytest.raises(BadQuery, match=r"501 originals of 0.0 MB .* at most 500 files and 2.0 GB"):
        check_zip([record(str(n)) for n in range(MAX_ZIP_FILES + 1)])


def test_too_many_bytes_are_refused_with_the_limits() -> None:
    with pytest.raises(BadQuery, match=r"2 originals of 2.0 GB"):
        check_zip([record("a", size_bytes=MAX_ZIP_BYTES), record("b", size_bytes=1)])


def test_an_empty_selection_is_refused() -> None:
    with pytest.raises(BadQuery, match="No images are selected"):
        check_zip([])
