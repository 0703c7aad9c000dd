"""From rows of the session record to the past of their sessions: when each stage began, and what makes one odd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lastack.model.enums import Closer, EndpointState, Opening, RstSeq
from lastack.model.fields import BY_NAME
from lastack.replay.columns import NEVER, codes, list_rows, moments, one_array, valid, whole_numbers
from lastack.replay.lanes import STAGES, Stage
from lastack.replay.past import Past
from lastack.replay.recorded_lists import marks_of, retries_of, silences_of

#: Entries of a gap profile that a session keeps at most (docs/reference/definitions.md, section 5).
MOST_GAPS = 64

_COLUMNS = (
    "session_id", "start_ns", "end_ns", "syn_to_synack_ns", "ct_ns", "first_fin_ns", "second_fin_ns", "closed_ns",
    "first_rst_ns", "opening", "half_closed_by", "rst_seq", "state_clt", "state_srv",
    "bytes_clt", "bytes_srv", "packets_clt", "packets_srv", "syn_clt", "syn_srv", "synack_clt", "synack_srv",
    "fin_clt", "fin_srv", "rst_clt", "rst_srv", "previous_id", "history", "unacked_bytes_clt",
    "unacked_bytes_srv", "gaps", "marks", "retries",
)  # fmt: skip

#: Columns to read for a what-if, in the record's order.
COLUMNS: tuple[str, ...] = tuple(name for name in BY_NAME if name in _COLUMNS)


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
    tried, retries = retries_of(batch, opening, counts, enters)
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
        silences_of(rows, entries, rst_seq),
        marks_of(batch),
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
