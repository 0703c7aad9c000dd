"""One session as a rule's explanation reads it: plain values, and the words that all explanations share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lastack.diagnosis.columns import Columns, batch_of
from lastack.diagnosis.verdict import Proof
from lastack.model.units import NS_PER_S, format_duration

ENDS = {"client": "the client", "server": "the server"}
_IDLE_NS = 5 * NS_PER_S  # silences that make a reader think of a timer
_OTHER = {"client": "server", "server": "client"}
_SIDE = {"client": "clt", "server": "srv"}


class Case:
    """One row of the session record.

    Args:
        row: Column name to value, enums as words, `evidence` and `gaps` as lists of dicts.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self._batch: Any = None
        entries = row.get("evidence") or [{}]
        self._evidence: Mapping[str, Any] = entries[0]

    def __getitem__(self, name: str) -> Any:
        return self.row.get(name)

    def ev(self, member: str) -> Any:
        """Return a member of the evidence; None without evidence, or where it is absent."""
        return self._evidence.get(member)

    def of(self, stem: str, end: str) -> Any:
        """Return `stem_clt` or `stem_srv` of an end given as `client` or `server`; 0 for any other word."""
        return self.row.get(f"{stem}_{_SIDE[end]}", 0) if end in _SIDE else 0

    def ev_of(self, stem: str, end: str) -> Any:
        """Return a member of the evidence for one end; 0 if there is none."""
        return self._evidence.get(f"{stem}_{_SIDE[end]}") or 0 if end in _SIDE else 0

    @property
    def batch(self) -> Any:
        """The row as a record batch."""
        if self._batch is None:
            self._batch = batch_of([self.row])
        return self._batch

    @property
    def columns(self) -> Columns:
        """The row as columns of one row."""
        return Columns(self.batch)

    @property
    def resetter(self) -> str:
        """Who sent the first RST: `client`, `server`, or empty."""
        by = self.ev("rst_by")
        if by in ENDS:
            return str(by)
        rst = {"RSTO": "client", "RSTOS0": "client", "RSTR": "server", "RSTRH": "server", "REJ": "server"}
        return rst.get(str(self["conn_state"]), "")

    @property
    def gap(self) -> Mapping[str, Any]:
        """The latest of its phase's longest silences that ended while the session made progress, empty without one."""
        limits = [ns for ns in (self.ev("tail_progress_ns"), self["first_rst_ns"]) if ns is not None]
        gaps = [
            gap
            for gap in self["gaps"] or []
            if gap["longest"] and all(gap["start_ns"] + gap["gap_ns"] <= ns for ns in limits)
        ]
        return gaps[-1] if gaps else {}

    def rst_proof(self, shows: str = "") -> tuple[Proof, ...]:
        """Return the first RST as proof."""
        if not self.resetter:
            return ()
        text = shows or f"RST from {ENDS[self.resetter]}{self.rst_words()}"
        return (Proof(int(self.ev("rst_packet") or 0), self.ev("rst_ns") or self["first_rst_ns"], text),)

    def rst_words(self) -> str:
        """Say how the first RST was made: in answer to a segment, or by the sender's own doing."""
        flags = self.ev("rst_flags")
        if flags is None:
            return ""
        if self["opening"] == "refused":
            return " that acknowledges the SYN"
        if flags & 16:
            return " with ACK, as an end that still has the session makes it"
        return " without ACK, as a host makes it in answer to a segment"

    def fin_proof(self) -> tuple[Proof, ...]:
        """Return the first FIN of each end as proof, in order of time."""
        moments = iter(sorted(x for x in (self["first_fin_ns"], self["second_fin_ns"]) if x is not None))
        order = [letter for letter in str(self["close_order"] or "") if letter in "Ff"]
        proofs = []
        for letter in order:
            end = "client" if letter == "F" else "server"
            packet = int(self.ev_of("fin", end) or self.ev(f"fin_{_SIDE[end]}_packet") or 0)
            proofs.append(Proof(packet, next(moments, None), f"FIN from {ENDS[end]}"))
        return tuple(proofs)

    def opened_proof(self) -> tuple[Proof, ...]:
        """Return the first packet as proof of how the session began."""
        what = "SYN from the client" if self["client_by"] == "syn" else "first packet that was seen"
        return (Proof(int(self["first_packet"] or 0), self["start_ns"], what),)


def other_end(end: str) -> str:
    """Return `server` for `client` and the reverse; empty for anything else."""
    return _OTHER.get(end, "")


def the(end: str) -> str:
    """Return `the client` or `the server`; `one end` for anything else."""
    return ENDS.get(end, "one end")


def count(n: Any, word: str) -> str:
    """Return `1 byte`, `5 bytes`."""
    return f"{int(n):,} {word}{'' if int(n) == 1 else 's'}"


def after_idle(case: Case) -> str:
    """Return how long nothing had passed before the first FIN or RST, to end a clause; empty if not for long."""
    idle_ns = int(case["idle_before_close_ns"] or 0)
    return f" after {span(idle_ns)} of silence" if idle_ns >= _IDLE_NS else ""


def span(ns: Any) -> str:
    """Return a duration in words."""
    return format_duration(int(ns or 0))
