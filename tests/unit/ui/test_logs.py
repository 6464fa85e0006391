import json
import logging
import subprocess
import sys
from pathlib import Path

from ui.logs import JsonLines

ROOT = Path(__file__).parents[3]


def written(**given: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": "ui.x", "levelname": "INFO", "created": 1_795_000_000.25, **given})
    line = JsonLines().format(record)
    assert "\n" not in line
    found: dict[str, object] = json.loads(line)
    return found


def test_a_record_is_one_json_object() -> None:
    assert written(msg="indexed=%d\n", args=(3,)) == {
        "time": "2026-11-18T11:06:40.250+00:00",
        "level": "INFO",
        "logger": "ui.x",
        "message": "indexed=3\n",
    }


def test_fields_of_a_record_stand_beside_the_usual_ones() -> None:
    found = written(msg="for people", fields={"event": "request", "status": 200, "model": "naïve"})
    assert {name: value for name, value in found.items() if name != "time"} == {
        "level": "INFO",
        "logger": "ui.x",
        "event": "request",
        "status": 200,
        "model": "naïve",
    }


def test_an_exception_is_on_the_same_line() -> None:
    try:
        int("x")
    except ValueError as error:
        found = written(msg="it failed", exc_info=(type(error), error, error.__traceback__))
    assert found["message"] == "it failed"
    assert str(found["exception"]).startswith("Traceback (most recent call last):\n")
    assert str(found["exception"]).endswith("ValueError: invalid literal for int() with base 10: 'x'\n")


LOGGING = """
import logging, sys, threading, warnings
from ui.logs import log_to_stderr
log_to_stderr(sys.argv[1])
logging.getLogger("search.jobs").info("ours")
logging.getLogger("httpx").info("theirs, unimportant")
logging.getLogger("httpx").warning("theirs")
if sys.argv[1] == "json":
    warnings.warn("a warning")
    thread = threading.Thread(target=lambda: int("x"), name="worker")
    thread.start()
    thread.join()
"""


def logged(format: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", LOGGING, format], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stderr.splitlines()


def test_everything_that_a_process_logs_is_json_lines() -> None:
    ours, theirs, warning, death = (json.loads(line) for line in logged("json"))
    assert (ours["level"], ours["logger"], ours["message"]) == ("INFO", "search.jobs", "ours")
    assert (theirs["level"], theirs["logger"], theirs["message"]) == ("WARNING", "httpx", "theirs")
    assert (warning["logger"], "a warning" in warning["message"]) == ("py.warnings", True)
    assert death["message"] == "the thread worker ended by an error"
    assert death["exception"].endswith("ValueError: invalid literal for int() with base 10: 'x'\n")


def test_for_people_it_is_text() -> None:
    assert [line.split(" ", 2)[2] for line in logged("text")] == ["INFO search.jobs ours", "WARNING httpx theirs"]
