"""Log lines as JSON: one object a line, whatever a client wrote into a name or a header."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

FIELDS = ("request_id", "method", "path", "model", "status", "milliseconds", "key")


class JsonLines(logging.Formatter):
    """Formats a record as a JSON object with time, level, logger, message and `FIELDS`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback is the string ``exception``."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: vars(record)[name] for name in FIELDS if vars(record).get(name) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "mlops_assets.serving.logs.JsonLines"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {
        "mlops_assets": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        # A request a line would outgrow the prediction log, which has every answer.
        "uvicorn.access": {"level": "WARNING"},
    },
}
