"""The OpenAPI document of the API, made from the same declarations that route and check its requests."""

from __future__ import annotations

from typing import Any

from lastack import __version__
from lastack.web.api import ENDPOINTS, PREFIX
from lastack.web.endpoint import Endpoint
from lastack.web.params import Param

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "parameter": {"type": "string"},
                "column": {"type": "integer", "description": "Characters before the mistake in the text."},
                "width": {"type": "integer", "description": "Characters that it spans."},
            },
        }
    },
}
_FAILURES = {
    "400": "A parameter means nothing; the message says what to write, and where in the text the mistake is.",
    "503": "Too many questions wait already, or the data cannot be read.",
    "504": "No answer within the time that the server gives to a question.",
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LastACK",
            "version": __version__,
            "description": "How TCP sessions opened and how they ended. Times in rows, and ids, are decimal texts: "
            "they are larger than what JavaScript keeps exactly. Durations are in nanoseconds, sizes in bytes.",
        },
        "paths": {f"{PREFIX}{one.path}": {"get": _operation(one)} for one in ENDPOINTS},
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(one: Endpoint) -> dict[str, Any]:
    failures = {
        **_FAILURES,
        **({"404": "There is no such session, or no packets of it."} if one.missing else {}),
    }
    return {
        "summary": one.summary,
        "description": one.help or one.summary,
        "operationId": one.path.strip("/")
        .replace("/", "_")
        .replace("{", "")
        .replace("}", "")
        .replace("-", "_"),
        "parameters": [
            *(_parameter(param, "path") for param in one.path_params),
            *(_parameter(param, "query") for param in one.params),
        ],
        "responses": {
            "200": {"description": one.summary, "content": {media: {} for media in one.media}},
            **{
                code: {
                    "description": text,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for code, text in failures.items()
            },
        },
    }


def _parameter(param: Param, place: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": param.name,
        "in": place,
        "required": param.required or place == "path",
        "description": param.help,
        "schema": param.schema(),
    }
    if param.example:
        found["example"] = param.example
    return found
