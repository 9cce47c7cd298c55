"""How a worker process logs: text or JSON lines on stderr. Only the command line configures logging."""

from __future__ import annotations

import json
import logging
import sys
from typing import Literal

from jobsworth.snapshot import moment

LogFormat = Literal["text", "json"]


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC, ISO 8601), level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": moment(record.created),
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(form: LogFormat | None, *, verbose: bool, quiet: bool) -> None:
    """Send logs to stderr, unless the app has configured logging itself and nobody asked for a format."""
    root = logging.getLogger()
    ours = logging.getLogger("jobsworth")
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    if not root.handlers or form is not None:
        handler = logging.StreamHandler(sys.stderr)
        plain = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        handler.setFormatter(JsonLines() if form == "json" else plain)
        root.handlers[:] = [handler]
        root.setLevel(logging.WARNING if quiet else logging.INFO)
    ours.setLevel(level)
