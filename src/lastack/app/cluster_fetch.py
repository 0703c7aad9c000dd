"""Captures where tasks can read them: as they lie on a disk, or a piece of an object of an S3 store, fetched.

A fetched piece becomes a sparse file of the object's size, with only its first bytes and those of the piece: it is
opened, mapped and walked like any other, and places in it are those of the object.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lastack.app.cluster_pieces import Piece
from lastack.capture.source import Capture, open_capture
from lastack.kernels.resync import REACH
from lastack.model.errors import InputError, LastackError
from lastack.store.s3 import S3Folder, is_s3

_HEAD_BYTES = 4 << 20  # what tells the kind of a capture, its interfaces and the time of its first packet
_CHUNK_BYTES = 8 << 20


def whole_of(path: str) -> Piece:
    """Return a capture as one piece, with its size and time as they are now.

    Raises:
        InputError: There is no such file or object.
    """
    if is_s3(path):
        found = S3Folder(path).info()
        if found is None:
            raise InputError(f"{path}: not found; check the name of the object")
        return Piece(str(S3Folder(path)), *found)
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise InputError(f"{path}: not found; every worker must see it under this name") from None
    return Piece(str(Path(path).absolute()), status.st_size, status.st_mtime_ns)


@contextmanager
def opened(piece: Piece) -> Iterator[Capture]:
    """Yield a capture of which the bytes of a piece can be read.

    Raises:
        InputError: It is not a capture, or it changed since the run was planned: its result would get a wrong name.
    """
    _same(piece)
    if is_s3(piece.path):
        wanted = [(0, _HEAD_BYTES), (piece.start or 0, piece.end or piece.size_bytes)]
        with _fetched(piece, wanted) as capture:
            yield capture
    else:
        with open_capture(piece.path) as capture:
            yield capture
    _same(piece)


@contextmanager
def opened_head(path: str, cuts_bytes: int = 0) -> Iterator[Capture]:
    """Yield a capture of which only the start can be read, and what is needed to cut it.

    Args:
        path: A file, or the URL of an object.
        cuts_bytes: Distance of the cuts, 0 for none.
    """
    if not is_s3(path):
        with open_capture(path) as capture:
            yield capture
        return
    whole = whole_of(path)
    wanted = [(0, _HEAD_BYTES)]
    if cuts_bytes and whole.size_bytes >= 2 * cuts_bytes:
        places = range(cuts_bytes, whole.size_bytes, cuts_bytes)
        wanted += [(place, place + REACH) for place in places]
    with _fetched(whole, wanted) as capture:
        yield capture


@contextmanager
def _fetched(piece: Piece, wanted: Sequence[tuple[int, int]]) -> Iterator[Capture]:
    remote = S3Folder(piece.path)
    with tempfile.TemporaryDirectory(prefix="lastack-") as folder:
        local = Path(folder) / remote.name
        with local.open("wb") as copy, remote.open() as source:
            copy.truncate(piece.size_bytes)
            reached = 0
            for first, until in wanted:
                first, until = max(first, reached), min(until, piece.size_bytes)
                while first < until:
                    source.seek(first)
                    copy.seek(first)
                    data = source.read(min(_CHUNK_BYTES, until - first))
                    if not data:
                        raise InputError(f"{piece.path}: became shorter while it was read; run again")
                    copy.write(data)
                    first += len(data)
                reached = max(reached, until)
        try:
            with open_capture(local) as capture:
                yield capture
        except LastackError as reason:
            raise type(reason)(str(reason).replace(str(local), piece.path)) from None


def _same(piece: Piece) -> None:
    now = whole_of(piece.path)
    if (now.size_bytes, now.modified_ns) != (piece.size_bytes, piece.modified_ns):
        raise InputError(f"{piece.path}: changed while the run was under way; run again when it is whole")
