"""The closed vocabularies of firewall profiles: the words that a profile's TOML file may use.

A word's name and its text are the same (but for `pass`, which Python keeps for itself). This module and
`lastack.firewall.profile` are what a profile says; the numbers that a state machine runs on are made from them by
`lastack.firewall.compile`.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What kind of system a profile describes."""

    firewall = "firewall"
    nat = "nat"
    loadbalancer = "loadbalancer"
    proxy = "proxy"
    host = "host"
    standard = "standard"
    measurement = "measurement"


class Engine(StrEnum):
    """Which state machine runs the profile's numbers.

    `flags` derives the phase from each end's SYN, FIN and acknowledged FIN; `linux_conntrack` is the kernel's own
    transition table with its window checks and caps; `host` is an endpoint and not a box on the path.
    """

    flags = "flags"
    linux_conntrack = "linux_conntrack"
    host = "host"


class Phase(StrEnum):
    """The phases of a session as a box that follows both ends derives them, in the order of a session's life.

    `fin1`: one FIN, not acknowledged yet. `fin1_acked`: one FIN, acknowledged (the true half-close). `fin2`: FINs from
    both ends. `closed`: both acknowledged. `unreplied`: picked up in mid-stream, one end seen so far. `rst`: a RST
    that could end it. `rst_unverified`: one that could not be verified.
    """

    syn_sent = "syn_sent"
    syn_recv = "syn_recv"
    unreplied = "unreplied"
    established = "established"
    fin1 = "fin1"
    fin1_acked = "fin1_acked"
    fin2 = "fin2"
    closed = "closed"
    rst = "rst"
    rst_unverified = "rst_unverified"


#: Phases that documentation names and that no segment of a session leads to; their timers are told, not run.
BOOKKEEPING = ("discard", "hold_down", "unsolicited_syn")


class Mode(StrEnum):
    """What a timer counts: silence (`idle`), or time since its start (`absolute`); `keep` leaves the clock alone."""

    idle = "idle"
    absolute = "absolute"
    keep = "keep"


class RefreshBy(StrEnum):
    """Which packets restart an idle timer; an absolute one has `none`."""

    any = "any"
    in_window = "in_window"
    data = "data"
    fin = "fin"
    non_syn_retx = "non_syn_retx"
    none = "none"


class OnExpiry(StrEnum):
    """What the box does when an entry's time is over."""

    silent = "silent"
    rst_both = "rst_both"
    rst_one = "rst_one"
    rst_on_next = "rst_on_next"
    icmp = "icmp"
    probe = "probe"
    fin = "fin"


class Segment(StrEnum):
    """Classes of segments that meet no session; a SYN always makes one."""

    syn_ack = "syn_ack"
    data = "data"
    fin = "fin"
    rst = "rst"


class NoSession(StrEnum):
    """What happens to a segment that meets no session: dropped, answered with RST, picked up, or passed as it is."""

    drop = "drop"
    rst = "rst"
    recreate = "recreate"
    passed = "pass"


class RstCheck(StrEnum):
    """Which sequence numbers let a RST end a session; `window_then_exact` knows a third answer, unverified."""

    none = "none"
    window = "window"
    exact = "exact"
    window_then_exact = "window_then_exact"


class TableFull(StrEnum):
    """What happens when the session table has no room."""

    drop_new = "drop_new"
    evict_then_drop_new = "evict_then_drop_new"
    scale_timers = "scale_timers"


class Event(StrEnum):
    """What a segment is to the machine, for the transitions that a profile lists as exceptions."""

    syn = "syn"
    syn_ack = "syn_ack"
    ack = "ack"
    data = "data"
    fin = "fin"
    fin_retx = "fin_retx"
    ack_of_fin = "ack_of_fin"
    rst = "rst"
    any = "any"


class By(StrEnum):
    """Which end a transition needs the segment to come from."""

    any = "any"
    opener = "opener"
    responder = "responder"
    first_closer = "first_closer"
    other = "other"


class CapWhen(StrEnum):
    """When a cap limits the timer that runs."""

    unacked = "unacked"
    retransmissions = "retransmissions"
    zero_window = "zero_window"
    no_reply = "no_reply"


class Confidence(StrEnum):
    """How sure a value is: read or measured, read with gaps, from memory; `assumed` is nobody's word but ours."""

    high = "high"
    medium = "medium"
    low = "low"
    assumed = "assumed"
