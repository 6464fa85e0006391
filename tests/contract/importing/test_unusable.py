"""The unusable files that parts tell of are counted, named and kept with the collection."""

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from search.share import Share
from search.types import Failure
from settings import Settings
from tests.contract.importing.parts import images, imported, made_part, opened


def unusable(*names: str) -> dict[str, Any]:
    listed = [Failure(f"photos/{name}", "unreadable_image", f"{name} is no image.") for name in names]
    return {"unusable": len(names), "unusable_files": [asdict(failure) for failure in listed]}


def of_share(number: int, of: int, count: int, suffix: str = ".jpg") -> list[str]:
    """Names of images that are in that share."""
    names = (f"{n:02}{suffix}" for n in range(1000))
    return list(islice((name for name in names if Share(number, of).has(f"photos/{name}")), count))


def failures(settings: Settings) -> list[str]:
    with opened(settings) as collection:
        return sorted(failure.uri for failure in collection.failures())


def test_unusable_files_of_all_parts_are_counted_named_and_kept_with_the_collection(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (one,), (hostile,), (two,) = of_share(1, 2, 1), of_share(1, 2, 1, "\x1b[2J.jpg"), of_share(2, 2, 1)
    first = made_part(out, 1, 2, images("a.jpg"), **unusable(one, hostile))
    imported(settings, first, made_part(out, 2, 2, [], **unusable(two)))
    said, harmless = capsys.readouterr(), hostile.replace("\x1b", "\ufffd")
    assert said.out == '3 files were unusable:\n"photos" has 1 images.\n'
    assert said.err.splitlines() == [f"  photos/{name}: {name} is no image." for name in (one, harmless, two)]
    assert failures(settings) == sorted(f"photos/{name}" for name in (one, hostile, two))
    with opened(settings) as collection:
        assert Failure(f"photos/{two}", "unreadable_image", f"{two} is no image.") in collection.failures()


def test_what_a_part_made_anew_says_of_its_share_replaces_what_was_said(out: Path, settings: Settings) -> None:
    first, second = of_share(1, 2, 5), of_share(2, 2, 5)
    other = made_part(out, 2, 2, [], **unusable(*second, first[1]))  # of which it has nothing to say
    imported(settings, made_part(out, 1, 2, [], **unusable(*first)), other)
    assert failures(settings) == sorted(f"photos/{name}" for name in (*first, *second))
    imported(settings, made_part(out / "anew", 1, 2, [], **unusable(first[0])), other)
    assert failures(settings) == sorted(f"photos/{name}" for name in (first[0], *second))


def test_more_than_twenty_unusable_files_are_counted(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(settings, made_part(out, 1, 1, [], **unusable(*(f"{number:02}.jpg" for number in range(25)))))
    said = capsys.readouterr().err.splitlines()
    assert said[20:] == ["  and 5 more; the page's Library lists those that the parts name."]


def test_a_part_that_only_counts_them_leaves_the_collections_failures_as_they_are(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(settings, made_part(out, 1, 1, [], **unusable("1.jpg")))
    imported(settings, made_part(out / "old", 1, 1, [], unusable=1))
    assert "\n1 file was unusable.\n" in capsys.readouterr().out
    assert failures(settings) == ["photos/1.jpg"]


@pytest.mark.parametrize(
    "told",
    [
        {"unusable": 10**4000, "unusable_files": []},
        {"unusable": -1, "unusable_files": [1, None, [], {}, {"uri": 1, "code": "a", "message": "b"}]},
        {"unusable": [], "unusable_files": [{"uri": "photos/\0", "code": "a", "message": "b"}]},
        {"unusable": 0, "unusable_files": "x" * 10_000},
        {"unusable": True, "unusable_files": [{"uri": "x" * 10_000, "code": "a", "message": "b"}]},
    ],
)
def test_a_list_of_unusable_files_that_is_none_says_nothing(
    out: Path, settings: Settings, capsys: pytest.CaptureFixture[str], told: dict[str, Any]
) -> None:
    imported(settings, made_part(out, 1, 1, images("a.jpg"), **told))
    assert capsys.readouterr().out == '"photos" has 1 images.\n'
    assert failures(settings) == []


def test_unusable_files_of_other_sources_are_not_kept(out: Path, settings: Settings) -> None:
    listed = [{"uri": uri, "code": "a", "message": "b"} for uri in ("others/1.jpg", "photos/1.jpg", "photos")]
    imported(settings, made_part(out, 1, 1, [], unusable=3, unusable_files=listed))
    assert failures(settings) == ["photos/1.jpg"]
