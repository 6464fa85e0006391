"""Who is believed of what they say about a caller, and what becomes of the path."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from settings import Proxies
from ui.behind import Behind, route_path

PRIVATE = (ip_network("10.0.0.0/8"),)


def seen(
    path: str = "/",
    *,
    peer: str = "10.0.0.1",
    root_path: str = "",
    proxies: Proxies = 0,
    hosts: Sequence[str] = ("sightline.internal",),
    **said: str,
) -> tuple[Scope | None, list[Message]]:
    """The scope as it is handed on, and what was answered instead."""
    handed: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handed.append(scope)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [*(("host", host) for host in hosts), *((name.replace("_", "-"), said[name]) for name in said)]
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"q=red",
        "scheme": "http",
        "client": (peer, 5),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    asyncio.run(Behind(app, root_path=root_path, proxies=proxies)(scope, receive, send))
    return (handed[0] if handed else None), sent


def client(**asked: object) -> str:
    scope, _ = seen(**asked)  # type: ignore[arg-type]
    assert scope is not None
    return str(scope["client"][0])


def test_what_a_stranger_says_of_itself_is_taken_away_and_marked() -> None:
    scope, _ = seen(
        peer="203.0.113.9",
        proxies=PRIVATE,
        x_forwarded_for="127.0.0.1",
        x_forwarded_proto="https",
        x_forwarded_host="evil.example",
        x_gradio_server="http://evil.example",
    )
    assert scope is not None
    assert (scope["client"][0], scope["scheme"]) == ("203.0.113.9", "http")
    assert dict(Headers(scope=scope)) == {"host": "sightline.internal", "via": "1.1 proxy"}


def test_a_proxy_of_ours_is_believed_and_the_request_is_marked_as_passed_on() -> None:
    scope, _ = seen(
        proxies=PRIVATE,
        x_forwarded_for="203.0.113.9",
        x_forwarded_proto="https",
        x_forwarded_host="photos.example",
    )
    assert scope is not None
    assert (scope["client"][0], scope["scheme"]) == ("203.0.113.9", "https")
    assert dict(Headers(scope=scope)) == {"via": "1.1 proxy", "host": "photos.example"}


def test_a_request_that_says_nothing_stays_as_it_is() -> None:
    scope, _ = seen(proxies=PRIVATE)
    assert scope is not None
    assert dict(Headers(scope=scope)) == {"host": "sightline.internal"}


@pytest.mark.parametrize(
    ("proxies", "said", "found"),
    [
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        (2, "127.0.0.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
        (3, "203.0.113.9", "203.0.113.9"),
        (PRIVATE, "127.0.0.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
        (PRIVATE, "10.9.9.8, 10.9.9.9", "10.9.9.8"),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "unknown", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_the_callers_address_is_counted_from_the_right(proxies: Proxies, said: str, found: str) -> None:
    assert client(proxies=proxies, x_forwarded_for=said) == found


@pytest.mark.parametrize("host", ["evil example", "a/b", "a@b", "", "x" * 300, 'a"b'])
def test_a_host_that_is_none_is_not_taken(host: str) -> None:
    scope, _ = seen(proxies=1, x_forwarded_host=host)
    assert scope is not None
    assert Headers(scope=scope)["host"] == "sightline.internal"


@pytest.mark.parametrize(
    ("hosts", "seen_hosts"),
    [
        ((), ["photos.example"]),
        (("sightline.internal",), ["photos.example"]),
        (("one.example", "other.example"), ["one.example", "other.example"]),  # for the guard to refuse
        (("photos.example", "photos.example"), ["photos.example", "photos.example"]),
    ],
)
def test_a_believed_host_takes_the_place_of_one_and_never_hides_that_there_were_two(
    hosts: Sequence[str], seen_hosts: list[str]
) -> None:
    scope, _ = seen(proxies=1, x_forwarded_host="photos.example", hosts=hosts)
    assert scope is not None
    assert Headers(scope=scope).getlist("host") == seen_hosts


@pytest.mark.parametrize("path", ["/sightline/api/search", "/api/search"])
def test_a_prefix_is_known_whether_the_proxy_takes_it_away_or_not(path: str) -> None:
    scope, _ = seen(path, root_path="/sightline")
    assert scope is not None
    assert (scope["path"], scope["root_path"]) == ("/sightline/api/search", "/sightline")
    assert route_path(scope) == "/api/search"


def test_the_prefix_alone_leads_to_the_page() -> None:
    scope, sent = seen("/sightline", root_path="/sightline")
    assert scope is None
    assert sent[0]["status"] == 308
    assert Headers(raw=sent[0]["headers"])["location"] == "/sightline/?q=red"


def test_a_path_that_only_begins_alike_is_another() -> None:
    scope, _ = seen("/sightlines", root_path="/sightline")
    assert scope is not None
    assert route_path(scope) == "/sightlines"
