"""What the packet number `p` of a session is: direction, flags, sequence numbers and payload, in closed form.

Every session follows one script: handshake (3), a body of request, two segments of answer and an ACK, and an end:
FIN, FIN, ACK or one RST or nothing. So a packet can be made without knowing the ones before it.
"""

from __future__ import annotations

import numba

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
REQUEST, ANSWER_1, ANSWER_2 = 300, 1448, 1240
_ANSWER = ANSWER_1 + ANSWER_2

#: How a session ends: 70 % by FINs, 10 % by a RST, 20 % not at all.
FIN_BY_CLIENT, FIN_BY_SERVER, RST_BY_CLIENT, RST_BY_SERVER, NEVER = range(5)


@numba.njit
def ending_of(draw):
    """Return the ending of a session from its random number."""
    percent = draw % 100
    if percent < 40:
        return FIN_BY_CLIENT
    if percent < 70:
        return FIN_BY_SERVER
    if percent < 75:
        return RST_BY_CLIENT
    if percent < 80:
        return RST_BY_SERVER
    return NEVER


@numba.njit
def sent_before(q):
    """Return (bytes of the client, bytes of the server) before body packet `q`."""
    whole, part = q // 4, q % 4
    client = whole * REQUEST + (REQUEST if part > 0 else 0)
    server = whole * _ANSWER + (ANSWER_1 if part > 1 else 0) + (ANSWER_2 if part > 2 else 0)
    return client, server


@numba.njit
def packet_of(p, length, ending):
    """Return (from the server, flags, payload, seq offset, ack offset) of packet `p` of `length`.

    Offsets count from the initial sequence number of the sender and of the other end.
    """
    if p == 0:
        return False, SYN, 0, 0, 0
    if p == 1:
        return True, SYN | ACK, 0, 0, 1
    if p == 2:
        return False, ACK, 0, 1, 1
    tail = 3 if ending <= FIN_BY_SERVER else (1 if ending <= RST_BY_SERVER else 0)
    body = length - 3 - tail
    if p - 3 < body:
        q = p - 3
        client, server = sent_before(q)
        part = q % 4
        if part == 0:
            return False, PSH | ACK, REQUEST, 1 + client, 1 + server
        if part == 1:
            return True, ACK, ANSWER_1, 1 + server, 1 + client
        if part == 2:
            return True, PSH | ACK, ANSWER_2, 1 + server, 1 + client
        return False, ACK, 0, 1 + client, 1 + server
    client, server = sent_before(body)
    step = p - 3 - body
    if ending == RST_BY_CLIENT:
        return False, RST | ACK, 0, 1 + client, 1 + server
    if ending == RST_BY_SERVER:
        return True, RST | ACK, 0, 1 + server, 1 + client
    by_server = ending == FIN_BY_SERVER
    first, second = (server, client) if by_server else (client, server)
    if step == 0:
        return by_server, FIN | ACK, 0, 1 + first, 1 + second
    if step == 1:
        return not by_server, FIN | ACK, 0, 1 + second, 2 + first
    return by_server, ACK, 0, 2 + first, 2 + second
