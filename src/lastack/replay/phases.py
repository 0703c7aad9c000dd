"""Which phases a box may be in while the session record is in a given stage.

The record's stages are the phases that each end's SYN, FIN and acknowledged FIN derive. A profile with exceptions
leaves that path; both are run side by side here, over every event that a session can meet, to find the pairs that can
occur. One phase for a stage means that the record says which timer runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from lastack.firewall.table import PHASE_CODE, RESTART, Act, Table, phase_table, place
from lastack.firewall.words import Phase
from lastack.replay.lanes import STAGES, Stage

_STAGE_OF = {PHASE_CODE[Phase(stage.name)]: stage for stage in Stage}
_CODE_OF = {stage: code for code, stage in _STAGE_OF.items()}
_ALWAYS = (Act.ack, Act.data, Act.rst, Act.rst_unverified)
_REPEATS = (Act.syn, Act.syn_ack, Act.fin_retx)
#: Senders as in `transitions`: 1 for the responder, plus 2 for who is not the first closer.
_NOBODY = -1

_State = tuple[
    int, int, int
]  # phase that the record derives, phase of the box, who closed first (0 the opener)


def phases_by_lane(table: Table, repeats: bool) -> dict[int, frozenset[int]]:
    """Return the phase codes that the `flags` engine may be in, for each lane of the record.

    Args:
        table: The box.
        repeats: Whether SYNs and FINs may come again.
    """
    derived = phase_table()
    begin = [
        (_CODE_OF[stage], _CODE_OF[stage], _NOBODY)
        for stage in (Stage.syn_sent, Stage.syn_recv, Stage.established)
    ]
    seen: set[_State] = set(begin)
    todo = list(begin)
    while todo:
        state = todo.pop()
        for following in _next(state, derived, table.transitions, repeats):
            if following not in seen:
                seen.add(following)
                todo.append(following)
    lanes: dict[int, set[int]] = {}
    for record, box, closer in seen:
        lane = _STAGE_OF[record] + (STAGES if closer == 1 else 0)
        lanes.setdefault(lane, set()).add(box)
    return {lane: frozenset(codes) for lane, codes in lanes.items()}


def _next(state: _State, derived: bytes, transitions: bytes, repeats: bool) -> Iterator[_State]:
    record, box, closer = state
    for act in Act:
        for sender in (0, 1):
            if not _can(act, _STAGE_OF[record], sender, closer, repeats):
                continue
            by = sender if act is Act.fin and closer == _NOBODY else closer
            who = sender + 2 * (by != sender)
            to_record, to_box = derived[place(record, act, who)], transitions[place(box, act, who)]
            if to_record == RESTART:
                continue  # the record begins a new session
            yield to_record, PHASE_CODE[Phase.syn_sent] if to_box == RESTART else to_box, by


def _can(act: Act, stage: Stage, sender: int, closer: int, repeats: bool) -> bool:
    """Return whether an event can happen to a session in a stage."""
    half = stage in (Stage.fin1, Stage.fin1_acked)
    if act in _ALWAYS:
        return True
    if act in (Act.syn, Act.syn_ack):
        opening = act is Act.syn_ack and stage is Stage.syn_sent and sender == 1
        return opening or repeats
    if act is Act.fin_retx:
        return repeats and stage >= Stage.fin1
    if act is Act.opens:
        return stage <= Stage.syn_recv
    if act is Act.fin:
        return (closer == _NOBODY and stage <= Stage.established) or (half and sender != closer)
    if act is Act.ack_of_fin:
        return stage is Stage.fin1 and sender != closer
    return half or stage is Stage.fin2
