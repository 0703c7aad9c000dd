"""Folders below an S3 URL, as far as datasets, captures and tasks need them: through pyarrow's own S3 client.

An object appears at once and whole when its upload ends, and there is no rename. So what must not be seen half done is
made visible by one object that is written last: the manifest of a dataset, the `done.json` of a task.

Who may read and write comes from where AWS's own tools take it: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a
profile, or the machine's role. Where the store is comes from the URL: `s3://BUCKET/KEY?endpoint_override=HOST:PORT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lastack.model.errors import AccessError, InputError, UsageError
from lastack.store.place import Place, Where, place_of

#: Options of an S3 URL that say where the store is and how to reach it.
OPTIONS = ("endpoint_override", "region", "scheme", "anonymous", "force_virtual_addressing")
_AT_ONCE_BYTES = 64 << 20
_CONNECT_S, _REQUEST_S, _TRIES = 10.0, 60.0, 4


class S3Folder:
    """A prefix in a bucket, or one object.

    Args:
        name: An S3 URL.

    Raises:
        UsageError: An option of the URL is not known.
    """

    def __init__(self, name: str | Place) -> None:
        place = place_of(name) if isinstance(name, str) else name
        if unknown := sorted(set(place.options) - set(OPTIONS)):
            raise UsageError(
                f"{place.shown}: {unknown[0]!r} is no option of an S3 URL; there are {', '.join(OPTIONS)}. "
                "Keys are not: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        self.key = place.path.strip("/")
        self.options = dict(place.options)

    def __str__(self) -> str:
        """Return the URL with its options, as it can be given again."""
        asked = f"?{urlencode(self.options, safe=':/')}" if self.options else ""
        return f"s3://{self.key}{asked}"

    def __repr__(self) -> str:
        return f"S3Folder({str(self)!r})"

    def __truediv__(self, part: str) -> S3Folder:
        return self.sibling(f"{self.key}/{part}")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    def sibling(self, key: str) -> S3Folder:
        """Return another key of the same store."""
        return S3Folder(Place(Where.s3, key, key, options=self.options))

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system that the URL means."""
        return _filesystem(tuple(sorted(self.options.items())))

    def info(self) -> tuple[int, int] | None:
        """Return the size in bytes and the time of change in ns of an object, None if there is none."""
        with told(self):
            found = self.filesystem.get_file_info(self.key)
        return (found.size, found.mtime_ns or 0) if found.is_file else None

    @property
    def size(self) -> int:
        """Bytes of the object.

        Raises:
            FileNotFoundError: There is none.
        """
        found = self.info()
        if found is None:
            raise FileNotFoundError(str(self))
        return found[0]

    def is_file(self) -> bool:
        """Return whether there is an object of this name."""
        return self.info() is not None

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all objects below, by their names from here."""
        from pyarrow import fs

        with told(self):
            below = fs.FileSelector(self.key, allow_not_found=True, recursive=True)
            found = self.filesystem.get_file_info(below)
        return {entry.path[len(self.key) + 1 :]: entry.size for entry in found if entry.is_file}

    def open(self) -> Any:
        """Return the object as a pyarrow file to read from: small ones at once, as each request takes its time.

        Raises:
            FileNotFoundError: There is none.
        """
        import pyarrow as pa

        with told(self):
            stream = self.filesystem.open_input_file(self.key)
            if stream.size() > _AT_ONCE_BYTES:
                return stream
            with stream:
                return pa.BufferReader(stream.read_buffer(stream.size()))

    def read_bytes(self) -> bytes:
        """Return what the object holds.

        Raises:
            FileNotFoundError: There is none.
        """
        with told(self), self.filesystem.open_input_file(self.key) as stream:
            return bytes(stream.readall())

    def write_bytes(self, data: bytes) -> None:
        """Replace the object; readers see the old one or the new one."""
        with told(self), self.filesystem.open_output_stream(self.key) as stream:
            stream.write(data)

    def upload(self, folder: Path) -> None:
        """Copy the files of a local folder to here, several at a time."""
        from pyarrow import fs

        with told(self):
            fs.copy_files(str(folder), self.key, fs.LocalFileSystem(), self.filesystem)

    def download(self, folder: Path) -> Path:
        """Copy all objects below to a local folder, several at a time; return it."""
        from pyarrow import fs

        folder.mkdir(parents=True, exist_ok=True)
        with told(self), suppress(FileNotFoundError):  # nothing there: nothing to copy
            fs.copy_files(self.key, str(folder), self.filesystem, fs.LocalFileSystem())
        return folder

    def remove(self) -> None:
        """Remove the object of this name, and all below it; nothing if there is none."""
        with told(self):
            found = self.filesystem.get_file_info(self.key)
            if found.is_file:
                self.filesystem.delete_file(self.key)
            elif self.sizes():
                self.filesystem.delete_dir(self.key)


def root_of(name: str | Path | S3Folder) -> Path | S3Folder:
    """Return the folder that a name means: a path, or a folder below an S3 URL.

    Raises:
        UsageError: It is the URL of something else.
    """
    if isinstance(name, S3Folder):
        return name
    place = place_of(str(name))
    if place.where is Where.clickhouse:
        raise UsageError(f"{place.shown}: is a database; name a folder or an S3 URL")
    return S3Folder(place) if place.where is Where.s3 else Path(name)


def open_input(file: Path | S3Folder) -> Any:
    """Return a file as a pyarrow file: mapped into memory, or read piece by piece from the store.

    Raises:
        FileNotFoundError: There is none.
    """
    import pyarrow as pa

    return file.open() if isinstance(file, S3Folder) else pa.memory_map(str(file))


def is_s3(name: str) -> bool:
    """Return whether a name is an S3 URL."""
    return place_of(name).where is Where.s3


@contextmanager
def told(folder: S3Folder) -> Iterator[None]:
    """Say what the store answered in one line, with the remedy; that something is not there stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as reason:
        text = str(reason).split(" (Request ID", 1)[0]
        if "NO_SUCH_BUCKET" in text:
            bucket = folder.key.partition("/")[0]
            raise InputError(f"{folder}: there is no bucket {bucket}; make it first") from None
        if "NETWORK_CONNECTION" in text or "Could not connect" in text or "resolve host" in text:
            raise InputError(
                f"{folder}: no S3 store answers there; is the endpoint_override of the URL right?"
            ) from None
        denied = ("ACCESS_DENIED", "HTTP status 403", "INVALID_ACCESS_KEY", "SIGNATURE", "credentials")
        if any(word in text for word in denied):
            raise AccessError(
                f"{folder}: the store denies access ({text}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        raise InputError(f"{folder}: the store failed ({text}); try again") from None


@cache
def _filesystem(options: tuple[tuple[str, str], ...]) -> Any:
    from pyarrow import fs  # loads AWS's client, which takes as long as a small capture

    asked: dict[str, Any] = dict(options)
    for flag in ("anonymous", "force_virtual_addressing"):
        if flag in asked:
            asked[flag] = asked[flag].lower() in ("1", "true", "yes")
    endpoint = asked.get("endpoint_override", "")
    for scheme in ("http", "https"):
        if endpoint.startswith(f"{scheme}://"):
            asked["endpoint_override"] = endpoint.removeprefix(f"{scheme}://").rstrip("/")
            asked.setdefault("scheme", scheme)
    if endpoint:
        asked.setdefault("region", "us-east-1")  # what other stores than AWS's take, or do not look at
    return fs.S3FileSystem(
        **asked,
        connect_timeout=_CONNECT_S,
        request_timeout=_REQUEST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
    )
