"""A ClickHouse server: connections to one database of it, and its errors in words that say what to do.

The HTTP interface is used, through clickhouse-connect. Whatever needs temporary tables has an HTTP session of its own;
all else goes without one, so that threads share a connection.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import uuid
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lastack import __version__
from lastack.model.errors import LastackError, UsageError
from lastack.query.dialect import Fragment
from lastack.query.dialect_clickhouse import SETTINGS, bind
from lastack.store.clickhouse_errors import PASSWORD, USER, translated
from lastack.store.guard import announce
from lastack.store.place import Place

if TYPE_CHECKING:  # loading the client takes longer than a small capture does
    from clickhouse_connect.driver.client import Client

#: What may follow the `?` of a URL.
OPTIONS = ("secure", "verify", "ca_cert", "connect_timeout", "timeout")
_IDLE = 8
_SETTINGS: dict[str, Any] = {
    **SETTINGS,
    "max_query_size": 64 << 20,
    "max_ast_elements": 10_000_000,  # thousands of networks in zones are one expression
    "max_expanded_ast_elements": 10_000_000,
    "distributed_product_mode": "global",
    "cancel_http_readonly_queries_on_client_close": 1,
    "output_format_arrow_low_cardinality_as_dictionary": 1,
    "output_format_arrow_string_as_string": 1,
}


class Server:
    """One database of a server.

    Args:
        place: Where it is.
        database: Whether to use the database of the place; else none, to make it.

    Raises:
        UsageError: An option of the URL is unknown or wrong, or the client is not installed.
        InputError: Nobody answers there.
        AccessError: It does not let this user in.
    """

    def __init__(self, place: Place, *, database: bool = True) -> None:
        self.place = place
        self._options = _options(place)
        self._database = place.path if database else None
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._shared = Session(self, self.connect(session=False))

    @property
    def shared(self) -> Session:
        """The connection that threads share; it has no temporary tables."""
        return self._shared

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a connection with temporary tables of its own."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or Session(self, self.connect(session=True))
        try:
            yield session
        except BaseException:
            session.close()  # its question may still be at work
            raise
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(session)
                return
        session.close()

    def close(self) -> None:
        """Let all connections go."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in [*idle, self._shared]:
            session.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self, *, session: bool) -> Client:
        """Return a new connection, with an HTTP session of its own or none."""
        connect = _client()
        if not self._options["verify"]:
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")  # the user has said so
        try:
            return connect.create_client(  # type: ignore[no-any-return]
                host=self.place.host,
                database=self._database,
                settings=_SETTINGS,
                autogenerate_session_id=session,
                client_name=f"lastack/{__version__}",
                **self._options,
            )
        except Exception as error:
            raise translated(error, self.place) from None


class Session:
    """A connection; used by one thread at a time, unless it is the shared one."""

    def __init__(self, server: Server, client: Client) -> None:
        self._server, self._client = server, client

    def rows(self, statement: Fragment) -> list[tuple[Any, ...]]:
        """Return the rows that a statement answers; nothing for one that answers none.

        Raises:
            LastackError: The server refused it or is gone.
        """
        text, texts = bind(statement)
        with self._asking() as settings:
            if not text.lstrip().upper().startswith(("SELECT", "WITH", "SHOW", "DESCRIBE")):
                self._client.command(text, texts, settings=settings)
                return []
            answer = self._client.query(text, texts, settings=settings)
            return [tuple(map(_plain, row)) for row in answer.result_rows]

    def batches(self, statement: Fragment) -> Iterator[Any]:
        """Yield what a statement answers as RecordBatches, as they come.

        Raises:
            LastackError: The server refused it, or is gone before it was done.
        """
        text, texts = bind(statement)
        with self._asking() as settings:
            stream: Any = self._client.raw_stream(text, texts, settings=settings, fmt="ArrowStream")
            try:
                with pa.ipc.open_stream(stream) as reader:
                    yield from reader
            finally:
                stream.close()

    def insert(self, table: str, rows: Any, token: str = "") -> None:
        """Add the rows of an Arrow table in one insert.

        Args:
            table: Name of the table; its columns are those of the rows.
            rows: The rows.
            token: An insert with the same token as an earlier one adds nothing, here and in materialised views.

        Raises:
            LastackError: The server refused it or is gone; it may or may not have done it.
        """
        settings: dict[str, Any] = {"max_partitions_per_insert_block": 0}
        if token:
            settings |= {
                "insert_deduplicate": 1,
                "insert_deduplication_token": token,
                "deduplicate_blocks_in_dependent_materialized_views": 1,
                "async_insert": 0,
            }
        with self._asking(settings):
            self._client.insert_arrow(table, rows, settings=settings)

    def close(self) -> None:
        """Let the connection go."""
        self._client.close()

    @contextlib.contextmanager
    def _asking(self, settings: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        question = _Question(self._server, uuid.uuid4().hex)
        announce(question)
        try:
            yield {**(settings or {}), "query_id": question.name}
        except LastackError:
            raise
        except Exception as error:
            raise translated(error, self._server.place) from None
        finally:
            question.over = True


class _Question:
    """A question at work on the server."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self.name = server, name
        self.over = False

    def interrupt(self) -> None:
        """Tell the server to stop it, once; who asks does not wait for that."""
        if not self.over:
            self.over = True
            threading.Thread(target=self._kill, name="kill", daemon=True).start()

    def _kill(self) -> None:
        with contextlib.suppress(Exception):  # it ended meanwhile, or the server is gone
            client = self._server.connect(session=False)
            try:
                client.command(f"KILL QUERY WHERE query_id = '{self.name}' ASYNC")
            finally:
                client.close()


def _plain(value: Any) -> Any:
    """Return a value of an answer as DuckDB would: addresses as 16 bytes."""
    packed = getattr(value, "packed", None)
    if packed is None:
        return value
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


def _client() -> Any:
    try:
        import clickhouse_connect
    except ImportError:
        raise UsageError(
            "clickhouse:// needs the package clickhouse-connect: install lastack[clickhouse]"
        ) from None
    for name in ("clickhouse_connect", "urllib3"):  # errors are ours to tell
        logging.getLogger(name).addHandler(logging.NullHandler())
    return clickhouse_connect


def _options(place: Place) -> dict[str, Any]:
    """Return the client's options for a place.

    Raises:
        UsageError: An option is unknown or has no such value.
    """
    given = place.options
    for name in given:
        if name not in OPTIONS:
            raise UsageError(f"{place.shown}: no option is called {name!r}; there are {', '.join(OPTIONS)}")
    secure = _flag(place, "secure", default=False)
    found: dict[str, Any] = {
        "interface": "https" if secure else "http",
        "port": place.port or (8443 if secure else 8123),
        "username": place.user if place.user is not None else os.environ.get(USER, "default"),
        "password": place.password if place.password is not None else os.environ.get(PASSWORD, ""),
        "verify": _flag(place, "verify", default=True),
        "connect_timeout": _seconds(place, "connect_timeout", 10),
        "send_receive_timeout": _seconds(place, "timeout", 600),
    }
    return found | ({"ca_cert": given["ca_cert"]} if "ca_cert" in given else {})


def _flag(place: Place, name: str, *, default: bool) -> bool:
    value = place.options.get(name)
    if value is None:
        return default
    if value not in ("0", "1"):
        raise UsageError(f"{place.shown}: {name} is 0 or 1, and {value!r} is neither")
    return value == "1"


def _seconds(place: Place, name: str, default: int) -> int:
    value = place.options.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or not 0 < int(value[:9]) < 10**8:
        raise UsageError(f"{place.shown}: {name} is a number of seconds, and {value!r} is not")
    return int(value)
