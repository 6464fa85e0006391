"""Signing in and out over HTTP, behind a proxy and under a path, and what a caller in a hurry hears."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.contract.served import open_workspace
from ui.access import Access
from ui.readiness import Readiness
from ui.server import make_app
from ui.service import Front, Limits, make_service
from ui.users import Users, new_users, with_password, with_token, with_user, without_user

PASSWORD = "correct horse battery"
FORM = {"name": "Ada", "password": PASSWORD}
HTML = {"accept": "text/html,*/*"}


@pytest.fixture(scope="module")
def users() -> Users:
    made, _ = with_token(with_user(new_users(), "ada", "editor", PASSWORD), "unused", "viewer")
    return made


@contextmanager
def client(data_dir: Path, users: Callable[[], Users] | None, front: Front | None = None) -> Iterator[TestClient]:
    """A browser elsewhere, that keeps cookies and follows nothing by itself."""
    workspace = open_workspace(data_dir)
    front = front or Front()
    access = Access(host="0.0.0.0", users=users, origins=front.origins, is_behind_proxy=bool(front.proxies))
    service = make_service(workspace, access=access, limits=Limits(), readiness=Readiness(lambda: None), front=front)
    with TestClient(
        make_app(service), base_url="http://photos.example", client=("203.0.113.9", 5), follow_redirects=False
    ) as client:
        yield client
    workspace.close()


@pytest.fixture
def browser(tmp_path: Path, users: Users) -> Iterator[TestClient]:
    with client(tmp_path, lambda: users) as browser:
        yield browser


def test_a_browser_is_led_to_the_sign_in_and_back_to_where_it_was(browser: TestClient) -> None:
    sent = browser.get("/?q=red", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2F%3Fq%3Dred")
    page = browser.get(sent.headers["location"])
    assert 'value="/?q=red"' in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "script" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    answer = browser.post("/sign-in", data={**FORM, "next": "/?q=red"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=red")
    assert re.fullmatch(
        r"sightline_session=\d+\.YWRh\.[0-9a-f]{64}; HttpOnly; Max-Age=43200; Path=/; SameSite=lax",
        answer.headers["set-cookie"],
    )
    assert browser.get("/", headers=HTML).status_code == 200
    told = {"name": "ada", "role": "editor", "may_change": True, "why_not": None, "marks": False}
    assert browser.get("/api/me").json() == told
    assert browser.get("/sign-in").status_code == 303
    out = browser.post("/sign-out")
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert browser.get("/api/me").status_code == 401


def test_a_program_that_has_not_signed_in_is_told_how(browser: TestClient) -> None:
    answer = browser.post("/api/search", json={"query": "red"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "not_signed_in")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("form", [{**FORM, "password": "wrong horse battery"}, {**FORM, "name": "bob"}, {}])
def test_what_does_not_fit_is_said_alike_for_names_that_are_and_are_not(
    browser: TestClient, form: dict[str, str]
) -> None:
    answer = browser.post("/sign-in", data={"next": "/", **form})
    assert answer.status_code == 403
    assert "That name and password do not fit." in answer.text
    assert "set-cookie" not in answer.headers
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    "next",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/\t/evil.example",
        "\\\\evil",
        "evil",
        "",
        "/a\r\nb: c",
        "/..//x",
        "/a/../b",
        "/%2E%2e/b",
        "/./b",
        "/a//b",
    ],
)
def test_no_next_leads_elsewhere(browser: TestClient, next: str) -> None:
    assert browser.post("/sign-in", data={**FORM, "next": next}).headers["location"] == "/"
    assert browser.get("/sign-in", params={"next": next}).headers["location"] == "/"


def test_hostile_names_and_addresses_stay_text(browser: TestClient) -> None:
    hostile = '"><script>harm()</script>'
    assert "<script" not in browser.post("/sign-in", data={"name": hostile, "next": f"/{hostile}"}).text


def test_a_next_may_have_anything_in_its_query(browser: TestClient) -> None:
    next = "/?q=a//b/../c"
    assert browser.post("/sign-in", data={**FORM, "next": next}).headers["location"] == next


@pytest.mark.parametrize("path", ["/ping", "/api/me", "/sign-in"])
def test_a_request_with_two_host_headers_is_refused(browser: TestClient, path: str) -> None:
    answer = browser.get(path, headers=[("host", "photos.example"), ("host", "evil.example")])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["message"] == "The request has 2 Host headers; send one."


def test_a_proxy_of_ours_that_passes_two_host_headers_on_is_refused_too(tmp_path: Path) -> None:
    two = [("host", "photos.example"), ("host", "evil.example"), ("x-forwarded-host", "photos.example")]
    with client(tmp_path, None, Front(proxies=1)) as browser:
        answer = browser.get("/api/me", headers=two)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
        assert browser.get("/api/me", headers=two[1:]).status_code == 200


def test_a_sign_in_larger_than_one_is_refused_with_its_limit(browser: TestClient) -> None:
    answer = browser.post("/sign-in", data={**FORM, "password": "a" * 20_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert answer.json()["error"]["message"] == "The request's body is larger than 16 kB, the most that is read here."


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}])
def test_another_sites_page_can_neither_sign_in_nor_use_a_session(browser: TestClient, headers: dict[str, str]) -> None:
    assert browser.post("/sign-in", data=FORM, headers=headers).status_code == 403
    browser.post("/sign-in", data=FORM)
    assert browser.delete("/api/collections/nothing", headers=headers).status_code == 403
    assert browser.delete("/api/collections/nothing").status_code == 404


def test_guessing_is_slowed_down_for_the_right_password_too(browser: TestClient) -> None:
    for _ in range(10):
        assert browser.post("/sign-in", data={**FORM, "password": "wrong horse battery"}).status_code == 403
    refused = browser.post("/sign-in", data=FORM)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 30
    assert "Too many wrong passwords under this name" in refused.text


def test_a_session_ends_with_its_password_or_user_and_lives_through_a_restart(tmp_path: Path, users: Users) -> None:
    now = users
    with client(tmp_path / "one", lambda: now) as browser:
        browser.post("/sign-in", data=FORM)
        cookies = dict(browser.cookies)
    with client(tmp_path / "two", lambda: now) as other:
        other.cookies.update(cookies)
        assert other.get("/api/me").status_code == 200
        now = with_password(users, "ada", "another horse battery")
        assert other.get("/api/me").status_code == 401
        now = without_user(users, "ada")
        assert other.get("/api/me").status_code == 401
        now = users
        assert other.get("/api/me").status_code == 200


def test_over_tls_by_a_proxy_of_ours_the_cookie_is_secure_and_tls_stays(tmp_path: Path, users: Users) -> None:
    said = {"x-forwarded-proto": "https", "x-forwarded-for": "198.51.100.7"}
    with client(tmp_path, lambda: users, Front(proxies=1)) as browser:
        answer = browser.post("/sign-in", data=FORM, headers=said)
        assert "; Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" not in browser.get("/sign-in").headers


def test_a_strangers_word_makes_no_cookie_secure(browser: TestClient) -> None:
    answer = browser.post("/sign-in", data=FORM, headers={"x-forwarded-proto": "https"})
    assert "; Secure" not in answer.headers["set-cookie"]
    assert "strict-transport-security" not in answer.headers


def test_who_opens_the_page_too_often_reads_so_on_a_page(tmp_path: Path) -> None:
    with client(tmp_path, None, Front(rate=1)) as browser:
        asked = {"accept": "text/html,application/xhtml+xml"}
        assert browser.get("/", headers=asked).status_code == 200
        refused = browser.get("/", headers=asked)
        assert refused.status_code == 429
        assert f"came from you: try again in {refused.headers['retry-after']} s." in refused.text
        assert refused.text.startswith("<!doctype html>")
        assert "script" not in refused.text
        assert 'href="">Try again<' in refused.text
        assert browser.get("/").json()["error"]["code"] == "too_many_requests"  # whoever wants no page


@pytest.mark.parametrize("under", ["", "/sight"], ids=["at the root", "under a path"])
def test_who_opens_another_address_reads_an_error_on_a_page_too(tmp_path: Path, under: str) -> None:
    with client(tmp_path, None, Front(root_path=under)) as browser:
        refused = browser.get(f"{under}/image/<i>nobody", headers=HTML)
        assert refused.status_code == 404
        assert refused.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src" not in refused.headers["content-security-policy"]
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert re.search(r'role="alert">[^<]+<', refused.text)
        assert 'href="../page/sign_in.css"' in refused.text
        assert 'href="../">Go to the start page<' in refused.text
        nowhere = browser.get(f"{under}/nowhere/at/all", headers=HTML)
        assert (nowhere.status_code, 'href="../../">' in nowhere.text) == (404, True)
        assert browser.get(f"{under}/image/nobody").json()["error"]["code"] == "item_not_found"  # a program
        sent = browser.post(f"{under}/api/export.zip", headers=HTML)  # as the page's form does
        assert sent.status_code >= 400
        assert sent.headers["content-type"] == "application/json"


def test_each_caller_has_a_rate_that_thumbnails_do_not_use_up(tmp_path: Path) -> None:
    with client(tmp_path, None, Front(rate=2, proxies=1)) as browser:
        one, other = {"x-forwarded-for": "198.51.100.7"}, {"x-forwarded-for": "198.51.100.8"}
        asked = {"query": "red", "top_k": 1}
        assert [browser.post("/api/search", json=asked, headers=one).status_code for _ in range(3)] == [200, 200, 429]
        refused = browser.post("/api/search", json=asked, headers=one)
        assert refused.json()["error"]["code"] == "too_many_requests"
        assert 0 < int(refused.headers["retry-after"]) <= 30
        assert browser.post("/api/search", json=asked, headers=other).status_code == 200
        assert {browser.get("/thumb/red", headers=one).status_code for _ in range(5)} == {200}
        assert browser.get("/healthz", headers=one).status_code == 200


def test_who_has_not_signed_in_has_a_rate_too(tmp_path: Path, users: Users) -> None:
    with client(tmp_path, lambda: users, Front(rate=2)) as browser:
        assert [browser.get("/api/me").status_code for _ in range(4)] == [401, 401, 429, 429]


def test_only_listed_origins_may_ask_and_never_with_cookies(tmp_path: Path) -> None:
    with client(tmp_path, None, Front(origins=("https://a.example",))) as browser:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        allowed = browser.options("/api/search", headers={"origin": "https://a.example", **asked})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-credentials" not in allowed.headers
        refused = browser.options("/api/search", headers={"origin": "https://b.example", **asked})
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers
        answer = browser.post("/api/search", json={"query": "red"}, headers={"origin": "https://b.example"})
        assert "access-control-allow-origin" not in answer.headers


ADDRESS = re.compile(r"""(?:href|src|action)="([^"]*)"|"root":\s*"([^"]*)"|url\(([^)]*)\)""")


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "taken-away"])
def test_under_a_path_everything_stays_below_it(tmp_path: Path, users: Users, is_kept: bool) -> None:
    at = "/sightline" if is_kept else ""
    with client(tmp_path, lambda: users, Front(root_path="/sightline")) as browser:
        sent = browser.get(f"{at}/docs", headers=HTML)
        assert sent.headers["location"] == "/sightline/sign-in?next=%2Fdocs"
        answer = browser.post(f"{at}/sign-in", data={**FORM, "next": "/docs"})
        assert answer.headers["location"] == "/sightline/docs"
        assert "; Path=/sightline;" in answer.headers["set-cookie"]
        browser.cookies.clear()
        browser.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        page = browser.get(f"{at}/")
        assert page.status_code == 200
        named = {one or two or three for one, two, three in ADDRESS.findall(page.text)}
        assert {
            address for address in named if address.startswith("/") and not address.startswith("/sightline")
        } == set()
        assert any(address.endswith("photos.example/sightline") for address in named)  # Gradio's own root
        found = browser.post(f"{at}/api/search", json={"query": "red", "top_k": 1}).json()["hits"][0]
        assert found["thumb"].startswith("/sightline/thumb/red?")
        assert browser.get(found["thumb"]).status_code == 200
        assert browser.get(f"{at}/page/page.js").status_code == 404
        assert browser.get(f"{at}/page/session.js").status_code == 200
        assert browser.get(f"{at}/openapi.json").json()["servers"] == [{"url": "/sightline"}]
        assert 'href="openapi.json"' in browser.get(f"{at}/docs").text
        event = browser.post(f"{at}/gradio_api/call/search", json={"data": ["blue", None, 1]}).json()["event_id"]
        assert '"blue"' in browser.get(f"{at}/gradio_api/call/search/{event}").text
        assert browser.get("/ping").status_code == browser.get("/sightline/ping").status_code
        assert browser.get("/healthz").status_code == 200
