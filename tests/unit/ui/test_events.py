import json
from collections.abc import Callable

import pytest

from search.errors import StorageUnreachable
from search.types import Answer, Hit, Record
from ui.events import HITS, Events, Mark

NOON = 1_800_014_400.0  # 2027-01-15T12:00:00Z


class Kept:
    """Objects by name; refuses while it is told to."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, object]]] = {}
        self.is_away = False

    def put(self, name: str, data: bytes) -> None:
        if self.is_away:
            raise StorageUnreachable("It can't be reached.")
        assert name not in self.objects
        self.objects[name] = [json.loads(line) for line in data.splitlines()]

    @property
    def lines(self) -> list[dict[str, object]]:
        return [line for lines in self.objects.values() for line in lines]


def answer(*ids: str, weak: bool = False) -> Answer:
    def record(id: str) -> Record:
        return Record(id=id, uri=id, content_hash="0", size_bytes=1, width=1, height=1, added_at="")

    hits = [Hit(id=id, score=0.5, rank=n, record=record(id), fit=1.0) for n, id in enumerate(ids, 1)]
    return Answer("photos", "pocket", "f00d", "exact", {"encode": 1.04, "search": 2.0}, hits, weak, 9)


def events_to(place: Kept, clock: Callable[[], float] = lambda: NOON, **options: int) -> Events:
    return Events(place, clock=clock, **options)


def test_a_search_is_a_line_without_its_words() -> None:
    kept = Kept()
    events = events_to(kept)
    events.searched(answer("a", "b", weak=True), ["a red boat"])
    events.write()
    assert kept.lines == [
        {
            "time": "2027-01-15T12:00:00.000+00:00",
            "type": "search",
            "request_id": "",
            "collection": "photos",
            "fingerprint": "f00d",
            "hits": [{"id": "a", "score": 0.5}, {"id": "b", "score": 0.5}],
            "took_ms": 3.0,
            "weak": True,
        }
    ]


def test_words_are_kept_where_the_operator_asks_for_them() -> None:
    kept = Kept()
    events = Events(kept, with_queries=True)
    events.searched(answer(), ["a red boat", "people"])
    events.write()
    assert kept.lines[0]["query"] == ["a red boat", "people"]


def test_only_the_first_hits_are_kept() -> None:
    kept = Kept()
    events = events_to(kept)
    events.searched(answer(*(f"{n}" for n in range(HITS + 5))), [])
    events.write()
    hits = kept.lines[0]["hits"]
    assert isinstance(hits, list)
    assert [hit["id"] for hit in hits] == [f"{n}" for n in range(HITS)]


def test_a_mark_is_a_line_with_what_is_known() -> None:
    kept = Kept()
    events = events_to(kept)
    events.marked(Mark("a", "open", "r1", ""))
    events.write()
    assert kept.lines == [
        {"time": "2027-01-15T12:00:00.000+00:00", "type": "mark", "request_id": "r1", "id": "a", "action": "open"}
    ]


def test_each_writing_is_an_object_of_its_own_and_none_is_empty() -> None:
    kept = Kept()
    events = events_to(kept)
    events.write()
    for _ in range(2):
        events.marked(Mark("a", "open", "", ""))
        events.write()
    first, second = kept.objects
    assert first.startswith("2027/01/15/1200-")
    assert (first[-13:], second[-13:]) == ("-000001.jsonl", "-000002.jsonl")
    assert first[:-13] == second[:-13]


def test_two_processes_write_different_objects() -> None:
    kept = Kept()
    for events in (events_to(kept), events_to(kept)):
        events.marked(Mark("a", "open", "", ""))
        events.write()
    assert len(kept.objects) == 2


def test_what_can_t_be_written_is_held_in_its_order_for_the_next_time() -> None:
    kept = Kept()
    events = events_to(kept)
    kept.is_away = True
    events.marked(Mark("1", "open", "", ""))
    events.write()
    events.marked(Mark("2", "open", "", ""))
    events.write()
    kept.is_away = False
    events.write()
    assert [line["id"] for line in kept.lines] == ["1", "2"]
    assert len(kept.objects) == 1


@pytest.mark.parametrize("tries", [0, 1, 3])
def test_beyond_the_bound_the_oldest_are_dropped_and_counted(tries: int) -> None:
    kept = Kept()
    events = events_to(kept, most_held=3)
    kept.is_away = True
    for number in range(5):
        events.marked(Mark(str(number), "open", "", ""))
        for _ in range(tries):
            events.write()
    kept.is_away = False
    events.write()
    first, *others = kept.lines
    assert (first["type"], first["count"]) == ("dropped", 2)
    assert [line["id"] for line in others] == ["2", "3", "4"]


def test_what_is_left_is_written_at_the_end() -> None:
    kept = Kept()
    events = Events(kept)
    events.start()
    events.marked(Mark("a", "open", "", ""))
    events.close()
    assert [line["id"] for line in kept.lines] == ["a"]
