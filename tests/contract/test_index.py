"""Whatever happens to Chroma, searches stay complete and its copy comes back: over its real server."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from search.types import Collection
from store.chroma import Chroma
from store.chroma_server import ChromaServer, free_port
from store.collection_folder import build_folder
from store.indexer import Indexer
from store.library import LocalLibrary
from tests.stored import DIM, brute_force, embeddings, found, is_indexed, item, items, wait_until

KEPT = items(400)
QUERY = embeddings(1, seed=99)[0]
BEST = brute_force(KEPT, QUERY, top_k=10)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., LocalLibrary]]:
    libraries = []

    def open_one(name: str = "data", **options: object) -> LocalLibrary:
        libraries.append(LocalLibrary(tmp_path / name, exact_up_to=0, **options))  # type: ignore[arg-type]
        return libraries[-1]

    yield open_one
    for library in libraries:
        library.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    server = ChromaServer(tmp_path / "remote", next_port=lambda: port)
    server.start().close()
    yield f"http://127.0.0.1:{port}"
    server.discard()


def filled(library: LocalLibrary) -> Collection:
    collection = library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
    collection.put(KEPT)
    return collection


def fill_and_index(library: LocalLibrary) -> None:
    collection = filled(library)
    wait_until(lambda: is_indexed(collection))


def assert_found_by_chroma(collection: Collection) -> None:
    wait_until(lambda: is_indexed(collection))
    assert found(collection, QUERY, top_k=10) == BEST
    assert collection.search(QUERY, top_k=10).via == "chroma"


def children() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if "chromadb_rust_bindings" in " ".join(one.cmdline()):
                found.append(one)
    return found


def token(data: Path) -> str:
    (catalog,) = data.glob("collections/*/*/catalog.sqlite")
    connection = sqlite3.connect(catalog)
    try:
        found: str = connection.execute("SELECT value FROM state WHERE name = 'token'").fetchone()[0]
    finally:
        connection.close()
    return found


def test_a_killed_server_is_replaced_and_searches_stay_complete_meanwhile(opened: Callable[..., LocalLibrary]) -> None:
    library = opened()
    library.start_index()
    collection = filled(library)
    wait_until(lambda: is_indexed(collection))
    (child,) = children()
    child.kill()
    while child in (now := children()) or not now or not is_indexed(collection):
        assert found(collection, QUERY, top_k=10) == BEST
    assert_found_by_chroma(collection)
    assert child not in children()


def test_a_server_that_hangs_holds_no_search_up(opened: Callable[..., LocalLibrary]) -> None:
    library = opened()
    library.start_index()
    collection = filled(library)
    wait_until(lambda: is_indexed(collection))
    (child,) = children()
    child.suspend()
    answer = collection.search(QUERY, top_k=10)  # it goes on hanging: this would wait for ever
    assert (list(zip(answer.ids, answer.scores, strict=True)), answer.via) == (BEST, "exact")
    with suppress(psutil.NoSuchProcess):  # it was replaced meanwhile
        child.kill()


def test_a_server_left_in_order_keeps_its_rows(opened: Callable[..., LocalLibrary], tmp_path: Path) -> None:
    library = opened()
    library.start_index()
    fill_and_index(library)
    library.close()
    before = token(tmp_path / "data")
    again = opened()
    again.start_index()
    assert_found_by_chroma(again.open("Holidays"))
    assert token(tmp_path / "data") == before


def overwrite(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged" * 100)


def cut_short(folder: Path) -> None:
    for path in folder.glob("*/*"):
        os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [overwrite, cut_short, shutil.rmtree])
def test_a_damaged_folder_is_rebuilt_from_the_catalog(
    opened: Callable[..., LocalLibrary], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    library = opened()
    library.start_index()
    fill_and_index(library)
    library.close()
    before = token(tmp_path / "data")
    damage(tmp_path / "data" / "chroma" / "store")
    again = opened()
    again.start_index()
    collection = again.open("Holidays")
    assert found(collection, QUERY, top_k=10) == BEST
    assert_found_by_chroma(collection)
    assert token(tmp_path / "data") != before


def test_a_folder_damaged_under_a_running_server_is_rebuilt(
    opened: Callable[..., LocalLibrary], tmp_path: Path
) -> None:
    library = opened()
    library.start_index()
    collection = filled(library)
    wait_until(lambda: is_indexed(collection))
    overwrite(tmp_path / "data" / "chroma" / "store")
    collection.put([item(900, -QUERY)])
    while not is_indexed(collection):
        assert found(collection, QUERY, top_k=10) == BEST
    assert_found_by_chroma(collection)


@pytest.mark.parametrize("taken_by", ["a socket", "another Chroma"])
def test_a_taken_port_is_left_to_who_has_it(tmp_path: Path, taken_by: str) -> None:
    other = ChromaServer(tmp_path / "other", next_port=lambda: port)
    taken = socket.socket()
    try:
        port = free_port()
        if taken_by == "a socket":
            taken.bind(("127.0.0.1", port))
            taken.listen()
        else:
            with closing(other.start()) as chroma:
                chroma.create("other-collection", token="x")
        ports = iter([port, free_port()])
        server = ChromaServer(tmp_path / "chroma", next_port=lambda: next(ports))
        try:
            with closing(server.start()) as chroma:
                assert chroma.names() == []
            assert list(ports) == []
        finally:
            server.discard()
    finally:
        taken.close()
        other.discard()


PARENT = """
import sys
from pathlib import Path
from store.library import LocalLibrary
from tests.contract.test_index import children, filled
from tests.stored import is_indexed, wait_until
library = LocalLibrary(Path(sys.argv[1]), exact_up_to=0)
library.start_index()
collection = filled(library)
wait_until(lambda: is_indexed(collection))
print(children()[0].pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_dies_with_its_parent_and_its_folder_is_not_trusted(
    opened: Callable[..., LocalLibrary], tmp_path: Path, end: signal.Signals
) -> None:
    data = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(end)
        parent.wait()
    wait_until(lambda: not psutil.pid_exists(child))
    before = token(data)
    library = opened()
    library.start_index()
    assert_found_by_chroma(library.open("Holidays"))
    assert token(data) != before


def test_a_deleted_collection_goes_from_chroma_too(opened: Callable[..., LocalLibrary], remote: str) -> None:
    library = opened(chroma_url=remote)
    library.start_index()
    fill_and_index(library)
    chroma = Chroma(remote)
    (version,) = chroma.names()
    assert version == library.open("Holidays").info.version
    library.delete("Holidays")
    wait_until(lambda: chroma.names() == [])
    chroma.close()


def test_two_installations_share_a_remote_server_and_no_rows(opened: Callable[..., LocalLibrary], remote: str) -> None:
    mine, yours = opened("mine", chroma_url=remote), opened("yours", chroma_url=remote)
    for library in (mine, yours):
        library.start_index()
    collection, other = filled(mine), filled(yours)
    other.remove([one.record.id for one in KEPT[10:]])
    assert_found_by_chroma(collection)
    wait_until(lambda: is_indexed(other))
    assert found(other, QUERY, top_k=5) == brute_force(KEPT[:10], QUERY, top_k=5)


def lose_all(chroma: Chroma, name: str) -> None:
    chroma.delete(name)


def lose_one(chroma: Chroma, name: str) -> None:
    kept = chroma.find(name)
    assert kept
    chroma.remove(kept, [7])


def replace_by_another(chroma: Chroma, name: str) -> None:
    chroma.delete(name)
    other = chroma.create(name, token="of another state")
    chroma.upsert(other, range(1, 401), embeddings(400, seed=4))


@pytest.mark.parametrize("change", [lose_all, lose_one, replace_by_another])
def test_remote_rows_that_are_not_ours_are_not_used(
    opened: Callable[..., LocalLibrary], remote: str, change: Callable[[Chroma, str], None]
) -> None:
    library = opened(chroma_url=remote)
    library.start_index()
    fill_and_index(library)
    name = library.open("Holidays").info.version
    library.close()
    chroma = Chroma(remote)
    change(chroma, name)
    again = opened(chroma_url=remote)
    again.start_index()
    assert_found_by_chroma(again.open("Holidays"))
    kept = chroma.find(name)
    assert kept and chroma.count(kept) == len(KEPT)
    chroma.close()


def test_a_remote_server_that_comes_later_is_used_from_then_on(
    opened: Callable[..., LocalLibrary], tmp_path: Path
) -> None:
    port = free_port()
    library = opened(chroma_url=f"http://127.0.0.1:{port}")
    library.start_index()
    collection = filled(library)
    wait_until(lambda: collection.health()["index"] == "down")
    assert found(collection, QUERY, top_k=10) == BEST
    server = ChromaServer(tmp_path / "remote", next_port=lambda: port)
    try:
        server.start().close()
        assert_found_by_chroma(collection)
    finally:
        server.discard()


class Otherwise(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'[{"no": "Chroma"}]')

    do_POST = do_DELETE = do_GET

    def log_message(self, *_: object) -> None: ...


def test_an_address_where_something_else_answers_is_not_used(opened: Callable[..., LocalLibrary]) -> None:
    with HTTPServer(("127.0.0.1", 0), Otherwise) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        library = opened(chroma_url=f"http://127.0.0.1:{server.server_port}")
        library.start_index()
        collection = filled(library)
        wait_until(lambda: collection.health()["index"] == "down")
        assert found(collection, QUERY, top_k=10) == BEST
        library.close()
        server.shutdown()
        thread.join()


def test_without_a_writable_collection_that_has_images_no_server_runs(
    opened: Callable[..., LocalLibrary], tmp_path: Path
) -> None:
    with build_folder(
        tmp_path / "gallery", name="gallery", model="pocket", fingerprint="p", dim=DIM, description=""
    ) as filling:
        filling.put(KEPT[:20])
    library = opened(bundled=[("gallery", tmp_path / "gallery")])
    empty = library.create("Empty", model="fake", fingerprint="fake-1", dim=DIM)
    library.start_index()
    assert library.open("gallery").search(QUERY, top_k=3).via == "exact"
    assert empty.health()["index"] == "ready"
    assert children() == []
    empty.put(KEPT[:1])
    wait_until(lambda: is_indexed(empty))
    assert len(children()) == 1


def test_a_small_collection_is_kept_in_chroma_as_well(tmp_path: Path, remote: str) -> None:
    library = LocalLibrary(tmp_path / "data", chroma_url=remote)
    library.start_index()
    collection = filled(library)
    wait_until(lambda: is_indexed(collection))
    chroma = Chroma(remote)
    kept = chroma.find(collection.info.version)
    assert kept and chroma.count(kept) == len(KEPT)
    assert collection.search(QUERY, top_k=3).via == "exact"
    chroma.close()
    library.close()


def test_rows_that_chroma_was_not_told_yet_are_merged_with_its_own(tmp_path: Path, remote: str) -> None:
    library = LocalLibrary(tmp_path / "data", exact_up_to=0)
    stored = library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
    stored.index_with(Indexer(remote))  # its thread is never started: this test decides what Chroma is told
    chroma = Chroma(remote)
    stored.put(KEPT[:300])
    assert stored.index
    stored.index.advance(chroma)
    stored.put(KEPT[300:])
    stored.remove([id for id, _ in BEST[:3]])
    rest = [one for one in KEPT if one.record.id not in {id for id, _ in BEST[:3]}]
    answer = stored.search(QUERY, top_k=10)
    assert (answer.via, stored.health()["watermark"]) == ("chroma", 300)
    assert found(stored, QUERY, top_k=10) == brute_force(rest, QUERY, top_k=10)
    chroma.close()
    library.close()


def test_a_view_no_longer_holds_once_chroma_dropped_rows_that_it_had(tmp_path: Path, remote: str) -> None:
    library = LocalLibrary(tmp_path / "data", exact_up_to=0)
    stored = library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
    stored.index_with(Indexer(remote))
    assert stored.index
    with closing(Chroma(remote)) as chroma:
        stored.put(KEPT)
        stored.index.advance(chroma)
        while stored.health()["watermark"] != stored.health()["sequence"]:
            stored.index.advance(chroma)
        view = stored.index.view()
        assert view and view.nearest(QUERY, 1) == [int(BEST[0][0].removeprefix("id-")) + 1]
        stored.remove([KEPT[7].record.id])
        assert view.nearest(QUERY, 1)
        stored.index.advance(chroma)
        assert view.nearest(QUERY, 1) is None
        later = stored.index.view()
        assert later and later.nearest(QUERY, 1)
    library.close()


def test_a_deleted_collections_folder_goes_with_the_next_start(tmp_path: Path) -> None:
    server = ChromaServer(tmp_path / "chroma")
    with closing(server.start()) as chroma:
        for name in ("kept-one", "deleted-one"):
            kept = chroma.create(name, token="x")
            chroma.upsert(kept, range(1, 1201), embeddings(1200))
            assert len(chroma.nearest(kept, QUERY, count=5)) == 5  # it is written then
        chroma.delete("deleted-one")
        server.stop()
    folders = [path.name for path in (tmp_path / "chroma" / "store").iterdir() if path.is_dir()]
    with closing(server.start()) as chroma:
        assert chroma.names() == ["kept-one"]
        kept = chroma.find("kept-one") or pytest.fail("it is gone")
        assert (chroma.count(kept), len(chroma.nearest(kept, QUERY, count=5))) == (1200, 5)
        server.stop()
    remaining = [path.name for path in (tmp_path / "chroma" / "store").iterdir() if path.is_dir()]
    assert (len(folders), len(remaining)) == (2, 1)
