"""What was measured on a real conntrack (Linux 6.18), step by step, without one: states, and when the entry ends."""

from __future__ import annotations

import pytest
from tests.naive.segments import to_segments
from tests.unit.firewall.talk import HANDSHAKE, box_of, talk, watch

from lastack.firewall.table import Ct
from lastack.replay.evaluate import evaluation

#: timeline, state after the last packet, when the entry ends in seconds (None: after the last packet by far)
GOLDEN = [
    # a repeated SYN does not renew
    ("0 >S 3 >S 200 >R", "none", 120),
    # a repeated FIN counts as the second one, and one ACK makes it TIME_WAIT
    (HANDSHAKE + "1 >F", "fin_wait", None),
    (HANDSHAKE + "1 >F 1 >FR", "last_ack", None),
    (HANDSHAKE + "1 >F 1 >FR 1 <A", "time_wait", None),
    # an ACK of the FIN's own sender is enough for CLOSE_WAIT
    (HANDSHAKE + "1 >F 1 >A", "close_wait", None),
    # half-closed is idle: 60 s after the last data
    (HANDSHAKE + "1 >F 1 <A 50 <D 50 >A 110 <R", "none", 110),
    # data in TIME_WAIT refreshes it
    (HANDSHAKE + "1 >F 1 <F 1 >A 100 >A 219 >A", "time_wait", None),
    # a SYN of the other side in TIME_WAIT begins a new session, roles turned
    (HANDSHAKE + "1 >F 1 <F 1 >A 5 <N", "syn_sent", None),
    # RST in ESTABLISHED: exact closes; in the window keeps the state for 10 s; far outside is INVALID
    (HANDSHAKE + "1 >D 1 <A 1 <R", "close", None),
    (HANDSHAKE + "1 >D 1 <A 1 <RW", "established", None),
    (HANDSHAKE + "1 >D 1 <A 1 <RW 12 <R", "none", 11),
    (HANDSHAKE + "1 >D 1 <A 1 <RO", "established", None),
    # ... but is believed once a FIN was seen
    (HANDSHAKE + "1 >D 1 <A 1 >F 1 <A 1 <RO", "close", None),
]


@pytest.mark.parametrize(("timeline", "state", "gone_s"), GOLDEN)
def test_conntrack__does_what_was_measured(timeline: str, state: str, gone_s: float | None):
    seen = watch("linux_conntrack", timeline)
    assert seen.phases[-1] == state, seen
    if gone_s is not None:
        assert seen.fates[0].lives[0].gone_ns == gone_s * 1_000_000_000, seen


def test_rst_far_outside__is_invalid():
    assert watch("linux_conntrack", HANDSHAKE + "1 >D 1 <A 1 <RO").reasons[-1].name == "invalid"


def test_mid_stream_data__makes_an_entry_of_300_s_until_two_more_packets():
    states = []
    for text in ("0 <D 1000 >R", "0 <D 1 >A 1 <A 1000 >R"):
        fates, answers, _ = evaluation(to_segments(talk(text)), box_of("linux_conntrack"), adopt=False)
        states.append(int(answers[-1]) >> 8)
        gone = fates[0].lives[0].gone_ns
        assert gone in (300_000_000_000, None)
    # the first is forgotten when the RST comes, the second is not
    assert states == [Ct.none, Ct.close]
