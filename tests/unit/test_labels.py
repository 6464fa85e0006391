"""Labels files are hostile: what can be asked is asked, what can't is named with its line and its reason."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from search.errors import SourceError
from search.labels import MOST_BYTES, LabelledQuery, Labels, Remark, match, read_labels
from search.types import Collection
from store.library import LocalLibrary
from tests.stored import DIM, item


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    library = LocalLibrary(tmp_path)
    made = library.create("mine", model="fake", fingerprint="fake-1", dim=DIM)
    made.set_source("photos", tmp_path)
    made.set_source("scans", tmp_path)
    made.set_source("uploads", None)
    vector = np.eye(DIM)[0]
    made.put(
        [
            item(1, vector, id="first", uri="photos/a.jpg"),
            item(2, vector, id="second", uri="photos/2020/my boat.jpg"),
            item(3, vector, id="third", uri="uploads/ff/00", name="dropped.png", folder="holiday/2020"),
            item(4, vector, id="fourth", uri="photos/both.jpg"),
            item(5, vector, id="fifth", uri="scans/both.jpg"),
        ]
    )
    yield made
    library.close()


def read(text: str, *, with_images: bool = False) -> Labels:
    return read_labels(text.encode(), name="own.csv", with_images=with_images)


def matched(collection: Collection, *cells: str) -> tuple[list[list[str]], list[Remark]]:
    """The ids of each query that is left, and the remarks."""
    table = "query,relevant\n" + "".join(f'x,"{cell}"\n' for cell in cells)
    queries, remarks = match(read(table).rows, collection)
    return [sorted(query.relevant) for query in queries], remarks


def test_every_other_column_splits_the_queries() -> None:
    labels = read("kind,query,hard,relevant\nobject,a red boat,yes,a b\n")
    assert labels.columns == ("kind", "hard")
    (row,) = labels.rows
    assert (row.line, row.text, row.relevant, row.values) == (2, "a red boat", "a b", ("object", "yes"))


@pytest.mark.parametrize(
    "text",
    ["query;relevant\nred, or blue;a", "\n\r\nquery;relevant\nred, or blue;a", "Query\tRELEVANT\nred, or blue\ta"],
)
def test_cells_may_be_separated_by_semicolons_or_tabs(text: str) -> None:
    assert [(row.text, row.relevant) for row in read(text).rows] == [("red, or blue", "a")]


def test_the_mark_that_spreadsheets_write_first_is_no_part_of_a_column() -> None:
    assert read("\ufeffquery,relevant\nred,a\n").rows[0].text == "red"


def test_a_bad_line_is_named_with_its_number_and_its_reason() -> None:
    text = 'query,relevant\n\n"two\nlines",a\nred\nblue, green,b\n,c\n' + "x" * 2_001 + ",d\ngood,e\n"
    labels = read(text)
    assert [(row.line, row.text) for row in labels.rows] == [(3, "two\nlines"), (9, "good")]
    assert [(remark.line, remark.reason[:34]) for remark in labels.remarks] == [
        (5, "It has 1 cells and the head has 2:"),
        (6, "It has 3 cells and the head has 2:"),
        (7, "Nothing to search for: type words,"),
        (8, "The query has 2,001 characters; at"),
    ]


def test_a_cell_beyond_csvs_limit_costs_its_line_only() -> None:
    labels = read("query,relevant\n" + "x" * 200_000 + ",a\nred,b\n")
    assert [row.text for row in labels.rows] == ["red"]
    assert labels.remarks == (Remark(2, "It is no line of a CSV file: field larger than field limit (131072)."),)


def test_a_quote_that_is_left_open_is_named_for_what_it_swallowed() -> None:
    labels = read('query,relevant\nred,a\n"blue,b\ngreen,c\n')
    assert [row.text for row in labels.rows] == ["red"]
    assert labels.remarks == (Remark(3, "It goes on over several lines: close the quote that is opened in it."),)


def test_a_picture_whose_name_no_file_can_have_costs_its_line_only() -> None:
    labels = read('query,image,relevant\nat night,"a\0b.jpg",a\nred,,b\n', with_images=True)
    assert [row.text for row in labels.rows] == ["red"]
    assert labels.remarks == (Remark(2, "Its picture's name holds a character that no file has in its name."),)


def test_a_picture_asks_only_where_pictures_may() -> None:
    text = "query,image,relevant\nat night,boat.jpg,a\n,sea.jpg,b\n"
    assert [(row.text, row.image) for row in read(text, with_images=True).rows] == [
        ("at night", "boat.jpg"),
        ("", "sea.jpg"),
    ]
    refused = read(text)
    assert refused.rows == ()
    assert {remark.reason for remark in refused.remarks} == {
        "It asks with a picture, and pictures ask only in the shell."
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "own.csv needs the columns query and relevant"),
        (b"query,kind\nred,x\n", "own.csv needs the columns query and relevant"),
        (b"query,relevant,kind,kind\n", "own.csv has two columns 'kind': rename one."),
        (
            b"query,relevant," + b",".join(b"c%d" % n for n in range(13)),
            "has 13 columns to split queries by; at most 12",
        ),
        (b"query,relevant\n\xff\xfe,a\n", "own.csv can't be read: save it as CSV in UTF-8."),
        (b"x" * (MOST_BYTES + 1), "own.csv is larger than 8 MB, the most that is read"),
        (b"query,relevant\n" + b"a,b\n" * 20_001, "own.csv has more than 20,000 queries"),
    ],
    ids=["empty", "columns", "twice", "many columns", "encoding", "bytes", "queries"],
)
def test_a_file_that_is_no_such_table_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(SourceError) as refused:
        read_labels(data, name="/home/me/own.csv")
    assert said in str(refused.value)


def test_an_image_is_named_by_id_uri_path_or_the_name_it_was_uploaded_by(collection: Collection) -> None:
    cells = ("first", "photos/a.jpg", "a.jpg", "dropped.png", "holiday/2020/dropped.png", "first second third")
    assert matched(collection, *cells) == (
        [["first"], ["first"], ["first"], ["third"], ["third"], ["first", "second", "third"]],
        [],
    )


def test_a_name_with_spaces_stands_alone_or_between_bars(collection: Collection) -> None:
    assert matched(collection, "2020/my boat.jpg", "2020/my boat.jpg | a.jpg") == (
        [["second"], ["first", "second"]],
        [],
    )


def test_an_empty_cell_says_that_nothing_answers(collection: Collection) -> None:
    row = read("query,relevant\nzeppelin,\n").rows[0]
    assert match([row], collection) == ([LabelledQuery(row, frozenset())], [])


def test_what_names_no_image_is_remarked_on_and_never_makes_a_query_unanswerable(collection: Collection) -> None:
    assert matched(collection, "gone.jpg", "a.jpg gone.jpg lost.jpg", "both.jpg", "|") == (
        [["first"]],
        [
            Remark(2, '"gone.jpg" is no image of the collection.'),
            Remark(
                3, '"gone.jpg" is no image of the collection (and 1 more like it); it was asked for the other 1.', False
            ),
            Remark(4, '"both.jpg" names 2 images of the collection: write the uri.'),
            Remark(5, '"|" is no image of the collection.'),
        ],
    )
