"""Linux conntrack on a session record: which state a silence fell in, and packets that make an entry in the middle.

The states are those of nf_conntrack_proto_tcp.c: an ACK after the first FIN is enough for CLOSE_WAIT, a FIN after that
(be it the same again) leads to LAST_ACK, and an ACK there to TIME_WAIT. A shorter timer may run while something is not
acknowledged, or after repeats. The lanes are those of `lastack.replay.lanes`, with the shorter timers from `STAGES` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lastack.firewall.table import FOREVER_NS, Ct, Table
from lastack.model.enums import PacketKind
from lastack.replay.candidate import UNTOLD, Candidates, joined, of_silences
from lastack.replay.columns import NEVER
from lastack.replay.lanes import LANES, SHORTEST, STAGES, Lanes, Meeting, Stage
from lastack.replay.past import Past

#: Lane of silences in LAST_ACK or TIME_WAIT, and nobody knows which; as a stage, it is one in which the close is over.
EITHER = STAGES + Stage.rst
_STATE: dict[Stage, Ct] = {
    Stage.syn_sent: Ct.syn_sent,
    Stage.syn_recv: Ct.syn_recv,
    Stage.established: Ct.established,
    Stage.fin1: Ct.fin_wait,
    Stage.fin1_acked: Ct.close_wait,
    Stage.fin2: Ct.last_ack,
    Stage.closed: Ct.time_wait,
    Stage.rst: Ct.close,
}
_CLOSING = (Stage.fin1, Stage.fin1_acked, Stage.fin2, Stage.closed)
_CAPPED = (Stage.established, *_CLOSING)
#: ACKs of which the last starts the timer for repeats: the first and nf_conntrack_tcp_max_retrans more.
_IDENTICAL = 4
#: Each lane with its shorter timer, and without.
_WITH_CAP, _WITHOUT_CAP = np.arange(LANES), np.arange(LANES)
_WITH_CAP[[*_CAPPED]] += STAGES
_WITHOUT_CAP[[STAGES + stage for stage in _CAPPED]] -= STAGES
#: What is left open, in words.
WHY = (
    "a FIN came again: last_ack or time_wait may run",
    "repeats and windows of 0 may have a timer of their own",
    "an entry that was made again in the middle may be in another state",
    "what a FIN carried that met no entry is not kept",
)


def conntrack_lanes(tables: Sequence[Table], meeting: Meeting, *, harsh: bool) -> Lanes:
    """Return the lanes of the `linux_conntrack` engine.

    Args:
        tables: Its numbers in each setting.
        meeting: What becomes of packets that meet no entry.
        harsh: Where a state is open take the shortest timer, else the longest.
    """
    ns = np.full((LANES, len(tables)), FOREVER_NS, np.int64)
    pick = min if harsh else max
    for j, table in enumerate(tables):
        length = [min(row.ns, FOREVER_NS) for row in table.timers]
        unacked, repeats = length[Ct.unack], length[Ct.retrans]
        for stage, state in _STATE.items():
            plain = length[state]
            capped = min(plain, unacked, repeats) if harsh else max(min(plain, unacked), min(plain, repeats))
            # No ACK was seen yet, which counts as a window of 0.
            ns[stage, j] = min(plain, repeats) if stage <= Stage.syn_recv else plain
            ns[STAGES + stage, j] = capped if stage in _CAPPED else ns[stage, j]
        ns[Stage.rst_unverified, j] = pick(length[Ct.close], length[Ct.established])
        ns[STAGES + Stage.rst_unverified, j] = ns[Stage.rst_unverified, j]
        either = pick(length[Ct.last_ack], length[Ct.time_wait])
        ns[EITHER, j] = min(either, unacked, repeats) if harsh else either
    ns[SHORTEST] = ns[:SHORTEST].min(axis=0)
    absolute = np.zeros(LANES, np.bool_)
    # A SYN or SYN-ACK that comes again does not restart a timer.
    absolute[[Stage.syn_sent, Stage.syn_recv, STAGES + Stage.syn_sent, STAGES + Stage.syn_recv]] = True
    return Lanes(
        np.maximum.accumulate(ns, axis=1), absolute, np.arange(LANES, dtype=np.int64) % STAGES, meeting,
        renews=np.zeros((2, 2), np.bool_), conntrack=True,
    )  # fmt: skip


def lanes_of_silences(past: Past, harsh: bool) -> NDArray[np.int64]:
    """Return the lane of each silence."""
    s = past.silences
    lane = s.stage.astype(np.int64)
    fin1, fin2 = past.enters[s.row, Stage.fin1], past.enters[s.row, Stage.fin2]
    lane[(s.stage == Stage.fin1) & (s.start_ns != fin1)] = Stage.fin1_acked
    lane[(s.stage == Stage.fin2) & (s.start_ns != fin2)] = Stage.closed
    again = s.fin_again & np.isin(s.stage, _CLOSING)
    lane[again] = EITHER
    if len(lane) > 1:
        # The repeat that ended a silence, and was the first, is what this silence began with.
        first = (s.row[1:] == s.row[:-1]) & ~s.fin_again[:-1] & (s.next[:-1] == PacketKind.fin)
        first &= s.start_ns[:-1] + s.gap_ns[:-1] == s.start_ns[1:]
        lane[1:][again[1:] & first] = Stage.fin2
    capped = s.unacked | s.stalled | _may_repeat(past) if harsh else s.unacked & ~past.met[s.row]
    return np.where(capped, _capped(lane), lane)


def _may_repeat(past: Past) -> NDArray[np.bool_]:
    """Return which silences of a close may follow four identical ACKs of one end: the record counts no bare ACKs.

    An ACK of the FIN is like none before it, so that SYN, what completed the handshake, data and FIN are none of them.
    """
    s = past.silences
    may = (s.stage >= Stage.fin1_acked) & (s.stage <= Stage.closed)
    i = np.flatnonzero(may)
    met, closer, sent = past.met[s.row[i]], past.closer[s.row[i]], s.sent[i]
    known = [
        _IDENTICAL + ~met + ((sent[:, end] > 0) | (closer == end) | (~met & (end == 0))) for end in (0, 1)
    ]
    may[i] = (sent[:, 2] >= known[0]) | (sent[:, 3] >= known[1])
    return may


def _capped(lane: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the lanes as they are when a shorter timer may run."""
    return _WITH_CAP[lane]


def _uncapped(lane: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the lanes as they are when no shorter timer runs."""
    return _WITHOUT_CAP[lane]


def lanes_at_the_end(past: Past) -> NDArray[np.int64]:
    """Return the lane that each session ends in."""
    lane = past.last.astype(np.int64)
    lane[(past.last == Stage.fin1) & (past.end != past.enters[:, Stage.fin1])] = Stage.fin1_acked
    lane[(past.last == Stage.fin2) & (past.end != past.enters[:, Stage.fin2])] = Stage.closed
    lane[past.repeated_fin & np.isin(past.last, _CLOSING)] = Stage.closed
    return np.where(past.unacked & (lane == Stage.established), lane + STAGES, lane)


def met_again(past: Past, found: Candidates, lanes: Lanes, harsh: bool) -> Candidates:
    """Return the candidates of a box that takes up sessions in the middle, as what came before them leaves them.

    An ACK or data makes an entry that is established, whatever the session is in. Its first packet is let through
    without a look, as nothing is known of the other end, and if more is sent before that end answers, all others are
    too: then no window is ever noted, which counts as one of 0. Who sent what is not in the record, so that the timer
    for it may run or not. With one setting this is followed from silence to silence; with several, nothing that comes
    after an entry was made is sure, and any timer may end it.

    Args:
        past: The sessions.
        found: Candidates of entries that begin with their session, in order of session and time.
        lanes: Its timers.
        harsh: Which reading.
    """
    if harsh:
        found = joined([found, _made_again(past, found, lanes)])
    refused = _refused(past, found, harsh)
    doubtful = found.base_ns >= _first_doubt(past, _first_made(past, found), lanes, harsh)[found.row]
    if not harsh:
        # Nothing is sure after that but what outlasts any timer.
        found = replace(
            found, returns=found.returns | (doubtful & (found.length_ns < lanes.ns[:SHORTEST, -1].max()))
        )
    if lanes.settings == 1:
        found, kept = _followed(found, lanes, refused, doubtful & np.bool_(harsh), harsh)
        found, refused = found.chosen(kept), refused[kept]
        returns = found.returns | ~refused
    else:
        begin = np.searchsorted(found.row, found.row)
        passes: NDArray[np.int64] = np.cumsum(~refused) - ~refused
        made = passes - passes[begin] > 0
        returns = found.returns | ~refused | (made & np.bool_(not harsh))
    # A FIN or RST was lost for certain, but not what comes after it: the next ACK is let through.
    sent = found.sent if harsh else np.where(refused[:, None], past.sent[found.row], found.sent)
    return replace(found, returns=returns, sent=sent)


def _first_made(past: Past, found: Candidates) -> NDArray[np.int64]:
    """Return when, in each session, an entry may first have been made in the middle; NEVER for never."""
    first = np.full(len(past), NEVER, np.int64)
    back = ~_refused(past, found, harsh=False)
    np.minimum.at(first, found.row[back], found.lost_ns[back])
    return first


def _first_doubt(past: Past, made_ns: NDArray[np.int64], lanes: Lanes, harsh: bool) -> NDArray[np.int64]:
    """Return when, in each session, an entry may or may not have been made in the middle; NEVER for never."""
    s = past.silences
    doubt = np.full(len(past), NEVER, np.int64)
    assert lanes.other is not None, "conntrack has two readings"
    kind, harshest = (lanes.other, lanes.ns) if harsh else (lanes.ns, lanes.other)
    shorter, longer = (lanes_of_silences(past, harsh=reading) for reading in (True, False))
    later = s.start_ns >= made_ns[s.row]
    may = s.gap_ns >= harshest[np.where(later, _capped(shorter), shorter), 0]
    may &= s.gap_ns < kind[np.where(later, _uncapped(longer), longer), -1]
    may &= (s.stage >= Stage.established) & np.isin(s.next, (PacketKind.ack, PacketKind.data))
    np.minimum.at(doubt, s.row[may], (s.start_ns + s.gap_ns)[may])
    return doubt


def _followed(
    found: Candidates, lanes: Lanes, refused: NDArray[np.bool_], either: NDArray[np.bool_], harsh: bool
) -> tuple[Candidates, NDArray[np.bool_]]:
    """Return the candidates with the lane that each entry is in under one setting, and which of them end one."""
    ns = lanes.ns[:, 0]
    lane = found.lane.copy()
    open_ = _capped(lane) if harsh else _uncapped(lane)
    stage = np.where(lane == EITHER, np.int64(Stage.fin2), lane % STAGES)
    # Where the entry was made: 0 with its session, 1 before any FIN, 2 after the first, 3 later.
    part = np.where(stage <= Stage.established, 1, np.where(stage <= Stage.fin1_acked, 2, 3))
    established = STAGES + Stage.established if harsh else int(Stage.established)
    any_ = SHORTEST if harsh else int(np.argmax(ns[: Stage.rst + 1]))
    rows, begin, count = np.unique(found.row, return_index=True, return_counts=True)
    made = np.zeros(len(rows), np.int64)
    kept = np.zeros(len(found), np.bool_)
    for nth in range(int(count.max(initial=0))):
        here = np.flatnonzero(count > nth)
        i = begin[here] + nth
        as_recorded = (made[here] == 0) | ((made[here] == 1) & (part[i] > 1))
        same = (made[here] <= 2) & (made[here] == part[i])
        recorded = np.where((made[here] > 0) | either[i], open_[i], lane[i])
        chosen = np.where(as_recorded, recorded, np.where(same, established, any_))
        lane[i] = np.where(either[i] & (ns[recorded] < ns[chosen]), recorded, chosen)
        kept[i] = found.length_ns[i] >= ns[lane[i]]
        again = kept[i] & ~refused[i]
        made[here[again]] = part[i][again]
    return replace(found, lane=lane), kept


def _made_again(past: Past, found: Candidates, lanes: Lanes) -> Candidates:
    """Return what else may end sessions whose entry was made in the middle: any timer, before a FIN or RST.

    With one setting, also what may end an entry of a close that the next packet makes again, in another state.
    """
    s = past.silences
    lane = lanes_of_silences(past, harsh=True)
    ends = (s.next == PacketKind.fin) | (s.next == PacketKind.rst)
    if lanes.settings == 1:
        ends |= np.isin(s.next, (PacketKind.ack, PacketKind.data)) & (s.stage > Stage.established)
    more = ends & (s.start_ns >= _first_made(past, found)[s.row]) & (s.gap_ns >= lanes.ns[SHORTEST, 0])
    more &= (s.gap_ns < lanes.ns[lane, 0]) & (s.stage >= Stage.established)
    i = np.flatnonzero(more)
    if lanes.settings > 1:
        lane = np.where(s.stage == Stage.established, STAGES + Stage.established, SHORTEST)
    return of_silences(past, i, lane[i], returns=False)


def _refused(past: Past, found: Candidates, harsh: bool) -> NDArray[np.bool_]:
    """Return which candidates a packet follows that makes no entry: FIN, RST or SYN-ACK."""
    refused = np.isin(found.next, (PacketKind.fin, PacketKind.rst, PacketKind.syn_ack))
    untold = found.next == UNTOLD
    stage = found.lane % STAGES
    repeated = (past.repeated_syn | past.repeated_answer)[found.row] & (stage <= Stage.syn_recv)
    closes = (stage == Stage.syn_sent) & ~repeated
    if harsh:
        closes |= repeated  # it may have been a SYN-ACK
    for closing in (Stage.fin1, Stage.fin2, Stage.rst, Stage.rst_unverified):
        closes |= past.enters[found.row, closing] == found.lost_ns
    result: NDArray[np.bool_] = refused | (untold & closes)
    return result
