"""Tells where something is from how people name it: a folder or file, an S3 URL, or a database of ClickHouse.

This is the only module that reads such URLs. Nothing is opened here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from lastack.model.errors import UsageError

#: URL schemes, and what each names.
CLICKHOUSE = "clickhouse"
S3 = "s3"
_NAMES = "clickhouse://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE"
_LARGEST_PORT = 65_535


class Where(enum.Enum):
    """What kind of place a name means."""

    local = "a file or folder"
    s3 = "an S3 URL"
    clickhouse = "a ClickHouse database"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is.

    Attributes:
        where: What kind of place it is.
        name: As it was written, with any password.
        host: Host of the server, of a ClickHouse database.
        port: Its port, None for the usual one.
        user: Name to log in with, None if none was given.
        password: Password to log in with, None if none was given.
        path: The database of ClickHouse; bucket and key of S3; the path of a file or folder.
        options: What follows the `?`, by name.
    """

    where: Where
    name: str = field(repr=False)
    path: str
    host: str = ""
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The name without user, password and options, for messages and pages."""
        if self.where is Where.local:
            return self.name
        if self.where is Where.s3:
            return f"{S3}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{CLICKHOUSE}://{host}{port}/{quote(self.path)}"

    @property
    def last(self) -> str:
        """The last part of the name: what a person calls it."""
        return self.path.rstrip("/").rpartition("/")[2] or self.shown


def place_of(name: str) -> Place:
    """Return the place that a name means; a name without one of the known schemes is a file or folder.

    Args:
        name: A path, `s3://BUCKET/KEY…` or `clickhouse://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?OPTION=VALUE…]`. User,
            password and database may have `%40` and the like for letters that mean something in URLs.

    Raises:
        UsageError: It has one of the schemes, and something is missing or wrong in it.
    """
    scheme, colon, rest = name.partition("://")
    if not colon or scheme.lower() not in (CLICKHOUSE, S3):
        return Place(Where.local, name, name)
    if scheme.lower() == S3:
        path, _, asked = rest.partition("?")
        if not path.strip("/"):
            raise UsageError(f"{name}: names no bucket; write s3://BUCKET/FOLDER")
        return Place(Where.s3, name, path, options=dict(parse_qsl(asked, keep_blank_values=True)))
    return _database(name)


def is_url(name: str) -> bool:
    """Return whether a name is a URL of a place that is not on this machine's file system."""
    return name.partition("://")[0].lower() in (CLICKHOUSE, S3) and "://" in name


def is_database(name: str) -> bool:
    """Return whether a name is the URL of a ClickHouse database."""
    return name.lower().startswith(f"{CLICKHOUSE}://")


def shown(name: str) -> str:
    """Return a name as pages and messages may show it: without who logs in to a database, and with what password."""
    return place_of(name).shown if is_database(name) else name


def _database(name: str) -> Place:
    try:
        parts = urlsplit(name)
        port = parts.port
    except ValueError:
        raise UsageError(
            f"{_hidden(name)}: this is no URL (a port is 1 to {_LARGEST_PORT}); write {_NAMES}"
        ) from None
    path = unquote(parts.path.strip("/"))
    if not parts.hostname:
        raise UsageError(f"{_hidden(name)}: names no host; write {_NAMES}")
    if not path:
        raise UsageError(f"{_hidden(name)}: names no database; write {_NAMES}")
    if "/" in path:
        raise UsageError(f"{_hidden(name)}: {path!r} is no database, as it has a /; write {_NAMES}")
    return Place(
        Where.clickhouse,
        name,
        path,
        parts.hostname,
        port,
        unquote(parts.username) if parts.username is not None else None,
        unquote(parts.password) if parts.password is not None else None,
        dict(parse_qsl(parts.query, keep_blank_values=True)),
    )


def _hidden(name: str) -> str:
    """Return a URL that could not be read without what may be a password."""
    scheme, _, rest = name.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
