"""Large captures in pieces: where they are cut, and the proof that the pieces together are the capture.

A cut is a guess of where a record begins. It counts only when the records before it, walked one after the other from a
start that is proved, end exactly there and without a flaw. From the first piece on that fails, the rest of the capture
is read as one piece, which knows how many packets came before: numbers, notes and rows are those of one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lastack.capture.source import Capture

PIECE_BYTES = (
    256 << 20
)  #: of an uncompressed capture; about 2.5 million packets of 96 bytes, a second and a half of work


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a capture: plain data, from which the name of their result is made.

    Attributes:
        path: The capture, absolute, or an S3 URL.
        size_bytes: Its size when the run was planned.
        modified_ns: Its time then.
        start: Byte where the first record begins, None for the start of the capture.
        end: Byte after the last, None for the end of the capture.
        packets_before: Packets before the start, if they are known.
        last_ns: Time of the last of them.
        clock_ns: Taken off all times.
    """

    path: str
    size_bytes: int
    modified_ns: int
    start: int | None = None
    end: int | None = None
    packets_before: int = 0
    last_ns: int = 0
    clock_ns: int = 0

    @property
    def bytes(self) -> int:
        """How many bytes it has."""
        return (self.size_bytes if self.end is None else self.end) - (self.start or 0)

    @property
    def shown(self) -> str:
        """For people: the capture, and the bytes if it is not all of it."""
        if self.start is None and self.end is None:
            return self.path
        return f"{self.path} from byte {self.start or 0}"


def cut(whole: Piece, capture: Capture, piece_bytes: int) -> list[Piece]:
    """Return the pieces of a capture, in order; it alone if it is small, compressed, or shows no place to cut.

    Args:
        whole: The capture.
        capture: Opened, nothing read yet.
        piece_bytes: Bytes that pieces shall have.
    """
    if whole.size_bytes < 2 * piece_bytes or not capture.divisible:
        return [whole]
    starts: list[int | None] = [None]
    for number in range(1, whole.size_bytes // piece_bytes):
        found = capture.record_after(number * piece_bytes)
        if found is not None and found > (starts[-1] or 0):
            starts.append(found)
    return [
        replace(whole, start=start, end=end) for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]


def proved(pieces: Sequence[Piece], said: Sequence[dict[str, Any]], tallies: Sequence[Any]) -> int:
    """Return how many of the pieces, from the first on, are what one walk through the capture gives.

    Args:
        pieces: All pieces of a capture.
        said: What `map_piece` returned of each.
        tallies: The TALLY of each.
    """
    for number in range(len(pieces) - 1):
        # A flaw may be one of the capture, or come from a wrong start of the next piece: both need one walk.
        if not said[number]["clean"] or not tallies[number]["packets"]:
            return number
        if list(said[number]["left"]) != list(said[number + 1]["known"]):
            return 0  # interfaces were described on the way, which nobody has told the pieces that follow
    return len(pieces) if len(pieces) == 1 or said[-1]["clean"] else len(pieces) - 1


def rest_of(pieces: Sequence[Piece], good: int, tallies: Sequence[Any]) -> Piece:
    """Return what must be read as one piece when only the first `good` ones are proved."""
    if not good:
        return replace(pieces[0], start=None, end=None)
    before = sum(int(tally["packets"]) for tally in tallies[:good])
    last_ns = int(tallies[good - 1]["previous_ns"]) + pieces[good].clock_ns  # as the capture has it
    return replace(pieces[good], end=None, packets_before=before, last_ns=last_ns)
