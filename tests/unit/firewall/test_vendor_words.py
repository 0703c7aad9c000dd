"""Shipped profiles run as their makers say, in their makers' words: each dialogue names the sentence it checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from tests.naive.boxes import compiled_run, naive_run
from tests.naive.packets import ACK, FIN, RST, SYN, Packet

from lastack.app.profiles import load_profile
from lastack.firewall.compile import compile_box
from lastack.firewall.policy import Policy
from lastack.firewall.settings import with_settings
from lastack.replay.outcome import Action

S = 10**9
CLIENT, SERVER = ("10.0.0.1", 40000), ("192.0.2.1", 22)


@dataclass
class Dialogue:
    """A session as it is on the wire: opened at 0 s, then what the test says, each at its second."""

    packets: list[Packet] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=lambda: {"client": 1000, "server": 5000})
    got: dict[str, int] = field(default_factory=dict)
    start_ns: int = 1_700_000_000 * S

    def __post_init__(self) -> None:
        self.say(0, "client", SYN, "syn")
        self.say(0, "server", SYN | ACK, "synack")
        self.say(0, "client", ACK, "ack")

    def say(self, at_s: float, side: str, flags: int, name: str, payload: int = 0, off: int = 0) -> Dialogue:
        """Add a segment; it acknowledges all that the other side has sent."""
        other = "server" if side == "client" else "client"
        (src, sport), (dst, dport) = (CLIENT, SERVER) if side == "client" else (SERVER, CLIENT)
        acked = self.sent[other] if flags & ACK else 0
        self.packets.append(
            Packet(
                self.start_ns + round(at_s * S),
                src,
                sport,
                dst,
                dport,
                self.sent[side] + off,
                acked,
                flags,
                payload,
            )
        )
        self.names.append(name)
        if not off and not flags & RST:
            self.sent[side] += payload + bool(flags & (SYN | FIN))
        return self

    def data(self, at_s: float, side: str, name: str = "data") -> Dialogue:
        """Add 100 bytes of payload."""
        return self.say(at_s, side, ACK, name, 100)

    def ack(self, at_s: float, side: str, name: str = "ack") -> Dialogue:
        """Add a bare acknowledgment."""
        return self.say(at_s, side, ACK, name)

    def fin(self, at_s: float, side: str, name: str = "fin") -> Dialogue:
        """Add a FIN."""
        return self.say(at_s, side, FIN | ACK, name)

    def rst(self, at_s: float, side: str, name: str = "rst", off: int = 0) -> Dialogue:
        """Add a RST, `off` bytes beyond the exact sequence number."""
        return self.say(at_s, side, RST | ACK, name, off=off)

    def half_closed(self, at_s: float = 10, side: str = "client") -> Dialogue:
        """Let one side close and the other acknowledge that."""
        self.fin(at_s, side)
        return self.ack(at_s, "server" if side == "client" else "client")

    def through(
        self, profile: str, *sets: str, apps: tuple[str, ...] = (), readings: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return what a box does with each named segment; the compiled machine and the slow box must agree."""
        found = load_profile(profile)
        policy = with_settings(Policy(profile, profile), found, sets, apps)
        box = compile_box(found, policy, readings)
        slow, _, facts = naive_run(self.packets, box, adopt=False)
        fast, _ = compiled_run(self.packets, box, facts)
        assert slow == fast
        return {name: Action(answer[0]).name for name, answer in zip(self.names, fast, strict=True)}


def test_panos_legacy__what_the_other_side_sends_later_than_tcp_wait_is_discarded() -> None:
    talk = Dialogue().half_closed(10).data(39, "server", "at 29 s").data(41, "server", "at 31 s")
    told = talk.through("panos_legacy")
    assert (told["at 29 s"], told["at 31 s"]) == ("forward", "drop")


@pytest.mark.parametrize("closer", ["client", "server"])
def test_panos_legacy__the_first_fin_from_either_side_starts_it(closer: str) -> None:
    other = "server" if closer == "client" else "client"
    talk = Dialogue().half_closed(10, closer).data(50, other, "late")
    assert talk.through("panos_legacy")["late"] == "drop"
    assert talk.through("panos_legacy", "tcp_wait=60s")["late"] == "forward"


def test_panos_legacy__the_second_fin_does_not_start_it_again_unless_that_reading_is_taken() -> None:
    talk = Dialogue().half_closed(10).fin(30, "server", "second").ack(45, "client", "last")
    assert talk.through("panos_legacy")["last"] == "drop"
    assert talk.through("panos_legacy", readings={"second_fin": "restarts"})["last"] == "forward"


def test_panos__half_closed_is_the_longest_time_between_the_first_fin_and_the_second() -> None:
    talk = Dialogue().half_closed(0)
    for at_s in range(20, 140, 20):
        talk.data(at_s, "server", f"{at_s} s")
    told = talk.through("panos")
    assert (told["100 s"], told["120 s"]) == ("forward", "drop"), "absolute: data does not prolong it"
    idle = talk.through("panos", readings={"closing_refresh": "idle"})
    assert idle["120 s"] == "forward", "the other reading: inactivity"


def test_panos__time_wait_starts_at_the_second_fin() -> None:
    talk = Dialogue().half_closed(10).fin(100, "server").ack(110, "client", "10 s").ack(116, "client", "16 s")
    told = talk.through("panos")
    assert (told["10 s"], told["16 s"]) == ("forward", "drop")


def test_panos__time_wait_never_exceeds_half_closed_in_effect() -> None:
    talk = Dialogue().half_closed(10).fin(11, "server").ack(40, "client", "29 s").ack(42, "client", "31 s")
    told = talk.through("panos", "half_closed=30s", "time_wait=60s")
    assert (told["29 s"], told["31 s"]) == ("forward", "drop")


def test_panos__an_application_overrides_the_global_value() -> None:
    talk = Dialogue().half_closed(10).data(200, "server", "late")
    assert talk.through("panos", "half_closed=30s", apps=("ssh.half_closed=1h",))["late"] == "forward"
    assert talk.through("panos", "half_closed=30s", apps=("https.half_closed=1h",))["late"] == "drop"


def test_panos__a_rst_in_the_window_but_not_exact_starts_unverified_rst() -> None:
    exact = (
        Dialogue().rst(10, "client").data(20, "server", "10 s").data(30, "server", "20 s").through("panos")
    )
    near = (
        Dialogue()
        .rst(10, "client", off=5)
        .data(30, "server", "20 s")
        .data(45, "server", "35 s")
        .through("panos")
    )
    assert (exact["10 s"], exact["20 s"]) == ("forward", "drop"), "time wait, 15 s"
    assert (near["20 s"], near["35 s"]) == ("forward", "drop"), "unverified RST, 30 s"


def test_panos__a_rst_outside_the_window_is_dropped_and_ends_nothing() -> None:
    talk = Dialogue().rst(10, "client", "wild", off=10_000_000).data(100, "server", "later")
    told = talk.through("panos")
    assert (told["wild"], told["later"]) == ("drop", "forward")


def test_rfc5382__a_half_closed_connection_is_an_established_one() -> None:
    talk = Dialogue().half_closed(10).data(7000, "server", "later")
    assert talk.through("rfc5382")["later"] == "forward"
    assert talk.through("broken_nat")["later"] == "drop"


def test_broken_nat__forgets_soon_after_the_first_fin() -> None:
    talk = Dialogue().half_closed(10).data(15, "server", "5 s").data(26, "server", "11 s after that")
    told = talk.through("broken_nat")
    assert (told["5 s"], told["11 s after that"]) == ("forward", "drop")


def test_checkpoint__one_fin_changes_nothing_two_start_the_end_timeout() -> None:
    talk = Dialogue().half_closed(10).data(3000, "server", "one FIN")
    talk.fin(3001, "server").ack(3025, "client", "24 s after two")
    told = talk.through("checkpoint")
    assert (told["one FIN"], told["24 s after two"]) == ("forward", "drop")


def test_asa__a_fin_that_is_acknowledged_starts_half_closed_in_one_reading() -> None:
    talk = Dialogue().half_closed(10).data(700, "server", "later")
    assert talk.through("cisco_asa")["later"] == "drop"
    assert talk.through("cisco_asa", readings={"half_closed_start": "both_fins"})["later"] == "forward"


def test_asa__half_closed_is_an_idle_time() -> None:
    talk = Dialogue().half_closed(10)
    for at_s in range(500, 2500, 500):
        talk.data(at_s, "server", f"{at_s} s")
    assert talk.through("cisco_asa")["2000 s"] == "forward"


def test_fortigate__expire_counts_down_since_the_last_packet() -> None:
    talk = (
        Dialogue()
        .half_closed(10)
        .data(120, "server", "110 s")
        .data(235, "server", "115 s")
        .data(360, "server", "125 s")
    )
    told = talk.through("fortigate")
    assert [told[name] for name in ("110 s", "115 s", "125 s")] == ["forward", "forward", "drop"]


def test_srx__time_wait_starts_after_both_fins_unless_told_to_apply_to_half_close() -> None:
    talk = Dialogue().half_closed(10).data(1000, "server", "later")
    assert talk.through("juniper_srx")["later"] == "forward"
    assert talk.through("juniper_srx", "apply_to_half_close_state=on")["later"] == "drop"


def test_srx__by_default_the_normal_timeout_goes_on_after_a_rst() -> None:
    talk = Dialogue().rst(10, "client").data(500, "server", "later")
    assert talk.through("juniper_srx")["later"] == "forward"
    assert talk.through("juniper_srx", "rst_invalidate_session=on")["later"] == "drop"


@pytest.mark.parametrize(("closer", "limit_s"), [("client", 60), ("server", 120)])
def test_ipvs__close_wait_or_fin_wait_by_who_closed_first(closer: str, limit_s: int) -> None:
    other = "server" if closer == "client" else "client"
    talk = (
        Dialogue().half_closed(0, closer).data(limit_s - 1, other, "before").data(2 * limit_s, other, "after")
    )
    told = talk.through("ipvs")
    assert told["before"] == "forward"
    assert told["after"] != "forward"


def test_rfc6146__one_fin_keeps_the_lifetime_that_runs_and_packets_set_it_again() -> None:
    quiet = (
        Dialogue()
        .data(1, "client")
        .fin(7000, "client")
        .data(7300, "server", "after the old lifetime and its probe")
    )
    assert quiet.through("rfc6146")["after the old lifetime and its probe"] == "forward"
    silent = Dialogue().fin(7000, "client").ack(14_300, "server", "late")
    assert silent.through("rfc6146")["late"] == "drop"
    assert silent.through("rfc6146", readings={"binding": "shared"})["late"] == "forward"


def test_rfc6146__data_after_a_rst_revives_the_session() -> None:
    talk = Dialogue().rst(10, "client").data(100, "server", "soon").data(3000, "server", "much later")
    assert talk.through("rfc6146")["much later"] == "forward"


def test_aws_nat_gateway__answers_with_rst_whoever_is_behind_it() -> None:
    inside = Dialogue().data(351, "client", "from behind").through("aws_nat_gateway")
    outside = Dialogue().data(351, "server", "from outside").through("aws_nat_gateway")
    assert (inside["from behind"], outside["from outside"]) == ("reset", "drop")


def test_linux__close_wait_is_the_half_closed_time_and_it_is_idle() -> None:
    talk = Dialogue().half_closed(10).data(69, "server", "59 s").data(128, "server", "59 s more")
    talk.data(1000, "server", "never")
    told = talk.through("linux_conntrack", "loose=off")
    assert [told[name] for name in ("59 s", "59 s more", "never")] == ["forward", "forward", "drop"]
