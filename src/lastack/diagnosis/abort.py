"""What the two causes `aborted_by_client` and `aborted_by_server` share: a RST with no better explanation."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, after_idle, count, other_end, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import (
    by_rst,
    in_flight,
    is_code,
    mere_answer,
    receiver,
    repeated_in_vain,
    resetter,
    sent_fin,
    unacked,
)
from lastack.diagnosis.late import farewell
from lastack.diagnosis.rule import EITHER, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Closer, Ending, Harm, Opening, are


def abort_rule(code: Cause, side: Closer, actor: Actor) -> Rule:
    """Return the rule for RSTs of one end that no other rule explains."""
    end = side.name

    def check(cols: Columns) -> Claim:
        tried = is_code(cols, "opening", Opening.aborted)
        mine, yours = in_flight(cols)
        lost = unacked(cols) | (mine > 0) | (yours > 0)
        me, you = resetter(cols), receiver(cols)
        parting = is_code(cols, "ending", Ending.fin_rst) & sent_fin(cols, you) & farewell(cols, me)
        hurt = np.where(lost & ~parting, int(Harm.data_lost), int(Harm.unknown))
        harm = np.where(tried, int(Harm.open_failed), hurt)
        sure = np.where(lost, 70, 60)
        return claim((by_rst(cols) | tried) & are(resetter(cols), side), sure, actor, harm)

    def explain(case: Case) -> Story:
        if case["opening"] == "aborted":
            sentence = f"{the(end)} reset the attempt after the SYN-ACK: it gave up, or closed before it was complete"
            return Story(sentence, case.opened_proof() + case.rst_proof(), _ALTERNATIVES[:1])
        if _never_took_it(case, end):
            return _deaf_to_the_handshake(case, end)
        lost = {x: case.of("unacked_bytes", x) for x in ("client", "server")}
        told = [f"{count(n, 'byte')} of {the(x)}" for x, n in lost.items() if n]
        sentence = f"{the(end)} reset it in mid-session{after_idle(case)}"
        if told:
            sentence += f"; {' and '.join(told)} were never acknowledged"
        if repeated_in_vain(case.columns, resetter(case.columns)).any():
            sentence += f", though {the(end)} repeated itself {count(case.of('retx_packets', end), 'time')}: it gave up"
        return Story(sentence, case.fin_proof() + case.rst_proof(), _ALTERNATIVES, (_advice(end),))

    return Rule(
        code=code,
        title=f"aborted by the {end}",
        shape=f"A RST of the {end} before both FINs, with no shape that explains it better.",
        limits="Whose wish it was, the application's or its kernel's, cannot be seen on the wire. A reset subflow of "
        "Multipath TCP looks like any session, though its connection may go on over others and lose nothing.",
        needs=("ending", "opening", "evidence.rst_by", "evidence.in_flight_clt", "evidence.in_flight_srv"),
        check=check,
        explain=explain,
        scope=EITHER,
    )


def _never_took_it(case: Case, end: str) -> bool:
    """Return whether an end that had sent nothing but SYN-ACKs answered as a host without that connection does."""
    spoke = case.of("packets", end) - case.of("rst", end) - case.of("synack", end)
    return end == "server" and not spoke and bool(mere_answer(case.columns)[0])


def _deaf_to_the_handshake(case: Case, end: str) -> Story:
    """Say that the handshake may have been complete for the other end only."""
    tries, other, sent = int(case.of("synack", end)), other_end(end), int(case.of("bytes", other_end(end)))
    again = (
        f" repeated its SYN-ACK {count(tries - 1, 'time')} though it was acknowledged, and"
        if tries > 1
        else ""
    )
    what = f"{count(sent, 'byte')} of {the(other)}" if sent else f"an ACK of {the(other)}"
    sentence = (
        f"{the(end)}{again} answered {what} by a RST without ACK, as a host without that connection makes it: "
        "consistent with a handshake that it never took as complete"
    )
    alternatives = (
        Alternative(
            Cause.middlebox_idle_timeout, True, "a firewall that rejects in its name makes the same RST"
        ),
        Alternative(Cause.observer_limit, True, f"what was seen here may not have reached {the(end)}"),
        Alternative(
            Cause.peer_lost_state, True, f"a crash or a restart of {the(end)} right after the handshake"
        ),
    )
    advice = (
        f"look whether the listen queue of {the(end)} overflowed (`nstat -az TcpExtListenOverflows`), and whether its "
        "application waits for data before it accepts (TCP_DEFER_ACCEPT)"
    )
    return Story(sentence, case.opened_proof() + case.rst_proof(), alternatives, (advice,))


_ALTERNATIVES = (
    Alternative(
        Cause.injected_reset,
        False,
        "fewer than two signs that the RST was made by somebody else (TTL, IP-ID, race)",
    ),
    Alternative(Cause.closed_with_unread_data, True, "what its host had acknowledged it may not have read"),
    Alternative(
        Cause.reset_close, True, "some applications always end by a RST: look at the same server's sessions"
    ),
)


def _advice(end: str) -> str:
    return (
        f"look at the log of the application on {the(end)} at that time; on Linux, "
        f"`perf trace -e tcp:tcp_send_reset` names the reason ({the(other_end(end))} saw ECONNRESET)"
    )
