"""The slow box: packets in, one verdict each; plain Python, from docs/explain/timers.md.

This is the judge of the compiled machine, so it keeps whole histories, looks
at every entry whenever it wonders which have expired, and computes what it can anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.naive.box_entry import End, Entry, Key, fin_position, number, refresh_bits, seg_of
from tests.naive.packets import ACK, FIN, SYN, Packet
from tests.naive.serial import HALF, MOD, distance, within

from lastack.firewall.table import (
    FOREVER_NS,
    PHASE_CODE,
    RESTART,
    Act,
    Box,
    Refresh,
    Seg,
    Selector,
    Table,
    place,
)
from lastack.firewall.words import Phase
from lastack.replay.outcome import Action, Life, Reason, Why

OPENING = (Phase.syn_sent, Phase.syn_recv, Phase.unreplied)


class NaiveBox:
    """A box at work: `offer` packets in the order of the input."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.entries: dict[Key, Entry] = {}
        self.lives: list[tuple[int, Life]] = []  # (session, entry that ended)
        self.now = -FOREVER_NS
        self.factor = 1.0
        self.next_look = -FOREVER_NS
        self.changes = 0

    # ------------------------------------------------------------- time

    def deadline(self, entry: Entry) -> int:
        """Return when an entry ends if nothing comes, at least FOREVER_NS for never."""
        timer = self.box.tables[entry.table].timers[entry.clock]
        if timer.ns >= FOREVER_NS:
            return FOREVER_NS
        ns = timer.ns if self.factor == 1.0 else int(timer.ns * self.factor)
        return min(entry.since) + ns

    def end(self, key: Key, at_ns: int | None, why: Why) -> None:
        """Take an entry out of the table."""
        entry = self.entries.pop(key)
        life = Life(entry.made_ns, at_ns, why, entry.phase, entry.clock, entry.table)
        self.lives.append((entry.session, life))

    def time(self, packet: Packet) -> int:
        """Return the time of a packet: a box with limited room has one clock, which never runs back."""
        room = self.box.room
        return self.now if room.limit or room.scale_from else packet.ts_ns

    def sweep(self) -> None:
        """End what has expired by the time of the box."""
        for key, entry in list(self.entries.items()):
            if self.deadline(entry) <= self.now:
                self.end(key, self.deadline(entry), Why.expired)

    def look(self) -> None:
        """Set the factor of the timers from the fill, every `scale_every_ns`."""
        room = self.box.room
        if not room.scale_from or self.now < self.next_look:
            return
        self.sweep()
        self.next_look = self.now + room.scale_every_ns
        live, self.factor = len(self.entries), 1.0
        if live > room.scale_from:
            self.factor = 1.0 / room.scale_by
            if room.scale_to:
                self.factor = max(0, room.scale_to - live) / (room.scale_to - room.scale_from)
        self.sweep()

    def has_room(self) -> bool:
        """Return whether one more entry fits, making room where the box does so."""
        room = self.box.room
        if not room.limit:
            return True
        self.sweep()
        if len(self.entries) < room.limit:
            return True
        for phase in room.evict:
            found = [(entry.in_phase, key) for key, entry in self.entries.items() if entry.phase == phase]
            if found:
                self.end(min(found)[1], self.now, Why.evicted)
                return True
        return False

    # ------------------------------------------------------------- packets

    def offer(
        self,
        packet: Packet,
        session: int,
        *,
        fresh: bool = False,
        adopt: bool = False,
        opener: int | None = None,
    ) -> tuple[Action, Reason, int]:
        """Return what the box does with a packet, why, and the phase of its entry afterwards.

        Args:
            packet: The packet.
            session: Whose it is; kept with an entry that it makes.
            fresh: It is its session's first packet: an entry that is there passes to this session.
            adopt: Its session was under way when the input began: take the entry as known.
            opener: The end that opened the session, if remembered: the inside.
        """
        self.now = max(self.now, packet.ts_ns)
        self.look()
        here, there = (packet.src, packet.sport), (packet.dst, packet.dport)
        key = (here, there) if here <= there else (there, here)
        sender = 0 if here == key[0] else 1
        entry = self.entries.get(key)
        if entry is not None:
            at = max(self.time(packet), entry.latest_ns)
            if at >= self.deadline(entry):
                self.end(key, self.deadline(entry), Why.expired)
                entry = None
        if entry is None:
            return self.without(key, packet, sender, session, adopt, opener)
        entry.latest_ns = max(self.time(packet), entry.latest_ns)
        if fresh:
            entry.session = session
        if self.table(entry).linux is not None:
            from tests.naive.conntrack import offer_linux

            return offer_linux(self, key, entry, packet, sender, session)
        return self.within_entry(key, entry, packet, sender, session)

    def table(self, entry: Entry) -> Table:
        """Return an entry's table."""
        return self.box.tables[entry.table]

    def choose(self, client: tuple[str, int], server: tuple[str, int]) -> int:
        """Return the place of the table that a new session runs on."""

        def matches(one: Selector) -> bool:
            def inside(nets: Iterable[tuple[int, int]], address: str) -> bool:
                nets = list(nets)
                return not nets or any(number(address) & mask == net for net, mask in nets)

            return (
                one.ports[0] <= server[1] <= one.ports[1]
                and inside(one.clients, client[0])
                and inside(one.servers, server[0])
            )

        return next((one.table for one in self.box.selectors if matches(one)), 0)

    def without(
        self,
        key: Key,
        packet: Packet,
        sender: int,
        session: int,
        adopt: bool,
        opener: int | None,
        not_before: int = -FOREVER_NS,
    ) -> tuple[Action, Reason, int]:
        """Decide about a packet that meets no entry (any more: it ended one at `not_before`)."""
        kind = seg_of(packet)
        from_other = kind is Seg.syn_ack or (opener is not None and kind is not Seg.syn and opener != sender)
        first = 1 - sender if from_other else sender
        place_of_table = self.choose(key[first], key[1 - first])
        table = self.box.tables[place_of_table]
        adopt = adopt and kind not in (Seg.rst, Seg.syn)
        if table.linux is not None:
            from tests.naive.conntrack import begin_linux

            if kind is not Seg.syn_ack and not adopt:
                first = sender
            return begin_linux(self, key, packet, sender, first, session, place_of_table, adopt, not_before)
        outside = opener is not None and opener != sender
        what = 2 if adopt else table.no_session[kind][outside]
        if what == 0:
            return Action.drop, Reason.no_entry, 0
        if what == 1:
            # a RST is never answered with a RST
            return (Action.drop if kind is Seg.rst else Action.reset), Reason.no_entry, 0
        if what == 3 or kind is Seg.rst:
            return Action.forward, Reason.passed, 0
        if not self.has_room():
            return Action.drop, Reason.table_full, 0
        now = max(self.time(packet), not_before)
        entry = Entry(place_of_table, first, now, session, latest_ns=now)
        self.entries[key] = entry
        phase, reason = Phase.unreplied, Reason.picked_up
        if kind is Seg.syn:
            phase, reason = Phase.syn_sent, Reason.made
        elif kind is Seg.syn_ack:
            phase, reason = Phase.syn_recv, Reason.adopted if adopt else Reason.picked_up
        elif adopt:
            phase, reason = Phase.established, Reason.adopted
        entry.phase = PHASE_CODE[phase]
        self.note(entry, packet, sender)
        if kind is Seg.fin:
            entry.closer = sender
            entry.ends[sender].fin = fin_position(packet)
            entry.phase = self.step(entry, Act.fin, sender)
        self.moved(entry)
        entry.clock = self.timer(entry)
        entry.since = [now, now]
        return Action.forward, reason, entry.phase

    def moved(self, entry: Entry) -> None:
        """Remember that an entry has just come to its phase."""
        self.changes += 1
        entry.in_phase = self.changes

    def timer(self, entry: Entry) -> int:
        """Return the place of the timer of an entry's phase."""
        by_responder = entry.closer is not None and entry.closer != entry.opener
        return self.table(entry).timer_of[entry.phase][by_responder]

    def step(self, entry: Entry, act: Act, sender: int) -> int:
        """Return the phase that an event leads to."""
        who = (sender != entry.opener) + 2 * (entry.closer != sender)
        return self.table(entry).transitions[place(entry.phase, act, who)]

    def note(self, entry: Entry, packet: Packet, sender: int) -> None:
        """Take the numbers of a segment that is no RST (its FIN apart)."""
        me, kind = entry.ends[sender], seg_of(packet)
        if kind in (Seg.syn, Seg.syn_ack):
            opening = entry.phase in (PHASE_CODE[Phase.syn_sent], PHASE_CODE[Phase.syn_recv])
            if me.isn is not None and me.isn != packet.seq:
                if not opening:
                    entry.new_syn = packet if kind is Seg.syn else entry.new_syn
                    return
                me.isn = me.top = None
            if me.isn is None:
                me.isn, me.scale = packet.seq, packet.wscale
            me.sent_syn |= kind is Seg.syn
            me.sent_synack |= kind is Seg.syn_ack
        occupied = (bool(packet.flags & SYN) + packet.payload + bool(packet.flags & FIN)) % MOD
        end = (packet.seq + occupied) % MOD
        if me.top is None or distance(end, me.top) > 0:
            me.top = end
        if packet.flags & ACK and (me.ack is None or distance(packet.ack, me.ack) > 0):
            me.ack = packet.ack
        me.window, me.scaled = packet.window, not packet.flags & SYN

    def within_entry(
        self, key: Key, entry: Entry, packet: Packet, sender: int, session: int
    ) -> tuple[Action, Reason, int]:
        """Decide about a packet of an entry: the `flags` engine."""
        table, now = self.table(entry), entry.latest_ns
        me, other = entry.ends[sender], entry.ends[1 - sender]
        kind = seg_of(packet)
        if kind is Seg.syn_ack and entry.new_syn is not None and self.answers_new(entry, packet, sender):
            return self.renew(key, entry, packet, sender)
        before = entry.phase
        old_timer = self.timer(entry)
        acceptable = self.acceptable(me, other, packet)
        if kind is Seg.rst:
            act = self.judge_rst(table, entry, packet, sender)
            if act is None:
                return Action.drop, Reason.rst_unbelieved, entry.phase
            acts = [act]
        else:
            acts = self.events(entry, packet, sender, kind)
        phases = [before]
        for act in acts:
            if act is Act.fin and entry.closer is None:
                entry.closer = sender
            phase = self.step(entry, act, sender)
            if phase == RESTART:
                entry.phase = before
                self.end(key, now, Why.restarted)
                action, reason, phase = self.without(key, packet, sender, session, False, None, now)
                return action, Reason.restarted if reason is Reason.made else reason, phase
            entry.phase = phase
            phases.append(phase)
        if entry.phase != before:
            self.moved(entry)
        new_timer = self.timer(entry)
        timer = table.timers[new_timer]
        if new_timer != old_timer and timer.mode != 2:
            entry.clock, entry.since = new_timer, [now, now]
        elif new_timer == old_timer and timer.mode != 1:
            mask = timer.refresh[sender != entry.opener]
            wanted = mask & refresh_bits(packet) and (acceptable or not mask & Refresh.in_window)
            if wanted and entry.clock != new_timer:
                entry.clock, entry.since = new_timer, [now, now]
            elif wanted and table.per_direction:
                entry.since[sender] = now
            elif wanted:
                entry.since = [now, now]
        return Action.forward, Reason.entry, entry.phase

    def answers_new(self, entry: Entry, packet: Packet, sender: int) -> bool:
        """Return whether a SYN-ACK answers the SYN that did not belong to the entry."""
        syn = entry.new_syn
        assert syn is not None
        return (packet.src, packet.sport) == (syn.dst, syn.dport) and packet.ack == (syn.seq + 1) % MOD

    def renew(self, key: Key, entry: Entry, packet: Packet, sender: int) -> tuple[Action, Reason, int]:
        """Begin a new entry in place of an old one: both ends have agreed on a new session."""
        syn, session, now = entry.new_syn, entry.session, entry.latest_ns
        assert syn is not None
        self.end(key, now, Why.restarted)
        table = self.choose(key[1 - sender], key[sender])
        fresh = Entry(table, 1 - sender, now, session, latest_ns=now)
        fresh.phase = PHASE_CODE[Phase.syn_recv]
        self.entries[key] = fresh
        self.note(fresh, syn, 1 - sender)
        self.note(fresh, packet, sender)
        self.moved(fresh)
        fresh.clock, fresh.since = self.timer(fresh), [now, now]
        return Action.forward, Reason.restarted, fresh.phase

    def events(self, entry: Entry, packet: Packet, sender: int, kind: Seg) -> list[Act]:
        """Take a segment that is no RST; return what it is to the phases, in order."""
        me = entry.ends[sender]
        acts = []
        acked = entry.fins_acked()
        self.note(entry, packet, sender)
        if entry.phase in [PHASE_CODE[phase] for phase in OPENING] and self.opens(
            entry, packet, sender, kind
        ):
            acts.append(Act.opens)
        if entry.fins_acked() > acked:
            acts.append(Act.ack_of_fins if entry.fins_acked() == 2 else Act.ack_of_fin)
        acked = entry.fins_acked()
        if kind is Seg.fin:
            acts.append(Act.fin if me.fin is None else Act.fin_retx)
            if me.fin is None:
                me.fin = fin_position(packet)
                if entry.fins_acked() > acked:
                    # its acknowledgment came before it
                    acts.append(Act.ack_of_fins if entry.fins_acked() == 2 else Act.ack_of_fin)
        else:
            acts.append(Act[kind.name])
        return acts

    def opens(self, entry: Entry, packet: Packet, sender: int, kind: Seg) -> bool:
        """Return whether a segment completes the handshake or shows that one took place (definitions.md, section 5)."""
        if entry.phase == PHASE_CODE[Phase.unreplied]:
            return sender != entry.opener
        me, other = entry.ends[sender], entry.ends[1 - sender]
        by_opener = sender == entry.opener
        acks = bool(packet.flags & ACK)
        plain = acks and not packet.flags & SYN
        in_range = other.isn is not None and within(packet.ack, (other.isn + 1) % MOD, other.top or 0)
        if me.sent_syn and other.sent_syn and acks and in_range:
            other.syn_acked = True
            if me.syn_acked:
                return True
        if by_opener:
            if other.sent_synack:
                return plain and in_range
            return plain and me.sent_syn and not me.sent_synack
        if me.sent_synack:
            return packet.payload > 0 and not packet.flags & SYN
        acks_syn = other.isn is not None and within((packet.ack - 1) % MOD, other.isn, other.top or 0)
        return kind not in (Seg.syn, Seg.syn_ack) and acks and other.sent_syn and acks_syn

    @staticmethod
    def window(end: End, peer: End) -> int:
        """Return an end's window in bytes, as far as its scale is known."""
        if not end.scaled:
            return end.window
        if end.isn is None:
            return end.window << 14
        if end.scale is None or peer.scale is None:
            return end.window
        return end.window << min(end.scale, 14)

    def acceptable(self, me: End, other: End, packet: Packet) -> bool:
        """Return whether a segment is acceptable to its receiver (RFC 9293, 3.10.7.4), as far as it is known."""
        if other.ack is None:
            return True
        size = bool(packet.flags & SYN) + packet.payload + bool(packet.flags & FIN)
        start = distance(packet.seq, other.ack)
        end = start + max(size, 1)
        return (end > 0 and start < max(self.window(other, me), 1)) or (size == 0 and start == 0)

    def judge_rst(self, table: Table, entry: Entry, packet: Packet, sender: int) -> Act | None:
        """Return the event that a RST is, None if the box does not believe it."""
        me, other = entry.ends[sender], entry.ends[1 - sender]
        if table.rst_check == 0:
            return Act.rst
        if other.ack is None:
            if other.sent_syn and me.top is None:
                answers = packet.flags & ACK and within(
                    (packet.ack - 1) % MOD, other.isn or 0, other.top or 0
                )
                return Act.rst if answers else None
            return Act.rst
        ahead = distance(packet.seq, other.ack)
        if ahead == 0 or packet.seq == me.top:
            return Act.rst
        if 0 < ahead < self.window(other, me) and ahead < HALF:
            return {1: Act.rst, 2: None, 3: Act.rst_unverified}[table.rst_check]
        return None
