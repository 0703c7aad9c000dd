"""Errors as JSON that a program, and the page around a filter, can act on."""

from __future__ import annotations

import re
from typing import Any

from lastack.model.errors import AccessError, InputError, LastackError, UsageError
from lastack.web.endpoint import MissingError
from lastack.web.jobs import BusyError, StoppedError
from lastack.web.params import BadParameterError

_CARETS = re.compile(r"\A(?P<say>.*)\n  (?P<text>[^\n]*)\n  (?P<before> *)(?P<carets>\^+)\Z", re.DOTALL)
_SUBJECTS = {"filter": "filter", "metrics": "metrics", "keys": "by", "having": "having", "sort": "sort"}
_FOLDER = re.compile(r"(?<![\w.])/(?:[^/\s:'\"]+/)+")


def problem(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the JSON of an error.

    Args:
        error: What was raised; an error that is not ours becomes a 500 that tells nothing of the inside.
    """
    status, code = _kind(error)
    if code == "internal":
        return status, {"error": {"code": code, "message": "an error of LastACK itself; its log has more"}}
    message = str(error)
    found: dict[str, Any] = {"code": code}
    match = _CARETS.match(message)
    if match is not None:
        message = match["say"]
        found |= {"text": match["text"], "column": len(match["before"]), "width": len(match["carets"])}
    parameter = (
        error.name if isinstance(error, BadParameterError) else _SUBJECTS.get(message.partition(":")[0])
    )
    if parameter:
        found["parameter"] = parameter
    # What a server's folders are called is nobody's business.
    found["message"] = without_folders(message) if code in ("unreadable", "missing") else message
    return status, {"error": found}


def without_folders(text: str) -> str:
    """Return a text with the names of files but not their folders."""
    return _FOLDER.sub("", text)


def _kind(error: Exception) -> tuple[int, str]:
    match error:
        case MissingError():
            return 404, "missing"
        case UsageError():
            return 400, "bad_request"
        case StoppedError():
            return 504, "stopped"
        case BusyError():
            return 503, "busy"
        case InputError() | AccessError():
            return 503, "unreadable"
        case LastackError():
            return 400, "bad_request"
    if type(error).__module__.partition(".")[0] in ("duckdb", "_duckdb"):
        return _database(error)
    return 500, "internal"


def _database(error: Exception) -> tuple[int, str]:
    name = type(error).__name__
    if name == "OutOfMemoryException":
        return 503, "too_large"
    if name in ("OutOfRangeException", "ConversionException"):
        return 400, "out_of_range"
    return 500, "internal"
