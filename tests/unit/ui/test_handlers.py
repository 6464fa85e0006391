"""The page's questions, over a real collection of ten coloured pictures."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.errors import ModelNotDownloaded
from search.images.decoder import Decoder
from search.kept_images import KeptImages
from search.types import Encoder
from search.workspace import Workspace
from store.library import LocalLibrary
from tests.browser.running import fill
from tests.fakes import FakeEncoder
from ui.handlers import about, answered, browse, find, show


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("handlers")
    library = LocalLibrary(folder / "data", write=True)
    fill(library, folder, FakeEncoder())
    workspace = Workspace(
        library,
        load_encoder=lambda name: FakeEncoder(name),
        decoder=Decoder(workers=1),
        kept=KeptImages(),
        models=[],
        default="colours",
    )
    yield workspace
    workspace.close()


def test_about_tells_the_collections_and_the_fields_and_examples_of_the_asked_one(workspace: Workspace) -> None:
    told = about(workspace, {})
    assert told["collections"] == [
        {"name": "bundled", "count": 10},
        {"name": "colours", "count": 10},
        {"name": "elsewhere", "count": 10},
        {"name": "empty", "count": 0},
        {"name": "hostile", "count": 10},
        {"name": "many", "count": 90},
    ]
    assert (told["collection"], told["is_bundled"]) == ("colours", False)
    assert set(told["fields"]) == {"kind", "number", "note"}  # type: ignore[call-overload]
    assert "red square" in told["examples"]  # type: ignore[operator]
    bundled = about(workspace, {"collection": "bundled"})
    assert (bundled["is_bundled"], bundled["is_own"]) == (True, True)


def test_about_an_unknown_collection_still_tells_which_there_are(workspace: Workspace) -> None:
    told = about(workspace, {"collection": "nowhere"})
    assert told["collection"] is None
    assert len(told["collections"]) == 6  # type: ignore[arg-type]


def test_find_promises_no_more_than_there_is(workspace: Workspace) -> None:
    similar = {"parts": [{"id": "orange-id"}]}  # which is no answer to itself
    assert [find(workspace, {**similar, "top_k": n})["most"] for n in (5, 60)] == [10, 9]
    assert find(workspace, {**similar, "offset": 6, "top_k": 5})["most"] == 9


def test_find_answers_tiles_and_chips(workspace: Workspace) -> None:
    found = find(workspace, {"text": "red -blue", "parts": [{"id": "orange-id"}], "top_k": 2})
    assert (found["text"], found["size"], found["most"], found["weak"]) == ("red", 10, 10, False)
    assert found["query"] == [
        {"text": "red", "weight": 1.0},
        {"text": "blue", "weight": -0.25},
        {"id": "orange-id", "weight": 1.0},
    ]
    chips = found["parts"]
    assert [(chip.get("text"), chip.get("label"), chip["minus"]) for chip in chips] == [  # type: ignore[attr-defined]
        ("blue", None, True),
        (None, "orange square", False),
    ]
    first = found["hits"][0]  # type: ignore[index]
    assert (first["name"], first["rank"], first["uri"]) == ("vermilion.png", 1, "shots/vermilion.png")
    assert first["thumb"].startswith("thumb/vermilion-id?collection=colours&v=")


def test_browse_gives_the_newest_first_and_obeys_the_filter(workspace: Workspace) -> None:
    shown = browse(workspace, {"collection": "colours", "where": {"kind": "cold"}, "top_k": 3, "offset": 1})
    assert [tile["name"] for tile in shown["hits"]] == ["cyan.png", "green.png", "grey.png"]  # type: ignore[attr-defined]
    assert (shown["matching"], shown["size"]) == (4, 10)


def test_browse_refuses_a_filter_on_a_field_that_no_image_has(workspace: Workspace) -> None:
    told = answered(browse, workspace, {"collection": "colours", "where": {"nope": 1}})
    assert told["error"]["code"] == "unknown_field"  # type: ignore[index]
    assert browse(workspace, {"collection": "empty", "where": {"nope": 1}})["matching"] == 0


def test_show_tells_facts_and_the_share_of_each_part(workspace: Workspace) -> None:
    shown = show(workspace, {"id": "magenta-id", "text": "red -blue"})
    assert shown["image"]["metadata"] == {"kind": "warm", "number": 5, "note": "magenta square"}  # type: ignore[index]
    assert [(share["label"], share["share"]) for share in shown["shares"]] == [  # type: ignore[attr-defined]
        ("red", 0.7071),
        ("blue", -0.1768),
    ]


def test_an_example_is_named_wherever_the_query_is_told(workspace: Workspace) -> None:
    parts = [{"id": "orange-id"}, {"id": "red-id", "minus": True}]
    shown = show(workspace, {"id": "red-id", "text": "", "parts": parts})
    assert [share["label"] for share in shown["shares"]] == ["orange square", "this image"]  # type: ignore[attr-defined]


def test_show_without_a_query_explains_nothing(workspace: Workspace) -> None:
    assert show(workspace, {"id": "red-id", "text": "", "parts": []})["shares"] == []


@pytest.mark.parametrize(
    ("question", "sent", "code"),
    [
        (find, None, "bad_query"),
        (find, [], "bad_query"),
        (find, {"text": "red", "collection": "nowhere"}, "collection_not_found"),
        (find, {"text": "red", "collection": 7}, "collection_not_found"),
        (find, {"text": "red", "collection": "x" * 101}, "collection_not_found"),
        (find, {"text": "red", "top_k": -1}, "bad_query"),
        (browse, {"top_k": 0}, "bad_query"),
        (browse, {"offset": 10**9}, "bad_query"),
        (browse, {"where": "year"}, "bad_query"),
        (show, {}, "bad_query"),
        (show, {"id": {"$ne": 1}}, "bad_query"),
        (show, {"id": "gone-id"}, "item_not_found"),
    ],
)
def test_a_forged_question_is_answered_with_its_error(
    workspace: Workspace, question: object, sent: object, code: str
) -> None:
    assert answered(question, workspace, sent)["error"]["code"] == code  # type: ignore[arg-type, index]


def test_find_says_that_the_model_is_being_loaded_and_browse_waits_for_none(tmp_path: Path) -> None:
    hold = threading.Event()

    def load(name: str) -> Encoder:
        hold.wait(60)
        return FakeEncoder(name)

    library = LocalLibrary(tmp_path / "data", write=True)
    fill(library, tmp_path, FakeEncoder())
    workspace = Workspace(
        library, load_encoder=load, decoder=Decoder(workers=1), kept=KeptImages(), models=[], default="colours"
    )
    try:
        waiting = find(workspace, {"text": "red"})["loading"]
        assert (waiting["model"], waiting["stage"]) == ("fake", "")  # type: ignore[index]
        assert browse(workspace, {})["size"] == 10
    finally:
        hold.set()
    assert workspace.prepare("colours", within_s=60) is None
    assert find(workspace, {"text": "red"})["size"] == 10
    workspace.close()


def test_a_model_that_is_not_here_is_named_for_the_page(tmp_path: Path) -> None:
    def refuse(name: str) -> Encoder:
        raise ModelNotDownloaded("It has not been downloaded.", name=name)

    library = LocalLibrary(tmp_path / "data", write=True)
    fill(library, tmp_path, FakeEncoder())
    workspace = Workspace(
        library, load_encoder=refuse, decoder=Decoder(workers=1), kept=KeptImages(), models=[], default="colours"
    )
    assert answered(find, workspace, {"text": "red"})["error"] == {
        "code": "model_not_downloaded",
        "message": "It has not been downloaded.",
        "model": "fake",
    }
    workspace.close()
