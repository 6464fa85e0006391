"""How log records are written: as text for people or as one JSON object a line for machines; never what is logged."""

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]
OURS = ("search", "store", "ui")
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class JsonLines(logging.Formatter):
    """The fields are listed in docs/operations.md; a record's own come from `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        own = getattr(record, "fields", None)
        fields |= own if isinstance(own, dict) else {"message": record.getMessage()}
        if record.exc_info and record.exc_info[1]:
            fields["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(fields, ensure_ascii=False, default=str)


def log_to_stderr(format: LogFormat) -> None:
    """From now on, for the whole process: our INFO and everybody's WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for ours in OURS:
        logging.getLogger(ours).setLevel(logging.INFO)
    if format == "json":  # what else writes to stderr by itself
        logging.captureWarnings(True)
        threading.excepthook = _log_thread_death


def _log_thread_death(dead: threading.ExceptHookArgs) -> None:
    if dead.exc_value is not None and not isinstance(dead.exc_value, SystemExit):
        name = dead.thread.name if dead.thread else ""
        logging.getLogger("ui.logs").error("the thread %s ended by an error", name, exc_info=dead.exc_value)
