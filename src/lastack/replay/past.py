"""What is known of each session's past: the columns of the record that a box's timers are judged by, as arrays.

Strays (packets of no session) are left out: no box keeps an entry for them that outlives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lastack.model.enums import Closer, EndpointState, Opening, PacketKind, RstSeq, TimerPhase
from lastack.model.fields import BY_NAME
from lastack.replay.columns import NEVER, codes, list_rows, moments, one_array, valid, whole_numbers
from lastack.replay.lanes import STAGES, Stage

#: Entries of a gap profile that a session keeps at most (docs/reference/definitions.md, section 5).
MOST_GAPS = 64
#: Retries that a session keeps at most.
MOST_RETRIES = 24

_COLUMNS = (
    "session_id", "start_ns", "end_ns", "syn_to_synack_ns", "ct_ns", "first_fin_ns", "second_fin_ns", "closed_ns",
    "first_rst_ns", "opening", "half_closed_by", "rst_seq", "state_clt", "state_srv",
    "bytes_clt", "bytes_srv", "packets_clt", "packets_srv", "syn_clt", "syn_srv", "synack_clt", "synack_srv",
    "fin_clt", "fin_srv", "rst_clt", "rst_srv", "previous_id", "history", "unacked_bytes_clt",
    "unacked_bytes_srv", "gaps", "marks", "retries",
)  # fmt: skip

#: Columns to read for a what-if, in the record's order.
COLUMNS: tuple[str, ...] = tuple(name for name in BY_NAME if name in _COLUMNS)


@dataclass(frozen=True, slots=True)
class Silences:
    """Silences of all sessions, in order of session and time: left-to-right maxima in each timer phase.

    Attributes:
        row: Session that each belongs to.
        stage: Stage it fell in.
        start_ns: The packet before it.
        gap_ns: Its length.
        sent: What client and server had sent before it: payload of each, packets of each; shape (silences, 4).
        unacked: Something sent was not acknowledged.
        stalled: The last packet said a window of 0, or several only repeated.
        fin_again: A FIN had come more than once.
        next: `PacketKind` of the packet that ended it.
    """

    row: NDArray[np.int64]
    stage: NDArray[np.uint8]
    start_ns: NDArray[np.int64]
    gap_ns: NDArray[np.int64]
    sent: NDArray[np.int64]
    unacked: NDArray[np.bool_]
    stalled: NDArray[np.bool_]
    fin_again: NDArray[np.bool_]
    next: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Marks:
    """Silences of half-closes by the time since the first FIN, and what had been sent before (as `Silences`)."""

    row: NDArray[np.int64]
    since_ns: NDArray[np.int64]
    age_ns: NDArray[np.int64]
    sent: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Retries:
    """What came again while sessions opened, in order of session and time.

    Attributes:
        row: Session that each belongs to.
        ns: When.
        kind: 0 for a SYN, 1 for a SYN-ACK.
        answered: Whether a SYN-ACK had come before.
    """

    row: NDArray[np.int64]
    ns: NDArray[np.int64]
    kind: NDArray[np.int64]
    answered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Past:
    """Sessions as timers see them; times are nanoseconds since the epoch, `NEVER` for what did not happen.

    Attributes:
        session_id: Their ids.
        start: First packet.
        end: Last packet.
        enters: Moment at which each stage began, shape (sessions, STAGES); a stage that began only in between and
            whose moment is not kept (the first FIN's ACK) stays `NEVER`.
        last: Stage of the last packet.
        closer: 0 when the client closed first or nobody did, 1 for the server.
        by_responder: 1 when the end closed first that a box takes for the responder: of a session that it meets in
            the middle, who did not send the first packet.
        unacked: At the end, payload was not acknowledged.
        sent: All that was sent: payload of client and server, packets of both; shape (sessions, 4).
        met: The box has known the session before the capture did (mid-stream, SYN-ACK only).
        repeated_syn: A SYN came more than once: it makes an entry again.
        tried: A SYN or SYN-ACK came more than once, and `retries` has the moments of all of them.
        only_syns: Nothing but SYNs came, so that every packet makes the entry that it may need.
        repeated_answer: A SYN-ACK came more than once.
        repeated_fin: A FIN came more than once.
        unseen_open: It was established, but not by a handshake that was seen whole: when is not known.
        odd: A box may read its packets differently: a RST of doubtful worth or in one packet with a FIN, ports that
            were in use, a simultaneous open, a start in the middle with a RST; or it had more silences than its gap
            profile holds.
        silences: Gap profiles.
        marks: Silences of half-closes.
        retries: What came again in openings that are `tried`.
    """

    session_id: NDArray[np.uint64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    enters: NDArray[np.int64]
    last: NDArray[np.uint8]
    closer: NDArray[np.uint8]
    by_responder: NDArray[np.uint8]
    unacked: NDArray[np.bool_]
    sent: NDArray[np.int64]
    met: NDArray[np.bool_]
    repeated_syn: NDArray[np.bool_]
    tried: NDArray[np.bool_]
    only_syns: NDArray[np.bool_]
    repeated_answer: NDArray[np.bool_]
    repeated_fin: NDArray[np.bool_]
    unseen_open: NDArray[np.bool_]
    odd: NDArray[np.bool_]
    silences: Silences
    marks: Marks
    retries: Retries

    def __len__(self) -> int:
        return len(self.start)

    @property
    def again(self) -> NDArray[np.bool_]:
        """Sessions in which SYNs or FINs came again at a moment that the record does not tell."""
        return (self.repeated_syn & ~self.tried) | self.repeated_fin

    def take(self, which: NDArray[np.bool_]) -> Past:
        """Return some of the sessions, in their order."""
        if which.all():
            return self
        place = np.cumsum(which) - 1
        columns: dict[str, Any] = {}
        for name in Past.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Silences | Marks | Retries):
                rows = which[value.row]
                parts = {part: getattr(value, part)[rows] for part in type(value).__dataclass_fields__}
                columns[name] = type(value)(**{**parts, "row": place[parts["row"]]})
            else:
                columns[name] = value[which]
        return Past(**columns)


def past_of(batch: Any, on_used_ports: NDArray[np.uint64] | None = None) -> Past:
    """Return the past of the sessions in a batch of the session record.

    Args:
        batch: RecordBatch or Table with at least `COLUMNS`; strays are left out.
        on_used_ports: Ids of sessions whose ports were in use, sorted; None looks for them in the batch, which must
            then hold all sessions.
    """
    opening = codes(one_array(batch, "opening"), Opening)
    if (opening == Opening.stray).any():
        keep = pa.array(opening != Opening.stray)
        batch, opening = batch.filter(keep), opening[opening != Opening.stray]
    start, end = moments(batch, "start_ns"), moments(batch, "end_ns")
    n = len(start)
    sent = np.concatenate([_pairs(batch, "bytes"), _pairs(batch, "packets")], axis=1)
    counts = {name: _pairs(batch, name) for name in ("syn", "synack", "fin", "rst")}
    closer = codes(one_array(batch, "half_closed_by"), Closer)
    met = (opening == Opening.midstream) | (opening == Opening.synack_only)
    rst_seq = codes(one_array(batch, "rst_seq"), RstSeq)
    reset = _both_closed(batch)
    rst = moments(batch, "first_rst_ns")
    enters = _enters(batch, start, opening, reset, rst, rst_seq)
    rows, entries = list_rows(one_array(batch, "gaps"))
    more = ~reset | ((counts["rst"].sum(axis=1) > 1) & (rst_seq != RstSeq.exact))
    odd = (rst != NEVER) & (more | (rst_seq == RstSeq.unknown) | (met & (rst == start)))
    odd |= opening == Opening.simultaneous
    fins = [moments(batch, name) for name in ("first_fin_ns", "second_fin_ns")]
    odd |= (rst != NEVER) & ((rst == fins[0]) | (rst == fins[1]))
    opened = (opening == Opening.established) | (opening == Opening.simultaneous)
    only_syns: NDArray[np.bool_] = sent[:, 2:].sum(axis=1) == counts["syn"].sum(axis=1)
    last = _last(enters, n, _acknowledged(batch))
    if on_used_ports is None:
        odd |= _in_use(batch, start, end, last, odd, met)
    elif len(on_used_ports):
        odd |= np.isin(whole_numbers(one_array(batch, "session_id")), on_used_ports)
    odd |= np.bincount(rows, minlength=n) >= MOST_GAPS
    tried, retries = _retries(batch, opening, counts, enters)
    return Past(
        whole_numbers(one_array(batch, "session_id")),
        start,
        end,
        enters,
        last,
        (closer == Closer.server).astype(np.uint8),
        _by_responder(batch, closer, opening),
        _pairs(batch, "unacked_bytes").sum(axis=1) > 0,
        sent,
        met,
        counts["syn"].sum(axis=1) > 1,
        tried & ~odd,
        only_syns,
        counts["synack"].sum(axis=1) > 1,
        (counts["fin"] > 1).sum(axis=1) > 0,
        np.asarray(opened & ~valid(one_array(batch, "ct_ns"))),
        np.asarray(odd),
        _silences(rows, entries, rst_seq),
        _marks(batch),
        retries,
    )


def _pairs(batch: Any, name: str) -> NDArray[np.int64]:
    sides = [whole_numbers(one_array(batch, f"{name}_{side}")).astype(np.int64) for side in ("clt", "srv")]
    return np.stack(sides, axis=1)


def _by_responder(batch: Any, closer: NDArray[np.uint8], opening: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return whether what a box takes for the responder closed first (docs/explain/timers.md)."""
    server: NDArray[np.bool_] = closer == Closer.server
    middle = opening == Opening.midstream
    if middle.any():
        # The first letter of a history tells by its case who sent the first packet.
        history = one_array(batch, "history")
        if not pa.types.is_dictionary(history.type):
            history = history.dictionary_encode()
        lower = np.array([text[:1].islower() for text in history.dictionary.to_pylist()] or [False], np.bool_)
        server = server ^ (middle & lower[whole_numbers(history.indices)] & (closer != Closer.none))
    return server.astype(np.uint8)


def _both_closed(batch: Any) -> NDArray[np.bool_]:
    """Return which sessions a RST ended: both ends are CLOSED after no other event (definitions, section 5)."""
    states = [codes(one_array(batch, name), EndpointState) for name in ("state_clt", "state_srv")]
    result: NDArray[np.bool_] = (states[0] == EndpointState.CLOSED) & (states[1] == EndpointState.CLOSED)
    return result


def _acknowledged(batch: Any) -> NDArray[np.int64]:
    """Return how many FINs the states at the end tell to be acknowledged."""
    client, server = (codes(one_array(batch, name), EndpointState) for name in ("state_clt", "state_srv"))
    done = np.zeros(len(client), np.int64)
    for state in (client, server):
        done += np.isin(state, [EndpointState.FIN_WAIT_2, EndpointState.TIME_WAIT, EndpointState.CLOSED])
    return done


def _enters(
    batch: Any, start: NDArray[np.int64], opening: NDArray[np.uint8], reset: NDArray[np.bool_],
    rst: NDArray[np.int64], rst_seq: NDArray[np.uint8],
) -> NDArray[np.int64]:  # fmt: skip
    """Return when each stage began, never before the one that it follows."""
    enters = np.full((len(start), STAGES), NEVER, np.int64)
    met = (opening == Opening.midstream) | (opening == Opening.synack_only)
    enters[~met, Stage.syn_sent] = start[~met]
    for stage, name in ((Stage.syn_recv, "syn_to_synack_ns"), (Stage.established, "ct_ns")):
        later = whole_numbers(one_array(batch, name), NEVER).astype(np.int64)
        known = later != NEVER
        enters[known, stage] = start[known] + later[known]
    opened = (opening == Opening.established) | (opening == Opening.simultaneous)
    unknown = opened & (enters[:, Stage.established] == NEVER)
    # Established by something else than a whole handshake: the answer is the best that is known.
    answer = np.where(enters[:, Stage.syn_recv] == NEVER, start, enters[:, Stage.syn_recv])
    enters[unknown, Stage.established] = answer[unknown]
    enters[opening == Opening.midstream, Stage.established] = start[opening == Opening.midstream]
    enters[opening == Opening.synack_only, Stage.syn_recv] = start[opening == Opening.synack_only]
    enters[:, Stage.fin1] = moments(batch, "first_fin_ns")
    enters[:, Stage.fin2] = moments(batch, "second_fin_ns")
    enters[:, Stage.closed] = moments(batch, "closed_ns")
    exact = reset & (rst_seq != RstSeq.window)
    enters[exact, Stage.rst] = rst[exact]
    enters[reset & ~exact, Stage.rst_unverified] = rst[reset & ~exact]
    # What comes after a RST changes nothing any more, and a FIN outdoes a handshake that is not complete.
    over = np.where(reset, rst, NEVER)
    for stage in (Stage.syn_recv, Stage.established, Stage.fin1, Stage.fin2, Stage.closed):
        enters[enters[:, stage] > over, stage] = NEVER
    closing = enters[:, Stage.fin1]
    for stage in (Stage.syn_recv, Stage.established):
        enters[enters[:, stage] > closing, stage] = NEVER
    return enters


def _last(enters: NDArray[np.int64], n: int, acknowledged: NDArray[np.int64]) -> NDArray[np.uint8]:
    last = np.zeros(n, np.uint8)
    for stage in (Stage.syn_recv, Stage.established, Stage.fin1, Stage.fin2, Stage.rst, Stage.rst_unverified):
        last[enters[:, stage] != NEVER] = stage
    last[(last == Stage.fin1) & (acknowledged > 0)] = Stage.fin1_acked
    last[(last == Stage.fin2) & (acknowledged > 1)] = Stage.closed
    return last


def _in_use(
    batch: Any,
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    last: NDArray[np.uint8],
    doubtful: NDArray[np.bool_],
    met: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which sessions began on ports whose earlier session was not over, and which went on beside a later one.

    To a box both may be one session: only a SYN begins a new one, and only when the earlier one is over. An earlier
    one that is not in the batch is not known to be over.
    """
    odd = np.zeros(len(start), np.bool_)
    previous = one_array(batch, "previous_id")
    reused = np.flatnonzero(valid(previous))
    if len(reused) == 0:
        return odd
    ids = whole_numbers(one_array(batch, "session_id"))
    order = np.argsort(ids)
    wanted = whole_numbers(previous)[reused]
    place = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    found = ids[place] == wanted
    over = np.isin(last[place], (Stage.fin2, Stage.closed, Stage.rst, Stage.rst_unverified))
    beside = found & (end[place] >= start[reused])
    odd[reused] = ~found | ~over | beside | doubtful[place] | met[reused]
    odd[place[beside]] = True
    return odd


def _silences(rows: NDArray[np.int64], entries: Any, rst_seq: NDArray[np.uint8]) -> Silences:
    phase = codes(entries.field("phase"), TimerPhase)
    stage = np.where(phase == TimerPhase.midstream, np.uint8(Stage.established), phase)
    unverified = (stage == Stage.rst) & (rst_seq[rows] == RstSeq.window)
    stage = np.where(unverified, np.uint8(Stage.rst_unverified), stage)
    start, gap = (_numbers(entries, name) for name in ("start_ns", "gap_ns"))
    unacked, stalled, again = (
        entries.field(name).to_numpy(zero_copy_only=False).astype(np.bool_)
        for name in ("unacked", "stalled", "fin_again")
    )
    following = codes(entries.field("next"), PacketKind)
    return Silences(rows, stage, start, gap, _sent(entries), unacked, stalled, again, following)


def _marks(batch: Any) -> Marks:
    rows, entries = list_rows(one_array(batch, "marks"))
    return Marks(rows, _numbers(entries, "since_ns"), _numbers(entries, "age_ns"), _sent(entries))


def _retries(
    batch: Any, opening: NDArray[np.uint8], counts: dict[str, NDArray[np.int64]], enters: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], Retries]:
    """Return the openings in which SYNs and SYN-ACKs came again and nothing is missing, and what came again."""
    rows, entries = list_rows(one_array(batch, "retries"))
    n = len(opening)
    kind = codes(entries.field("kind"), PacketKind)
    by = codes(entries.field("by"), Closer)
    answered = entries.field("answered").to_numpy(zero_copy_only=False)
    syn = (kind == PacketKind.syn) & (by == Closer.client)
    answer = (kind == PacketKind.syn_ack) & (by == Closer.server)
    every = np.bincount(rows, minlength=n)
    plain = every == np.bincount(rows[syn | answer], minlength=n)
    syns = np.bincount(rows[syn], minlength=n)
    # As many as the record has, and the first packet was a SYN of the client; none came once it was open.
    whole = (syns + 1 == counts["syn"][:, 0]) & (counts["syn"][:, 1] == 0) & (every < MOST_RETRIES)
    followed = np.bincount(rows[answered], minlength=n) > 0
    begun = (opening != Opening.simultaneous) & (enters[:, Stage.syn_sent] != NEVER)
    ct = valid(one_array(batch, "ct_ns"))
    known = (opening != Opening.established) | ct
    unasked = followed & (enters[:, Stage.syn_recv] == NEVER)
    tried = (every > 0) & plain & whole & begun & known & ~unasked
    mine = tried[rows]
    ns = _numbers(entries, "ns")
    return tried, Retries(
        rows[mine], ns[mine], answer[mine].astype(np.int64), answered[mine].astype(np.bool_)
    )


def _numbers(entries: Any, name: str) -> NDArray[np.int64]:
    return whole_numbers(entries.field(name)).astype(np.int64)


def _sent(entries: Any) -> NDArray[np.int64]:
    members = ("bytes_clt", "bytes_srv", "packets_clt", "packets_srv")
    return np.stack([_numbers(entries, name) for name in members], axis=1)
