"""What was acknowledged is there after kill -9 at any moment."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from search.errors import DiskFull, StoreBusy
from search.types import Collection, Item
from store.catalog import Catalog
from store.collection import StoredCollection
from store.collection_folder import create_folder
from store.library import LocalLibrary
from store.manifest import new_info
from tests.stored import DIM, brute_force, embeddings, found, item, items

WRITER = """
import random, sys
from pathlib import Path
from search.errors import CollectionNotFound
from store.library import LocalLibrary
from tests.contract.test_durability import numbered
from tests.stored import DIM
library = LocalLibrary(Path(sys.argv[1]), exact_up_to=0)
try:
    collection = library.open("Holidays")
except CollectionNotFound:
    collection = library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
library.start_index()
dice = random.Random(sys.argv[2])
while True:
    numbers = dice.sample(range(500), 8)
    print("putting", *numbers, flush=True)
    collection.put([numbered(number) for number in numbers])
    print("put", *numbers, flush=True)
    gone = dice.sample(range(500), 2)
    print("removing", *gone, flush=True)
    collection.remove([numbered(number).record.id for number in gone])
    print("removed", *gone, flush=True)
"""


def numbered(number: int) -> Item:
    return item(number, embeddings(1, seed=number)[0], thumbnail=b"webp %d" % number)


def test_ten_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    dice = random.Random(7)
    kept, acknowledged = set[int](), 0
    for turn in range(10):
        unsure = set[int]()
        for act, *numbers in _write_until_killed(
            tmp_path, seed=turn, lines=dice.randint(1, 60), after_s=dice.uniform(0, 0.02)
        ):
            these = {int(number) for number in numbers}
            if act in ("put", "removed"):
                kept = kept | these if act == "put" else kept - these
                acknowledged += 1
            unsure = these if act in ("putting", "removing") else set()
        now = _kept(tmp_path)
        assert kept - unsure <= now <= kept | unsure
        kept = now
    assert acknowledged > 20


def _write_until_killed(data: Path, *, seed: int, lines: int, after_s: float) -> list[list[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(data), str(seed)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        killer = threading.Timer(after_s, writer.kill)
        killer.start()
        said += writer.stdout.readlines()
        killer.join()
    return [line.split() for line in said if line.endswith("\n")]


def _kept(data: Path) -> set[int]:
    """What is there now, which must be whole."""
    library = LocalLibrary(data, write=False)
    collection = library.open("Holidays")
    kept = {number for number in range(500) if collection.records([numbered(number).record.id])}
    query = embeddings(1, seed=1000)[0]
    assert found(collection, query, top_k=600) == brute_force(map(numbered, kept), query, top_k=600)
    assert all(collection.thumbnail(numbered(number).record.id) == b"webp %d" % number for number in kept)
    library.close()
    return kept


def test_a_full_disk_keeps_nothing_of_a_batch_and_harms_nothing_that_was_there(tmp_path: Path) -> None:
    info = new_info("Holidays", model="fake", fingerprint="fake-1", dim=DIM, description="")
    create_folder(tmp_path / "folder", info)
    catalog = Catalog(tmp_path / "folder" / "catalog.sqlite", mode="write", dim=DIM)
    collection: Collection = StoredCollection(tmp_path / "folder", info, catalog)
    collection.put([Item(one.record, one.embedding, b"webp") for one in items(10)])
    catalog.write(lambda connection, _: connection.execute("PRAGMA max_page_count = 30").close())
    with pytest.raises(DiskFull, match="Free some space"):
        collection.put([Item(one.record, one.embedding, b"webp") for one in items(600, start=100)])
    query = embeddings(1)[0]
    assert found(collection, query, top_k=20) == brute_force(items(10), query, top_k=20)
    assert len(list((tmp_path / "folder" / "thumbs").rglob("*.webp"))) == 10
    collection.put(items(1, start=50))
    assert len(collection) == 11
    collection.close()


def test_a_reader_opens_beside_the_writer_and_a_second_writer_is_refused(tmp_path: Path) -> None:
    writer = LocalLibrary(tmp_path)
    collection = writer.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
    collection.put(items(20))
    reader = LocalLibrary(tmp_path, write=False)
    query = np.full(DIM, DIM**-0.5, np.float32)
    assert found(reader.open("Holidays"), query, top_k=5) == brute_force(items(20), query, top_k=5)
    with pytest.raises(StoreBusy):
        LocalLibrary(tmp_path)
    reader.close()
    collection.put(items(1, start=30))
    assert len(collection) == 21
    writer.close()


def test_a_thumbnail_that_a_power_cut_left_empty_is_written_again(tmp_path: Path) -> None:
    library = LocalLibrary(tmp_path)
    collection = library.create("Holidays", model="fake", fingerprint="fake-1", dim=DIM)
    collection.put([numbered(1)])
    (path,) = tmp_path.glob("collections/Holidays/*/thumbs/*/*.webp")
    path.write_bytes(b"")
    collection.put([numbered(1)])
    assert collection.thumbnail(numbered(1).record.id) == b"webp 1"
    library.close()
