"""A setting is read from its variable, or refused with variable, value and expected form."""

from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from search import labels, query
from search.images.open import MAX_PIXELS, MAX_RATIO
from settings import BadSetting, Settings, read_settings
from store.archives import Limits
from ui.api_jobs import MAX_FILES, MAX_PATHS
from ui.api_query import MAX_EMBED_IMAGES, MAX_EMBED_TEXTS
from ui.downloads import MAX_ZIP_BYTES, MAX_ZIP_FILES

ROOT = Path(__file__).parents[2]


def test_nothing_set_gives_the_defaults() -> None:
    assert read_settings({"PATH": "/bin"}) == Settings()


def test_each_variable_lands_in_its_field() -> None:
    assert read_settings(
        {
            "SIGHTLINE_DATA_DIR": "/srv/data",
            "SIGHTLINE_MODEL": "/srv/model",
            "SIGHTLINE_COLLECTION": "holiday",
            "SIGHTLINE_CHROMA_URL": "http://chroma:8000",
            "SIGHTLINE_EXACT_UP_TO": "0",
            "SIGHTLINE_HOST": "0.0.0.0",
            "PORT": "8080",
            "SIGHTLINE_MAX_IMAGE_MB": "10",
            "SIGHTLINE_MAX_UPLOAD_MB": "100",
            "SIGHTLINE_SOURCES": "/a:s3://photos/2026/x:/b:s3://more",
            "SIGHTLINE_OFFLINE": "1",
            "SIGHTLINE_LOG": "json",
            "SIGHTLINE_LOG_QUERIES": "1",
            "SIGHTLINE_COPY": "s3://photos/copy",
            "SIGHTLINE_EVENTS": "/srv/events",
            "SAGEMAKER_BATCH": "true",
            "SIGHTLINE_AUTH": "/srv/users.json",
            "SIGHTLINE_RATE": "60",
            "SIGHTLINE_ORIGINS": "https://a.example, http://localhost:3000",
            "SIGHTLINE_ROOT_PATH": "/sightline/",
            "SIGHTLINE_PROXIES": "10.0.0.0/16 2001:db8::/32",
            "SIGHTLINE_ANSWER_BYTES": "4000000",
        }
    ) == Settings(
        data_dir=Path("/srv/data"),
        model="/srv/model",
        collection="holiday",
        chroma_url="http://chroma:8000",
        exact_up_to=0,
        host="0.0.0.0",
        port=8080,
        max_image_mb=10,
        max_upload_mb=100,
        sources=(Path("/a"), "s3://photos/2026/x", Path("/b"), "s3://more"),
        offline=True,
        log="json",
        log_queries=True,
        copy="s3://photos/copy",
        events="/srv/events",
        batch_transform=True,
        auth="/srv/users.json",
        rate=60,
        origins=("https://a.example", "http://localhost:3000"),
        root_path="/sightline",
        proxies=(ip_network("10.0.0.0/16"), ip_network("2001:db8::/32")),
        answer_bytes=4_000_000,
    )
    assert read_settings({"SIGHTLINE_RELEASE": "/srv/photos.tar.gz"}) == Settings(release="/srv/photos.tar.gz")


def test_a_release_which_nothing_changes_is_not_to_be_copied() -> None:
    with pytest.raises(BadSetting, match="SIGHTLINE_COPY and SIGHTLINE_RELEASE are both set"):
        read_settings({"SIGHTLINE_COPY": "/srv/copy", "SIGHTLINE_RELEASE": "/srv/photos.tar.gz"})


def test_proxies_can_be_counted() -> None:
    assert read_settings({"SIGHTLINE_PROXIES": "2"}).proxies == 2


def test_what_lets_people_in_is_not_printed() -> None:
    assert "secret" not in repr(read_settings({"SIGHTLINE_AUTH": '{"key": "secret"}'}))


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "80800", "a whole number from 1 to 65,535"),
        ("SIGHTLINE_EXACT_UP_TO", "-1", "a whole number from 0 to 10,000,000"),
        ("SIGHTLINE_MAX_IMAGE_MB", "ten", "a whole number from 1 to 1,000"),
        ("SIGHTLINE_OFFLINE", "maybe", "expected 1 or 0"),
        ("SIGHTLINE_LOG", "xml", "expected text or json"),
        ("SIGHTLINE_CHROMA_URL", "chroma:8000", "an address such as http://"),
        ("SIGHTLINE_RATE", "many", "a whole number from 0 to 1,000,000"),
        ("SIGHTLINE_ORIGINS", "*", "exact origins"),
        ("SIGHTLINE_ORIGINS", "https://a.example/path", "exact origins"),
        ("SIGHTLINE_ROOT_PATH", "sightline", "a path such as /sightline"),
        ("SIGHTLINE_ROOT_PATH", "//evil.example", "a path such as /sightline"),
        ("SIGHTLINE_ROOT_PATH", "/a/../b", "a path such as /sightline"),
        ("SIGHTLINE_PROXIES", "10.0.0.1/8", "networks such as 10.0.0.0/16"),
        ("SIGHTLINE_PROXIES", "11", "a whole number from 0 to 10"),
        ("SIGHTLINE_ANSWER_BYTES", "6291457", "a whole number from 1,000,000 to 6,291,456"),
        ("SIGHTLINE_COPY", "copies", "s3://bucket/prefix or an absolute folder"),
        ("SIGHTLINE_COPY", "s3://Not_A_Bucket/x", "s3://bucket/prefix or an absolute folder"),
        ("SIGHTLINE_SOURCES", "photos", "absolute folders"),
        ("SIGHTLINE_SOURCES", "s3://Not_A_Bucket/x", "or s3://bucket/prefix"),
    ],
)
def test_a_wrong_value_names_variable_value_and_form(variable: str, value: str, expected: str) -> None:
    with pytest.raises(BadSetting) as refused:
        read_settings({variable: value})
    assert str(refused.value).startswith(f"{variable}={value!r}: ")
    assert expected in str(refused.value)


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(BadSetting, match="SIGHTLINE_MODLE is not a setting"):
        read_settings({"SIGHTLINE_MODLE": "pocket"})


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for field in fields(Settings):
        platforms = {"port": "PORT", "batch_transform": "SAGEMAKER_BATCH", "in_space": "SPACE_ID"}
        variable = platforms.get(field.name, f"SIGHTLINE_{field.name.upper()}")
        assert f"`{variable}`" in page


def test_a_space_is_reached_from_elsewhere_unless_told_otherwise() -> None:
    assert read_settings({"SPACE_ID": "me/search"}) == Settings(in_space=True, host="0.0.0.0")
    told = read_settings({"SPACE_ID": "me/search", "SIGHTLINE_HOST": "127.0.0.1"})
    assert told == Settings(in_space=True, host="127.0.0.1")


def test_the_limits_that_users_meet_are_documented_as_they_are() -> None:
    archive = Limits()
    limits = {
        "Pixels of one image": f"{MAX_PIXELS // 10**6} million",
        "Longer side of an image to its shorter one": f"{MAX_RATIO} to 1",
        "Hits of one search (`top_k`, with `offset`)": f"{query.MAX_TOP_K:,}",
        "Characters of one text in a query": f"{query.MAX_TEXT:,}",
        "Parts of one query": f"{query.MAX_PARTS}",
        "Conditions of one filter": f"{query.MAX_CONDITIONS}",
        "Texts, and pictures, of one request to `/api/embed`": f"{MAX_EMBED_TEXTS}, and {MAX_EMBED_IMAGES}",
        "Files of one upload": f"{MAX_FILES:,}",
        "Paths of one job over HTTP": f"{MAX_PATHS}",
        "Images in one archive": f"{archive.images:,}",
        "Files of any kind in one archive": f"{archive.members:,}",
        "What one archive unpacks to": f"{archive.total_bytes // 2**30} GB, and {archive.ratio} times its size where "
        f"that is more than {archive.ratio_from_bytes // 2**20} MB",
        "Originals of one zip export": f"{MAX_ZIP_FILES}, {MAX_ZIP_BYTES // 2**30} GB",
        "Labelled queries of one file": f"{labels.MOST_QUERIES:,}, {labels.MOST_BYTES // 2**20} MB",
    }
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").partition("## Fixed limits\n")[2]
    rows = [tuple(line.strip("| ").split(" | ")) for line in page.splitlines() if line.startswith("| ")]
    assert dict(rows[1:]) == limits
