"""The closed vocabularies of the session record, each declared once.

Member names are what files, filters and pages show (lower case, but for RFC 9293 states and Zeek's
`conn_state`); values are what kernels write and must never be renumbered without a new schema version.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class ClientBy(IntEnum):
    """How the client was decided."""

    syn = 0
    synack = 1
    port = 2
    guess = 3


class Encap(IntEnum):
    """What the TCP segment was carried in: the innermost wrapping below its own IP header."""

    none = 0
    vlan = 1
    qinq = 2
    mpls = 3
    pppoe = 4
    gre = 5
    erspan = 6
    vxlan = 7
    geneve = 8
    gtpu = 9
    ipip = 10
    sixin4 = 11
    teredo = 12
    fabricpath = 13
    l2tp = 14
    other = 15


class Opening(IntEnum):
    """How the session opened."""

    established = 0
    refused = 1
    refused_icmp = 2
    unanswered = 3
    half_open = 4
    aborted = 5
    simultaneous = 6
    synack_only = 7
    midstream = 8
    stray = 9


class Closer(IntEnum):
    """Which end closed first; `both` is a simultaneous close: neither first FIN acknowledges the other."""

    none = 0
    client = 1
    server = 2
    both = 3


class Ending(IntEnum):
    """What was seen of the end."""

    closed = 0
    half_closed = 1
    fin_rst = 2
    rst = 3
    closed_rst = 4
    open = 5
    vanished = 6
    never_opened = 7


class RstSeq(IntEnum):
    """Where the first RST lies in the receive window of the end it was sent to (RFC 5961, 3.2)."""

    exact = 0
    window = 1
    outside = 2
    unknown = 3


class EndpointState(IntEnum):
    """State of one end as RFC 9293 (3.3.2) names it, inferred from what was seen."""

    UNKNOWN = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10
    CLOSED = 11


class ConnState(IntEnum):
    """Zeek's `conn_state` (scripts/base/protocols/conn/main.zeek)."""

    S0 = 0
    S1 = 1
    SF = 2
    REJ = 3
    S2 = 4
    S3 = 5
    RSTO = 6
    RSTR = 7
    RSTOS0 = 8
    RSTRH = 9
    SH = 10
    SHR = 11
    OTH = 12


class Phase(IntEnum):
    """The observer's joint view of both ends when the session ended."""

    opening = 0
    established = 1
    half_closed = 2
    closing = 3
    closed = 4


class TimerPhase(IntEnum):
    """What a middlebox that follows both ends would call the session; silences are kept by it (gap profile)."""

    syn_sent = 0
    syn_recv = 1
    established = 2
    fin1 = 3
    fin1_acked = 4
    fin2 = 5
    closed = 6
    rst = 7
    midstream = 8


class PacketKind(IntEnum):
    """What a packet is to a timer: the first that applies of RST, SYN-ACK, SYN, FIN, data, ACK (or none)."""

    syn = 0
    syn_ack = 1
    ack = 2
    data = 3
    fin = 4
    rst = 5


class Cause(IntEnum):
    """The verdict: why the session ended."""

    unknown = 0
    clean_close = 1
    reset_after_close = 2
    stopped_reading = 3
    reset_close = 4
    aborted_by_client = 5
    aborted_by_server = 6
    closed_with_unread_data = 7
    data_after_close = 8
    refused = 9
    refused_icmp = 10
    unanswered = 11
    half_open_client_gone = 12
    syn_flood = 13
    probe = 14
    peer_lost_state = 15
    peer_vanished = 16
    keepalive_death = 17
    zero_window_death = 18
    middlebox_half_closed_timeout = 19
    middlebox_idle_timeout = 20
    injected_reset = 21
    port_reuse_conflict = 22
    still_open = 23
    half_closed_waiting = 24
    observer_limit = 25


class Actor(IntEnum):
    """Who ended it."""

    unknown = 0
    client = 1
    server = 2
    middlebox = 3
    network = 4


class Harm(IntEnum):
    """What the ending cost the application."""

    unknown = 0
    none = 1
    open_failed = 2
    data_lost = 3
    close_lost = 4
    stalled = 5


class Observed(IntEnum):
    """How much of the session the observer saw; the first that applies, most limiting first."""

    evicted = 0
    one_way = 1
    lossy = 2
    start_missing = 3
    end_missing = 4
    complete = 5


class Drop(IntEnum):
    """Why a packet has no session: the ledger counts each packet of the input once."""

    none = 0
    not_ip = 1
    not_tcp = 2
    fragment = 3
    truncated = 4
    bad_header = 5
    unknown_link = 6
    too_deep = 7
    icmp_error = 8


class IpidKind(IntEnum):
    """How an end numbers its IPv4 packets, as far as three or more of them tell."""

    unknown = 0
    counter = 1
    zero = 2
    other = 3


class TailKind(IntEnum):
    """What an end repeats at the end of a session without an answer."""

    none = 0
    syn = 1
    data = 2
    fin = 3
    keepalive = 4
    zero_window = 5


def are(codes: Any, member: IntEnum) -> Any:
    """Return which codes stand for a member.

    NumPy takes a member for a number of 64 bits and widens all codes before it compares them: six times as slow as with
    a plain number.
    """
    return codes == int(member)
