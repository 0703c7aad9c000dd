"""Errors of ClickHouse and its client in words that say what to do."""

from __future__ import annotations

import os
import re

import pyarrow as pa

from lastack.model.errors import AccessError, InputError
from lastack.store.place import Place

#: Where user and password are, when the URL has none.
USER, PASSWORD = "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD"
_CODE = re.compile(r"\bcode: (\d+)", re.IGNORECASE)
_NO_DATABASE, _NO_TABLE = 81, 60
_LOGIN = frozenset({192, 193, 194, 516})
_DENIED = frozenset({164, 497})
_STOPPED = frozenset({159, 160, 394})
_NO_COLUMN = frozenset({16, 47})


class MissingTableError(InputError):
    """The database, or a table in it, is not there."""


class AwayError(InputError):
    """Nobody answers there, or the answer broke off: it may work later."""


def translated(error: Exception, place: Place) -> Exception:
    """Return what a person can do about an error of the client, or the error itself if it is none of those."""
    from clickhouse_connect.driver.exceptions import (
        Error,
        OperationalError,
        ProgrammingError,
        StreamFailureError,
    )

    where = place.shown
    if isinstance(error, pa.ArrowException | OSError | StreamFailureError) or _is_transport(error):
        return AwayError(f"{where}: the answer broke off ({_first(error)}); ask again")
    if not isinstance(error, Error):
        return error
    code = _code(error)
    if isinstance(error, ProgrammingError) and "readonly" in str(error):
        return AccessError(
            f"{where}: this user may not change settings, which questions need; give its profile readonly = 2, or none"
        )
    if code in _LOGIN:
        who = place.user or os.environ.get(USER) or "default"
        return AccessError(
            f"{where}: refuses user {who!r}, or the password; write clickhouse://USER:PASSWORD@… or set {USER} and "
            f"{PASSWORD}"
        )
    if code in _DENIED:
        return AccessError(f"{where}: this user may not do that ({_first(error)})")
    if code in (_NO_DATABASE, _NO_TABLE):
        return MissingTableError(
            f"{where}: there are no sessions of LastACK; `lastack dataset push DATASET {where}` brings some"
        )
    if code in _NO_COLUMN:
        return InputError(
            f"{where}: its tables are of another version of LastACK ({_first(error)}); "
            "`lastack dataset schema clickhouse` prints those of this one"
        )
    if code in _STOPPED:
        return InputError(f"{where}: stopped the question ({_first(error)}); ask for less")
    if isinstance(error, OperationalError) and not code:
        return AwayError(
            f"{where}: no ClickHouse answers at {place.host} ({_first(error)}); is its HTTP interface on port "
            f"{place.port or '8123'}?"
        )
    return InputError(f"{where}: {_first(error)}")


def _code(error: Exception) -> int:
    """Return the server's number of an error, 0 without one; clients before 1.2 have it in the text only."""
    told: int | None = getattr(error, "code", None)
    found = _CODE.search(str(error))
    return told or (int(found.group(1)) if found is not None else 0)


def _is_transport(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] == "urllib3"


def _first(error: Exception) -> str:
    """Return the telling part of an error's text: one line, without the URL, which may have a password."""
    text = " ".join(str(error).split())
    text = text.partition("DB::Exception: ")[2] or text
    text = text.partition(" (for url")[0].partition(" Stack trace")[0]
    text = text.partition('")) executing')[0].rpartition("): ")[2] or text
    return text[:300].rstrip(".)'\" ")
