"""Lets DuckDB read segments in an S3 store, without an extension of its own: it asks for bytes, pyarrow fetches them.

Only the columns and row groups that a question needs are fetched.
"""

from __future__ import annotations

import datetime
import importlib
from typing import TYPE_CHECKING, Any

from lastack.model.errors import UsageError
from lastack.store.s3 import S3Folder

if TYPE_CHECKING:  # loading DuckDB takes longer than a small capture does
    import duckdb

_SCHEME = "lastack"
_STORES: list[S3Folder] = []  # one key of each store that datasets of this process are in


def file_name(file: S3Folder) -> str:
    """Return the name by which DuckDB asks for an object: the `?` of a URL would be a pattern to it.

    Connections that `register` is called with later can read from its store.
    """
    for number, store in enumerate(_STORES):
        if store.options == file.options:
            return f"{_SCHEME}://{number}/{file.key}"
    _STORES.append(file)
    return f"{_SCHEME}://{len(_STORES) - 1}/{file.key}"


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection read what `file_name` names.

    Raises:
        UsageError: A dataset is in an S3 store, and fsspec is not installed.
    """
    if not _STORES:
        return
    try:
        base: Any = importlib.import_module("fsspec").AbstractFileSystem
    except ImportError:
        raise UsageError("a dataset in an S3 store is read with fsspec: pip install 'lastack[s3]'") from None

    class Stores(base):  # type: ignore[misc]  # fsspec tells no types
        """Objects of all stores, as far as DuckDB asks for them."""

        protocol = _SCHEME
        cachable = False

        def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
            return _object(path).open()

        def info(self, path: str, **_: Any) -> dict[str, Any]:
            return {"name": path, "size": _object(path).size, "type": "file"}

        def glob(self, path: str, **_: Any) -> list[str]:
            """Return the one object that a name means."""
            return [path.removeprefix(f"{_SCHEME}://")]

        def modified(self, path: str) -> Any:
            """Return a time: segments never change."""
            return datetime.datetime.fromtimestamp(0, datetime.UTC)

    connection.register_filesystem(Stores())


def _object(path: str) -> S3Folder:
    number, _, key = path.removeprefix(f"{_SCHEME}://").partition("/")
    return _STORES[int(number)].sibling(key)
