"""What vendors and RFCs say of their timers, each sentence as a timeline through the shipped profile.

The sources are those of the profiles (`lastack profiles show NAME`); section numbers are of docs and RFCs named there.
`+` forwarded, `-` dropped, `R` answered with RST; the number is when the entry ended, in seconds.
"""

from __future__ import annotations

import pytest
from tests.unit.firewall.talk import CLOSED, HANDSHAKE, watch

HALF = HANDSHAKE + "1 >F 1 <A "
SERVER_HALF = HANDSHAKE + "1 <F 1 >A "

CLAIMS = [
    # PAN KB ClI4CAK: the first FIN from either side starts TCP Wait (30 s); what the other sends later is discarded.
    ("panos_legacy", HALF + "20 <D 30.9 <D 31 <D", "+++++++-", 31),
    ("panos_legacy", SERVER_HALF + "20 >D 30.9 >D 31 >D", "+++++++-", 31),
    # The second FIN does not start another timer: there is only one.
    ("panos_legacy", HALF + "20 <F 20 >A 30.9 >A 31 >A", "++++++++-", 31),
    ("panos_legacy", HANDSHAKE + "1 <R 30.9 >D 31 >D", "+++++-", 31),
    # PAN-OS 6.1 and later: Half Closed (120 s) from the first FIN, Time Wait (15 s) from the second FIN or a RST.
    ("panos", HALF + "60 <D 120.9 <D 121 <D", "+++++++-", 121),
    ("panos", HALF + "60 <F 60 >A 74.9 >A 75 >A", "++++++++-", 75),
    ("panos", HANDSHAKE + "1 <R 15.9 >D 16 >D", "+++++-", 16),
    # Unverified RST Timer: in the window but not exact: 30 s; outside of it: dropped, and the session goes on.
    ("panos", HANDSHAKE + "1 >D 1 <A 1 <RW 30.9 >D 31 >D", "+++++++-", 31),
    ("panos", HANDSHAKE + "1 >D 1 <A 1 <RO 60 >D", "+++++-+", None),
    # TCP Init 5 s before the SYN-ACK, TCP Handshake 10 s before the ACK, TCP 3600 s idle.
    ("panos", "0 >S 5 <SA", "+-", 5),
    ("panos", "0 >S 4.9 <SA 14.8 >A", "+++", None),
    ("panos", "0 >S 4.9 <SA 14.9 >A", "++-", 14.9),
    ("panos", HANDSHAKE + "3000 >D 6599 <D 10199 >D", "+++++-", 10199),
    # ASA: half-closed 10 min is an idle timer; embryonic 30 s; the slot is free about 60 s after a normal close.
    ("cisco_asa", HALF + "500 <D 1000 <D 1599 <D 2199 <D", "++++++++-", 2199),
    ("cisco_asa", "0 >S 10 <SA 30 >A", "++-", 30),
    ("cisco_asa", CLOSED + "60.9 >A 61 >A", "+++++++-", 61),
    # FortiGate: half-close 120 s, time-wait 1 s, RST 5 s; expire counts down since the last packet passed.
    ("fortigate", HALF + "100 <D 219 <D 339 <D", "+++++++-", 339),
    ("fortigate", CLOSED + "1.9 >A 2.9 >A", "+++++++-", 2.9),
    ("fortigate", HANDSHAKE + "1 <R 6 >D", "++++-", 6),
    # pf.conf: tcp.closing 900 s after one FIN, tcp.finwait 45 s after both, tcp.closed 90 s when both are acknowledged.
    ("pf", HALF + "900 <D 1799 <D 2699 <D", "+++++++-", 2699),
    ("pf", HANDSHAKE + "1 >F 1 <F 46 >A", "+++++-", 46),
    ("pf", CLOSED + "90 >A 180 >A", "++++++" + "+-", 180),
    # RFC 5382 REQ-5: closing begins with both FINs; established idle at least 2 h 4 min, transitory at least 4 min.
    ("rfc5382", HALF + "7440 <D 14879 <D", "++++++" + "+", None),
    ("rfc5382", HALF + "7441 <D", "+++++-", 7441),
    ("rfc5382", CLOSED + "240 >A 480 >A", "+++++++-", 480),
    # RFC 6146, 3.5.2.2: a FIN leaves the lifetime as it is, what follows refreshes to TCP_EST; both FINs: TCP_TRANS.
    ("rfc6146", HALF + "7200 <D 14399 <D 21599 <D", "+++++++-", 21599),
    ("rfc6146", CLOSED + "100 >A 240.9 >A 241 >A", "++++++++-", 241),
    # ... in TRANS after a RST anything but a RST goes back to ESTABLISHED.
    ("rfc6146", HANDSHAKE + "1 <R 100 >D 400 >D", "++++++", None),
    ("rfc6146", HANDSHAKE + "1 <R 241 >D", "++++-", 241),
    # Cisco NAT FAQ: 24 h; a RST, or FINs of both, switch to 60 s. One FIN changes nothing.
    ("cisco_ios_nat", HALF + "86400 <D", "++++++", None),
    ("cisco_ios_nat", HANDSHAKE + "1 <R 61 >D", "++++-", 61),
    # Check Point: TCP end timeout 20 s after two FINs or a RST; start timeout 25 s, absolute.
    ("checkpoint", CLOSED + "20.9 >A 21 >A", "+++++++-", 21),
    ("checkpoint", "0 >S 10 <SA 20 <SA 25 >A", "+++-", 25),
    # SRX: rst-invalidate-session is off by default, 1800 s apply after a RST; time-wait 150 s with both FINs.
    ("juniper_srx", HANDSHAKE + "1 <R 1800 >D", "+++++", None),
    ("juniper_srx", CLOSED + "151 >A", "++++++-", 151),
    # AWS NAT gateway: 350 s idle, silent; a later packet gets a RST.
    ("aws_nat_gateway", HANDSHAKE + "349 >D 698 <D 1048 >D", "+++++R", 1048),
    # IPVS: a client that closes first has 60 s, a server 120 s.
    ("ipvs", HANDSHAKE + "1 >F 1 <A 61 <D", "+++++R", 61),
    ("ipvs", HANDSHAKE + "1 <F 1 >A 61 >D 180 >D", "+++++++", None),
    # VPP NAT44-ED: one FIN or RST is enough for the transitory 240 s.
    ("vpp_nat44_ed", HALF + "200 <D 440 <D", "++++++-", 440),
    # A broken NAT drops the entry shortly after the first FIN.
    ("broken_nat", HALF + "600 <D", "+++++-", None),
]


@pytest.mark.parametrize(("name", "timeline", "verdicts", "gone_s"), CLAIMS)
def test_profile__does_what_its_vendor_says(name: str, timeline: str, verdicts: str, gone_s: float | None):
    seen = watch(name, timeline)
    assert seen.verdicts == verdicts, seen
    if gone_s is not None:
        assert seen.gone_s == pytest.approx(gone_s), seen


def test_idle_reading_of_panos__lets_a_download_after_the_fin_live():
    timeline = HALF + " ".join(f"{at} <D" for at in range(60, 600, 60))
    assert "-" in watch("panos", timeline).verdicts
    assert "-" not in watch("panos", timeline, closing_refresh="idle").verdicts


def test_new_session_on_the_same_tuple__gets_an_entry_of_its_own_in_time_wait():
    seen = watch("panos", CLOSED + "5 >N 5 <SA 5 >A 100 >D")
    assert "-" not in seen.verdicts
    assert seen.phases[6] == "syn_sent"
    assert [life.made_ns for fate in seen.fates for life in fate.lives] == [0, 5_000_000_000]


def test_new_session_in_mid_session__takes_the_entry_when_the_other_end_agrees():
    seen = watch("panos", HANDSHAKE + "1 >D 2 >N 2 <SA 2 >A 3 >D 4 <F")
    assert seen.phases[-1] == "fin1"
    assert len([life for fate in seen.fates for life in fate.lives]) == 2
