from pathlib import Path

import pytest

from search.errors import NotAllowed
from ui.access import TOKEN_HEADER, Access, Caller, is_loopback

LOCAL = Access(host="127.0.0.1", token="secret")
WIDE = Access(host="0.0.0.0", token="secret", sources=(Path("/srv/photos"),))


def caller(method: str = "POST", address: str = "127.0.0.1", **headers: str) -> Caller:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Caller(method=method, address=address, headers={"host": "127.0.0.1:7860", **named})


@pytest.mark.parametrize("host", ["localhost", "app.localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_names_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "127.0.0.1.nip.io", "evil"])
def test_other_names_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_the_person_at_this_machine_may_change() -> None:
    assert LOCAL.may_change(caller())
    assert LOCAL.may_change(caller(origin="http://127.0.0.1:7860", sec_fetch_site="same-origin"))


@pytest.mark.parametrize(
    "stranger",
    [
        caller(address="10.0.0.9"),
        caller(host="photos.example"),
        caller(origin="https://evil.example"),
        caller(origin="null"),
        caller(origin="http://127.0.0.1:8000"),
        caller(sec_fetch_site="cross-site"),
        caller(x_forwarded_for="203.0.113.5"),
        Caller(method="POST", address=None, headers={"host": "127.0.0.1:7860"}),
    ],
    ids=["address", "host", "origin", "null", "port", "fetch-site", "proxied", "no-address"],
)
def test_a_stranger_may_not_change(stranger: Caller) -> None:
    assert not LOCAL.may_change(stranger)
    with pytest.raises(NotAllowed, match="Everybody may search here"):
        LOCAL.check_change(stranger)


def test_nobody_may_change_where_the_server_is_reached_from_elsewhere() -> None:
    assert not WIDE.may_change(caller())
    assert not WIDE.may_change(caller(address="10.0.0.9", host="photos.example"))


def test_the_holder_of_the_token_may_change_anywhere() -> None:
    assert WIDE.may_change(caller(**{TOKEN_HEADER: "secret"}))
    assert not WIDE.may_change(caller(**{TOKEN_HEADER: "Secret"}))
    assert not WIDE.may_change(caller(**{TOKEN_HEADER: "sécret"}))


def test_an_empty_token_opens_nothing() -> None:
    assert not Access(host="0.0.0.0").may_change(caller(**{TOKEN_HEADER: ""}))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "", "[::1", "localhost.evil.example"])
def test_a_name_that_was_rebound_to_loopback_is_refused_even_for_reading(host: str) -> None:
    with pytest.raises(NotAllowed, match="only answers to localhost"):
        LOCAL.check_reach(caller(method="GET", host=host))


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST:9000"])
def test_loopback_names_reach_at_any_port(host: str) -> None:
    assert LOCAL.check_reach(caller(method="GET", host=host)) is None


def test_another_sites_page_can_post_nothing_to_loopback() -> None:
    with pytest.raises(NotAllowed, match="another site"):
        LOCAL.check_reach(caller(origin="https://evil.example"))


def test_another_sites_page_can_link_here() -> None:
    assert LOCAL.check_reach(caller(method="GET", sec_fetch_site="cross-site")) is None


def test_everybody_reaches_a_server_that_listens_wider() -> None:
    assert WIDE.check_reach(caller(host="photos.example", origin="https://photos.example")) is None


def test_any_path_may_be_named_on_this_machine() -> None:
    token = {TOKEN_HEADER: "secret"}
    assert LOCAL.may_name_path(caller(), Path("/anywhere"))
    assert WIDE.may_name_path(caller(**token), Path("/anywhere"))
    lan = Access(host="10.0.0.1", token="secret")
    assert lan.may_name_path(caller(address="10.0.0.1", **token), Path("/anywhere"))
    assert not LOCAL.may_name_path(caller(origin="https://evil.example"), Path("/anywhere"))
    assert not WIDE.may_name_path(caller(), Path("/srv/photos/a.jpg"))


@pytest.mark.parametrize("elsewhere", [{"address": "10.0.0.9"}, {"x_forwarded_for": "10.0.0.9"}])
def test_from_elsewhere_the_token_opens_only_the_folders_that_are_set(
    tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "out").symlink_to(tmp_path)
    (photos / "round").symlink_to(photos / "round")
    access = Access(host="0.0.0.0", token="secret", sources=(photos,))
    sender = caller(**elsewhere, **{TOKEN_HEADER: "secret"})
    allowed = [name for name in ("", "a", "../other", "out", "round/a") if access.may_name_path(sender, photos / name)]
    assert allowed == ["", "a"]
    assert not Access(host="0.0.0.0", token="secret").may_name_path(sender, photos)
    assert not access.may_name_path(caller(**elsewhere), photos)


def test_from_elsewhere_only_what_lies_below_a_listed_address_in_s3_may_be_named() -> None:
    access = Access(host="0.0.0.0", token="secret", sources=(Path("/srv"), "s3://photos/2026", "s3://open/"))
    asked = ["s3://photos/2026", "s3://photos/2026/a", "s3://photos/2026b", "s3://photos", "s3://open", "s3://open/a"]
    elsewhere = caller(address="10.0.0.7", **{TOKEN_HEADER: "secret"})
    assert [one for one in asked if access.may_name_address(elsewhere, one)] == [
        "s3://photos/2026", "s3://photos/2026/a", "s3://open", "s3://open/a",
    ]  # fmt: skip
    assert not access.may_name_address(caller(address="10.0.0.7"), "s3://open")
    assert LOCAL.may_name_address(caller(), "s3://anything")
