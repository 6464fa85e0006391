import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from search.workspace import Workspace
from settings import Settings
from store.lock import read_holder
from tests.contract.served import open_workspace, picture
from ui.commands import Bundled, build

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command on a data folder that holds the collection `colours`."""
    open_workspace(tmp_path).close()

    def join(settings: Settings, *, write: bool) -> Workspace:
        return open_workspace(settings.data_dir, write=write)

    queries = tmp_path / "queries.csv"
    queries.write_text("query,kind,relevant\nred,colour,red\nblue,colour,blue\n")
    bundled = Bundled("colours", queries, card=lambda encoder: f"the card of {encoder.name}")
    app = build(Settings(data_dir=tmp_path, model="fake"), join, holder=lambda: read_holder(tmp_path), bundled=bundled)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_search_prints_rank_score_and_uri(run: Run) -> None:
    lines = run("search", "red", "--top-k", "2").stdout.splitlines()
    assert [(line[:15], line[-13:]) for line in lines] == [
        ("   1  +1.000  u", "g  =plain red"),
        ("   2  +0.707  u", "=plain yellow"),
    ]


def test_search_subtracts_and_takes_pictures(run: Run, tmp_path: Path) -> None:
    (tmp_path / "blue.png").write_bytes(picture("blue"))
    answer = run("search", "--image", str(tmp_path / "blue.png"), "--minus", "red", "--top-k", "1", "--json")
    (hit,) = json.loads(answer.stdout)["hits"]
    assert (hit["id"], hit["rank"], hit["caption"]) == ("blue", 1, "=plain blue")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search"], 'Nothing to search for: give words, such as "a red boat", or a picture with --image.\n'),
        (["search", " "], "Nothing to search for: type words, or add a picture.\n"),
        (["search", "--image", "nowhere.png"], "nowhere.png can't be read: No such file or directory.\n"),
        (["search", "--image", "/dev/zero"], "/dev/zero can't be read: it is not a file.\n"),
        (["search", "--image", "/"], "/ can't be read: it is not a file.\n"),
        (["search", "red", "-c", "x"], "There is no collection 'x'; `collections` lists those there are.\n"),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_exit_code_1(run: Run, arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", sentence)


@pytest.mark.parametrize(
    ("arguments", "best"),
    [
        (["plain", "blue"], {"blue", "green"}),
        (["yellow", "-green"], {"red", "yellow"}),
        (["-green", "yellow"], {"red", "yellow"}),
        (["-red"], {"blue", "green"}),
        (["-carmine red"], {"red", "yellow"}),  # "-c" it is not
        (["yellow", "--minus", "green", "--collection", "colours"], {"red", "yellow"}),
    ],
)
def test_search_takes_several_words_and_subtracts_those_with_a_minus(
    run: Run, arguments: list[str], best: set[str]
) -> None:
    answer = run("search", "--top-k", "2", "--json", *arguments)
    assert {hit["id"] for hit in json.loads(answer.stdout)["hits"]} == best


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("-ccolours", 'Without "ccolours": for the option -c leave a space, as in -c colours.\n'),
        ("-green", ""),
    ],
)
def test_a_word_that_looks_like_an_option_is_told_to_be_subtracted(run: Run, word: str, said: str) -> None:
    result = run("search", "yellow", word)
    assert (result.exit_code, result.stderr) == (0, said)


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "red", "--top-k", "0"],
        ["search", "red", "--top-k", "-5"],
        ["find"],
        ["search", "red", "--tpo-k", "5"],
        ["search", "red", "--topk", "5"],
        ["search", "red", "--people"],
        ["search", "red", "-k", "5"],
        ["index", "/nowhere"],
        ["index", ""],  # not the folder that one is in
    ],
)
def test_a_wrong_option_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_of_a_picture_no_more_is_read_than_may_be_used(run: Run, tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(2**40)  # more than the memory there is
    result = run("search", "--image", str(huge))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the limit is 1 MB" in result.stderr


def test_collections_are_listed_made_and_deleted(run: Run) -> None:
    assert run("collections").stdout == "colours  4 images, fake  Four colours\n"
    assert run("collections", "create", "holidays").stdout == 'Made "holidays" for the model fake.\n'
    assert run("collections", "delete", "holidays", "--yes").stdout == 'Deleted "holidays".\n'
    assert run("collections").stdout == "colours  4 images, fake  Four colours\n"


def test_a_collection_is_not_deleted_without_being_asked_about(run: Run) -> None:
    assert run("collections", "delete", "colours").exit_code == 1
    assert run("collections").stdout.startswith("colours")


def test_index_adds_what_can_be_used_and_says_what_can_not(run: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "sea.png").write_bytes(picture("blue"))
    (photos / "torn\x1b[31m.png").write_bytes(b"not an image")
    result = run("index", str(photos), "--collection", "holidays")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        '"holidays": 1 added or changed, 1 unusable.',
        'Find them: python app.py search "a red boat" --collection "holidays"',
    ]
    made, unusable = result.stderr.splitlines()
    assert made == 'Made the collection "holidays" for the model fake.'
    assert unusable.startswith("  photos/torn\ufffd[31m.png: ")
    assert run("search", "blue", "-c", "holidays").stdout == "   1  +1.000  photos/sea.png\n"
    again = run("index", str(photos), "-c", "holidays").stdout.splitlines()[0]
    assert again == '"holidays": 1 unchanged, 1 unusable.'


def test_index_lists_only_what_this_run_could_not_use(run: Run, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "torn.png").write_bytes(b"not an image")
    run("index", str(tmp_path / "first"), "-c", "holidays")
    result = run("index", str(tmp_path / "second"), "-c", "holidays")
    assert result.stdout.splitlines() == ['"holidays": 1 unusable.']
    (unusable,) = result.stderr.splitlines()
    assert unusable.startswith("  second/torn.png: ")


def test_index_counts_the_unusable_files_that_it_does_not_list(run: Run, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(120):
        (tmp_path / "many" / f"{number}.svg").touch()
    *listed, rest = run("index", str(tmp_path / "many"), "-c", "colours").stderr.splitlines()
    assert (len(listed), rest) == (20, "  and 100 more, listed in the page's Library.")


def test_index_prunes_what_is_gone_only_where_told_to(run: Run, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for colour in ("red", "blue"):
        (photos / f"{colour}.png").write_bytes(picture(colour))
    run("index", str(photos))
    (photos / "red.png").unlink()
    assert run("index", str(photos)).stdout.splitlines()[:2] == [
        '"images": 1 unchanged.',
        "1 are no longer where they were; --prune removes them.",
    ]
    assert "1 that are no longer there were removed." in run("index", str(photos), "--prune").stdout


def test_index_refuses_another_model_for_a_collection(run: Run, tmp_path: Path) -> None:
    result = run("index", str(tmp_path), "-c", "colours", "--model", "other")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        'The collection "colours" is for the model fake, not other: leave out --model, or name another collection.\n'
    )


def test_evaluate_prints_the_bundled_queries_and_the_card(run: Run) -> None:
    out = run("evaluate").stdout
    assert "\ncolour                 2  100.0 %  100.0 %  100.0 %   10.0 %    1.000    1.000        1    0.0 %\n" in out
    assert out.endswith("\nthe card of fake\n")


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.csv"
    path.write_text("query,relevant,kind\nred,red,mine\nblue,red green,mine\nred,gone,mine\n,red,mine\n")
    return str(path)


def test_evaluate_prints_figures_slices_the_worst_and_what_could_not_be_asked(run: Run, own: str) -> None:
    lines = run("evaluate", "colours", "--queries", own).stdout.splitlines()
    assert lines[0] == "colours: 4 images · fake (fake-1)"
    assert lines[1] == "own.csv: 2 queries; 2 lines left out"
    assert lines[4] == "recall@1               50.0 %   0.0 – 100.0"
    assert "ann_recall@10       exact: every image was compared" in lines
    assert lines[-5].split() == ["line", "3", "2", "blue"]
    assert lines[-3:] == [
        "lines that could not be used as they are:",
        '  line 4: "gone" is no image of the collection.',
        "  line 5: Nothing to search for: type words, or add a picture.",
    ]
    assert "the card" not in lines[-1]


def test_evaluate_keeps_its_report_and_compares_the_next_with_it(run: Run, own: str, tmp_path: Path) -> None:
    first = run("evaluate", "colours", "--queries", own).stdout
    assert "since" not in first
    assert len(list((tmp_path / "reports" / "colours").iterdir())) == 1
    again = run("evaluate", "colours", "--queries", own).stdout.splitlines()
    assert again[4] == "recall@1               50.0 %   0.0 – 100.0      no change"


def test_a_report_that_can_not_be_kept_is_still_printed(run: Run, own: str, tmp_path: Path) -> None:
    (tmp_path / "reports").touch()
    result = run("evaluate", "colours", "--queries", own)
    assert (result.exit_code, result.stderr) == (0, "The report can't be kept in the data folder: Not a directory.\n")
    assert "recall@1 " in result.stdout


def test_evaluate_writes_json_and_one_page_of_html(run: Run, own: str, tmp_path: Path) -> None:
    json_file, html_file = tmp_path / "report.json", tmp_path / "report.html"
    run("evaluate", "colours", "--queries", own, "--json", str(json_file), "--html", str(html_file))
    assert json.loads(json_file.read_text())["overall"]["figures"]["recall_at_1"]["value"] == 0.5
    assert "<title>Retrieval quality of colours</title>" in html_file.read_text()


def test_evaluate_asks_with_pictures_beside_the_labels(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sea.png").write_bytes(picture("blue"))
    labels = tmp_path / "labels.csv"
    labels.write_text("image,relevant\nsea.png,blue\nnowhere.png,red\n")
    out = run("evaluate", "colours", "--queries", str(labels)).stdout
    assert "labels.csv: 1 query; 1 line left out" in out
    assert "recall@1              100.0 %\n" in out
    assert " line 3: nowhere.png can't be read: No such file or directory." in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["photos"],
            'The bundled queries are only for "colours": name a file of queries for "photos", such as '
            "--queries my-queries.csv.\n",
        ),
        (["photos", "--queries", "{own}"], "There is no collection 'photos'; `collections` lists those there are.\n"),
        (["--queries", "{own}"], "Which collection is to be asked? For example: evaluate photos --queries own.csv\n"),
        (
            ["colours", "--queries", "{own}", "--by", "size"],
            'own.csv has no column "size" to split by; there are: kind.\n',
        ),
        (
            ["colours", "--queries", "{own}", "--json", "nowhere/report.json"],
            "nowhere/report.json can't be written: there is no folder nowhere.\n",
        ),
    ],
    ids=["no file", "no collection", "which", "no column", "no folder"],
)
def test_evaluate_refuses_in_one_sentence(run: Run, own: str, arguments: list[str], sentence: str) -> None:
    result = run("evaluate", *(argument.format(own=own) for argument in arguments))
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", sentence)


def test_evaluate_says_which_columns_are_missing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("text,kind\nred,mine\n")
    result = run("evaluate", "colours", "--queries", str(tmp_path / "own.csv"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("own.csv needs the columns query and relevant")


@pytest.mark.parametrize("command", ["search", "index", "collections", "evaluate", "ui", "serve"])
def test_each_help_says_what_it_does_with_examples(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"  python app.py {command}" in result.stdout
