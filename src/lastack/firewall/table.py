"""The numeric form of a box: what `lastack.firewall.compile` makes of a profile and a policy, and what machines read.

A `Box` holds one `Table` for each application and one for everything else. A table is a few timers, the timer of
each phase, the next phase for each event, and the effects. The state machine (`lastack.firewall.machine`), its
compiled form and its slow twin in `tests/naive/box.py` all run on exactly this and know no profile.

How the `flags` engine reads it (docs/explain/timers.md has the long form):

* A segment is up to three events, in this order: OPENS (it completes the handshake, or shows that one took place),
  ACK_OF_FIN or ACK_OF_FINS (it acknowledges the other end's FIN; both FINs are acknowledged now), and what it is
  (SYN, SYN_ACK, RST, RST_UNVERIFIED, FIN, FIN_RETX, DATA, ACK). Each moves the phase through `transitions`.
* If the phase after it runs on another timer than before, that timer starts, unless its mode is `keep`: then the
  running one goes on until a packet refreshes it. On the same timer, or after a `keep`, an idle timer restarts
  when the segment is in its `refresh` mask; an absolute one never does.
* An entry is there while now < start + length, and gone at that instant.
* RESTART: the entry ends, and a new one begins with this segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from lastack.firewall.words import By, Event, Mode, NoSession, OnExpiry, Phase, RefreshBy, RstCheck

#: A timer that never ends, in ns.
FOREVER_NS = 1 << 62
MOST_TIMERS = 16

#: Number of each phase; 0 is no entry.
PHASE_CODE: dict[Phase, int] = {phase: number for number, phase in enumerate(Phase, 1)}
N_PHASES = len(PHASE_CODE) + 1
RESTART = 255


class Ct(IntEnum):
    """States of the `linux_conntrack` engine, as in nf_conntrack_tcp.h; they are the codes of its `timers`."""

    none = 0
    syn_sent = 1
    syn_recv = 2
    established = 3
    fin_wait = 4
    close_wait = 5
    last_ack = 6
    time_wait = 7
    close = 8
    syn_sent2 = 9
    retrans = 10  #: not states but caps: timers of this place
    unack = 11


class Act(IntEnum):
    """Events of the `flags` engine."""

    syn = 0
    syn_ack = 1
    ack = 2
    data = 3
    fin = 4
    fin_retx = 5
    rst = 6
    rst_unverified = 7
    opens = 8
    ack_of_fin = 9
    ack_of_fins = 10


N_ACTS = len(Act)
#: Index of the sender in `transitions`: 1 if it is the responder, plus 2 if it is not the first closer.
N_WHO = 4


class Seg(IntEnum):
    """Classes of segments that meet no entry: the first that applies of RST, SYN-ACK, SYN, FIN, data, ACK (or none)."""

    syn = 0
    syn_ack = 1
    ack = 2
    data = 3
    fin = 4
    rst = 5


class Refresh(IntFlag):
    """Segments that restart an idle timer; `in_window` asks in addition that the segment is acceptable."""

    syn = 1
    syn_ack = 2
    ack = 4
    data = 8
    fin = 16
    rst = 32
    in_window = 64


ANY = Refresh.syn | Refresh.syn_ack | Refresh.ack | Refresh.data | Refresh.fin | Refresh.rst
REFRESH_MASK: dict[RefreshBy, int] = {
    RefreshBy.any: int(ANY),
    RefreshBy.in_window: int(ANY | Refresh.in_window),
    RefreshBy.data: int(Refresh.data),
    RefreshBy.fin: int(Refresh.fin),
    RefreshBy.non_syn_retx: int(ANY & ~Refresh.syn),
    RefreshBy.none: 0,
}


class Reset(IntFlag):
    """Ends that get a RST at expiry."""

    nobody = 0
    opener = 1
    responder = 2


#: `rst_on_next` is silent here: what comes later meets no entry, and `Table.no_session` says RST (the compiler's work).
RESET_MASK: dict[OnExpiry, int] = {
    OnExpiry.silent: 0,
    OnExpiry.rst_both: 3,
    OnExpiry.rst_one: 1,
    OnExpiry.rst_on_next: 0,
    OnExpiry.icmp: 0,
    OnExpiry.probe: 0,
    OnExpiry.fin: 0,
}
MODE_CODE = {Mode.idle: 0, Mode.absolute: 1, Mode.keep: 2}
NO_SESSION_CODE = {NoSession.drop: 0, NoSession.rst: 1, NoSession.recreate: 2, NoSession.passed: 3}
RST_CHECK_CODE = {
    RstCheck.none: 0,
    RstCheck.window: 1,
    RstCheck.exact: 2,
    RstCheck.window_then_exact: 3,
}


@dataclass(frozen=True, slots=True)
class TimerRow:
    """One timer with its effective length: defaults, overrides and clamps are resolved.

    Attributes:
        name: The profile's name for it, for reports.
        ns: Length; FOREVER_NS for none.
        mode: MODE_CODE.
        refresh: Two masks of `Refresh`: for segments of the opener and of the responder.
        reset: RESET_MASK: ends that get a RST at expiry.
        resolution_ns: How much later than due the entry may go.
    """

    name: str
    ns: int
    mode: int = 0
    refresh: tuple[int, int] = (int(ANY), int(ANY))
    reset: int = 0
    resolution_ns: int = 0


@dataclass(frozen=True, slots=True)
class Linux:
    """Switches of the `linux_conntrack` engine (`net.netfilter.nf_conntrack_tcp_*`).

    Attributes:
        loose: Segments without entry that a rule would let pass make one (mid-stream pickup).
        be_liberal: Segments out of the window are let pass.
        ignore_invalid_rst: A RST below the highest acknowledgment seen does not make it invalid.
        max_retrans: Repeats that cap the timer.
        drop_invalid: A rule drops what conntrack calls INVALID; without one it is forwarded.
    """

    loose: bool = True
    be_liberal: bool = False
    ignore_invalid_rst: bool = False
    max_retrans: int = 3
    drop_invalid: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of one application.

    Attributes:
        timers: At most MOST_TIMERS. For `linux_conntrack` the timer at place n is that of state `Ct(n)` (12 of them;
            place 0 is not used).
        timer_of: For each phase code (0 unused) the places in `timers` when the opener closed first (or nobody yet)
            and when the responder did. `linux_conntrack` does not use it.
        transitions: N_PHASES * N_ACTS * N_WHO next phases: `phase_table()` makes it.
        rst_check: RST_CHECK_CODE.
        no_session: For each `Seg` the NO_SESSION_CODE for segments of the inside (who opened the session, when that
            is remembered) and of the outside. A SYN that is `recreate` makes an entry.
        per_direction: Each end has a clock of its own; the entry goes with the first that ends (NetDefendOS).
        linux: Switches, only for the `linux_conntrack` engine; None runs `flags`.
        name: Of the application, empty for everything else.
    """

    timers: tuple[TimerRow, ...]
    timer_of: tuple[tuple[int, int], ...] = ()
    transitions: bytes = b""
    rst_check: int = 0
    no_session: tuple[tuple[int, int], ...] = ((2, 2), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0))
    per_direction: bool = False
    linux: Linux | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Selector:
    """Sessions whose entry is made while this matches run on `table`; the first match wins.

    Attributes:
        table: Place in `Box.tables`.
        ports: Lowest and highest server port (the responder's).
        clients: Networks of the opener as (network, mask), 128-bit numbers with IPv4 mapped into IPv6; empty for any.
        servers: The same for the responder.
    """

    table: int
    ports: tuple[int, int] = (0, 65535)
    clients: tuple[tuple[int, int], ...] = ()
    servers: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """How many entries there may be, and what happens when they are many.

    Attributes:
        limit: Most entries; 0 for no limit.
        evict: Phase (or `Ct`) codes whose entries leave to make room, in this order, the one longest in its phase
            first; then, or when empty, the new session is dropped.
        scale_from: Entries above which timers are shortened; 0 for never.
        scale_to: Entries at which they reach 0 (pf: the rest is linear); 0 when `scale_by` says it.
        scale_by: What they are divided by above `scale_from`.
        scale_every_ns: How often the fill is looked at; timers keep that factor until the next look.
    """

    limit: int = 0
    evict: tuple[int, ...] = ()
    scale_from: int = 0
    scale_to: int = 0
    scale_by: float = 1.0
    scale_every_ns: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Box:
    """A box, ready to run.

    Attributes:
        tables: Place 0 is for sessions that no selector matches.
        selectors: First match wins, when an entry is made.
        room: How many entries it holds.
        name: For reports.
    """

    tables: tuple[Table, ...]
    selectors: tuple[Selector, ...] = ()
    room: Room = Room()
    name: str = ""


_DERIVED: dict[Phase, dict[Act, Phase | None]] = {
    Phase.syn_sent: {
        Act.syn_ack: Phase.syn_recv,
        Act.opens: Phase.established,
        Act.fin: Phase.fin1,
    },
    Phase.syn_recv: {Act.opens: Phase.established, Act.fin: Phase.fin1},
    Phase.unreplied: {Act.opens: Phase.established, Act.fin: Phase.fin1},
    Phase.established: {Act.fin: Phase.fin1},
    Phase.fin1: {Act.ack_of_fin: Phase.fin1_acked, Act.fin: Phase.fin2, Act.ack_of_fins: Phase.closed},
    Phase.fin1_acked: {Act.fin: Phase.fin2, Act.ack_of_fins: Phase.closed},
    Phase.fin2: {Act.syn: None, Act.ack_of_fins: Phase.closed},
    Phase.closed: {Act.syn: None},
    Phase.rst: {Act.syn: None, Act.rst_unverified: Phase.rst},
    Phase.rst_unverified: {Act.syn: None},
}

_WHO: dict[By, tuple[int, ...]] = {
    By.any: (0, 1, 2, 3),
    By.opener: (0, 2),
    By.responder: (1, 3),
    By.first_closer: (0, 1),
    By.other: (2, 3),
}
_ACTS: dict[Event, tuple[Act, ...]] = {
    Event.syn: (Act.syn,),
    Event.syn_ack: (Act.syn_ack,),
    Event.ack: (Act.ack,),
    Event.data: (Act.data,),
    Event.fin: (Act.fin,),
    Event.fin_retx: (Act.fin_retx,),
    Event.ack_of_fin: (Act.ack_of_fin, Act.ack_of_fins),
    Event.rst: (Act.rst, Act.rst_unverified),
    # what a RST does is said apart: "anything but a RST" is what RFC 6146 means
    Event.any: (Act.syn, Act.syn_ack, Act.ack, Act.data, Act.fin, Act.fin_retx),
}


def place(phase: int, act: int, who: int) -> int:
    """Return where `transitions` holds the next phase."""
    return (phase * N_ACTS + act) * N_WHO + who


def phase_table(exceptions: Iterable[tuple[Phase, Event, By, Phase]] = ()) -> bytes:
    """Return the transitions that each end's SYN, FIN and acknowledged FIN derive, with a profile's exceptions.

    A SYN once both FINs or a RST were seen is a RESTART. A later exception does not overrule an earlier one.
    An exception to `syn_sent` from a later phase is a RESTART too.

    Args:
        exceptions: (phase, event, by, to): in `phase`, `event` from `by` leads to `to`.
    """
    table = bytearray(N_PHASES * N_ACTS * N_WHO)
    for phase, code in PHASE_CODE.items():
        for act in Act:
            derived: Phase | None = phase
            if act is Act.rst:
                derived = Phase.rst
            elif act is Act.rst_unverified:
                derived = Phase.rst_unverified
            derived = _DERIVED[phase].get(act, derived)
            for who in range(N_WHO):
                table[place(code, act, who)] = RESTART if derived is None else PHASE_CODE[derived]
    taken: set[int] = set()
    for phase, event, by, to in exceptions:
        restart = to is Phase.syn_sent and phase is not Phase.syn_sent
        for act in _ACTS[event]:
            for who in _WHO[by]:
                at = place(PHASE_CODE[phase], act, who)
                if at not in taken:
                    taken.add(at)
                    table[at] = RESTART if restart else PHASE_CODE[to]
    return bytes(table)
