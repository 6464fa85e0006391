"""What programs find on the page's own server: `search` and nothing else, and no way around its checks."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

# gradio_client leaves its event loop and sockets to the garbage collector, so it gets a process of its own.
_PROGRAM = """
import json, sys
from gradio_client import Client
from gradio_client.exceptions import AppError
client = Client(sys.argv[1], verbose=False, analytics_enabled=False)
def answer(asked):
    try:
        return client.predict(**asked, api_name="/search")
    except AppError as error:
        return str(error)
print(json.dumps([client.view_api(return_format="dict"), *map(answer, json.loads(sys.argv[2]))]))
"""
REFUSED = {
    "nothing": ({"query": " ", "collection": None, "top_k": 5}, "Nothing to search for"),
    "too many": (
        {"query": "red", "collection": None, "top_k": 10**9},
        '"top_k" must be a whole number from 1 to 1,000',
    ),
    "negative": ({"query": "red", "collection": None, "top_k": -1}, '"top_k" must be a whole number from 1 to 1,000'),
    "no number": (
        {"query": "red", "collection": None, "top_k": "NaN"},
        '"top_k" must be a whole number from 1 to 1,000',
    ),
    "no such collection": ({"query": "red", "collection": "nowhere", "top_k": 5}, "nowhere"),
    "no text": ({"query": ["red"], "collection": None, "top_k": 5}, "must be a text"),
}
FOUND = {"query": "red", "collection": None, "top_k": 2}


@pytest.fixture(scope="module")
def answers(address: str) -> dict[str, object]:
    """What a program that uses gradio_client is told."""
    asked = json.dumps([FOUND, *(asked for asked, _ in REFUSED.values())])
    told = subprocess.run([sys.executable, "-c", _PROGRAM, address, asked], capture_output=True, timeout=60)
    assert told.returncode == 0, told.stderr.decode()
    return dict(zip(["api", "found", *REFUSED], json.loads(told.stdout.splitlines()[-1]), strict=True))


def test_search_is_the_only_public_endpoint(answers: dict[str, dict[str, object]]) -> None:
    assert list(answers["api"]["named_endpoints"]) == ["/search"]  # type: ignore[call-overload]
    assert answers["api"]["unnamed_endpoints"] == {}


def test_search_answers_a_program(answers: dict[str, list[dict[str, object]]]) -> None:
    assert [(hit["rank"], hit["uri"], hit["caption"]) for hit in answers["found"]] == [
        (1, "shots/red.png", "red square"),
        (2, "shots/scarlet.png", "scarlet square"),
    ]


@pytest.mark.parametrize("case", REFUSED)
def test_search_refuses_in_one_sentence(answers: dict[str, str], case: str) -> None:
    assert REFUSED[case][1] in answers[case]


def test_search_is_a_tool_for_agents(address: str) -> None:
    async def ask() -> tuple[list[str], str]:
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = await session.list_tools()
            answer = await session.call_tool("search", {"query": "blue", "top_k": 1})
            return [tool.name for tool in tools.tools], answer.content[0].text  # type: ignore[union-attr]

    with ThreadPoolExecutor(max_workers=1) as pool:  # Playwright's loop runs in this thread
        names, answer = pool.submit(lambda: asyncio.run(ask())).result()
    assert names == ["search"]
    assert "shots/blue.png" in answer


def component_of(address: str) -> int:
    with urllib.request.urlopen(f"{address}config") as config:
        components = json.load(config)["components"]
    return next(part["id"] for part in components if part["props"].get("elem_id") == "query_box")


def test_the_pages_questions_are_checked_on_the_server(address: str) -> None:
    def ask(name: str, sent: object) -> object:
        body = {"data": sent, "component_id": component_of(address), "fn_name": name, "session_hash": "forged"}
        request = urllib.request.Request(
            f"{address}gradio_api/component_server/", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    assert ask("find", {"text": "red", "top_k": 10**9})["error"]["code"] == "bad_query"  # type: ignore[index]
    assert ask("show", {"id": "../../etc/passwd"})["error"]["code"] == "item_not_found"  # type: ignore[index]
    assert ask("browse", "x" * 1_000)["error"]["code"] == "bad_query"  # type: ignore[index]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask("preprocess", {})
