import itertools
import json
from contextlib import closing
from pathlib import Path

from tests.contract.served import open_workspace
from ui.api_query import read_search
from ui.batches import BatchLimits, answer_lines
from ui.picture_urls import no_thumb_url


def test_lines_that_are_not_reached_in_time_are_told_so_and_those_before_are_answered(tmp_path: Path) -> None:
    seconds = itertools.count()
    with closing(open_workspace(tmp_path)) as opened:
        reply = answer_lines(
            opened,
            b'{"query": "red", "top_k": 1}\n' * 4,
            read=read_search,
            thumb_url=no_thumb_url,
            limits=BatchLimits(within_s=2),
            request_id="abc",
            clock=lambda: float(next(seconds)),
        )
    *done, late, later = (json.loads(line) for line in reply.body.splitlines())
    assert [answer["hits"][0]["id"] for answer in done] == ["red", "red"]
    assert late == later
    assert late["error"] == {
        "code": "timed_out",
        "message": "The lines before took 2 s: send fewer lines in one request.",
        "request_id": "abc",
    }
    assert (reply.work.lines, reply.work.bad_lines, reply.work.collection) == (4, 2, "colours")
