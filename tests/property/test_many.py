"""Counters, lists and letters past what a record holds at first: the fast engine still equals the twin."""

from __future__ import annotations

import pytest
from tests.naive.engines import fast, naive
from tests.naive.packets import ACK, FIN, PSH, RST, SYN, Packet
from tests.naive.rows import compare
from tests.property.walk import BASE_NS, MOD, numbered

ENGINE = fast()
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 443)
MILLISECOND, SECOND = 10**6, 10**9
Step = tuple[str, int, int, int, int, int]  # sender, flags, seq, ack, payload, wait in ns


def packets_of(steps: list[Step]) -> list[Packet]:
    """Return the packets of steps; `>` is the client."""
    now, packets = BASE_NS, []
    for sender, flags, seq, ack, payload, wait in steps:
        now += wait
        ends = CLIENT + SERVER if sender == ">" else SERVER + CLIENT
        packets.append(Packet(now, *ends, seq % MOD, ack % MOD, flags, payload, ipid=len(packets) & 0xFFFF))
    return numbered(packets)


OPEN: list[Step] = [
    (">", SYN, 100, 0, 0, 0),
    ("<", SYN | ACK, 500, 101, 0, MILLISECOND),
    (">", ACK, 101, 501, 0, MILLISECOND),
]
CASES: dict[str, list[Step]] = {
    "syns": [(">", SYN, 100, 0, 0, MILLISECOND)] * 700,
    "synacks": [OPEN[0], *[OPEN[1]] * 700],
    "resets": [*OPEN, *[("<", RST, 501 - i % 3, 0, 0, MILLISECOND) for i in range(700)]],
    "fins at many positions": [
        *OPEN,
        *[(">", FIN | ACK, 101, 501, i % 300, MILLISECOND) for i in range(700)],
    ],
    "keepalives": [
        *OPEN,
        *[(s, ACK, a, b, 0, SECOND) for s, a, b in [(">", 100, 501), ("<", 501, 101)] * 300],
    ],
    "growing silences": [*OPEN, *[(">", ACK, 101, 501, 0, (5 + i) * SECOND) for i in range(90)]],
    "growing silences while half-closed": [
        *OPEN,
        (">", FIN | ACK, 101, 501, 0, SECOND),
        *[("<", ACK | PSH, 501 + 10 * i, 102, 10, (1 + i) * SECOND) for i in range(90)],
    ],
    "letters": [*OPEN, *[("<", FIN | ACK, 600 - i, 101, 0, MILLISECOND) for i in range(60)]],
    "letters of both": [
        *OPEN,
        *[(s, FIN | ACK, b + i, 0, 0, MILLISECOND) for i in range(40) for s, b in ((">", 101), ("<", 501))],
    ],
    "holes": [*OPEN, *[(">", ACK, 101 + 20 * i, 501, 10, MILLISECOND) for i in range(1000)]],
    "holes that are filled": [
        *OPEN,
        *[(">", ACK, 101 + 20 * i, 501, 10, MILLISECOND) for i in range(500)],
        *[(">", ACK, 101 + 20 * i, 501, 15, MILLISECOND) for i in range(500)],
        *[(">", ACK, 101 + 20 * i, 501, 21, MILLISECOND) for i in range(0, 500, 3)],
        ("<", ACK, 501, 101 + 20 * 500, 0, MILLISECOND),
    ],
    "bytes from the end to the start": [(">", ACK, 5000 - 7 * i, 501, 9, MILLISECOND) for i in range(900)],
    "new sessions": [
        (s, f, 100 + 1000 * i, 0, 0, MILLISECOND)
        for i in range(300)
        for s, f in ((">", SYN), ("<", ACK), (">", RST))
    ],
    "around the circle": [*OPEN, *[(">", ACK, 101 + (i << 29), 501, 1000, MILLISECOND) for i in range(30)]],
}


@pytest.mark.parametrize("case", CASES)
def test_fast__equals_twin_on_many(case: str) -> None:
    packets = packets_of(CASES[case])
    assert compare(ENGINE(packets), naive(packets)) == []
