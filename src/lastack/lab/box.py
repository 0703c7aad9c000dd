"""The box in the middle: a router, a stateful firewall or a NAT, made of the Linux kernel's own parts.

Linux forgets a session like any box, but then hides it: a mid-stream packet makes a new entry
(`nf_conntrack_tcp_loose`), or the router's own TCP answers by RST. So the firewall and the NAT here refuse mid-stream
packets, and say nothing or send a RST, as chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lastack.lab.host import Host
from lastack.model.errors import UsageError

#: Name -> sysctl below net/netfilter, and Linux's own value in seconds (nf_conntrack_proto_tcp.c).
TIMERS: dict[str, tuple[str, int]] = {
    "syn_sent": ("nf_conntrack_tcp_timeout_syn_sent", 120),
    "syn_recv": ("nf_conntrack_tcp_timeout_syn_recv", 60),
    "established": ("nf_conntrack_tcp_timeout_established", 432_000),
    "fin_wait": ("nf_conntrack_tcp_timeout_fin_wait", 120),
    "close_wait": ("nf_conntrack_tcp_timeout_close_wait", 60),
    "last_ack": ("nf_conntrack_tcp_timeout_last_ack", 30),
    "time_wait": ("nf_conntrack_tcp_timeout_time_wait", 120),
    "close": ("nf_conntrack_tcp_timeout_close", 10),
    "retrans": ("nf_conntrack_tcp_timeout_max_retrans", 300),
    "unack": ("nf_conntrack_tcp_timeout_unacknowledged", 300),
}
EXPIRIES = ("silent", "reset")
#: 2^31 ms is the largest that every kernel takes.
_LONGEST_S = 2_147_483


@dataclass(frozen=True, slots=True)
class BoxRules:
    """How a firewall or NAT forgets.

    Attributes:
        timers: Timer -> seconds; those not named keep Linux's values. `half_closed` sets `fin_wait` and `close_wait`.
        expired: What answers a packet of a forgotten session: `silent` (nothing) or `reset` (a RST).
        half_closed_life_ms: Milliseconds after the first FIN at which the session is forgotten however busy it is: an
            absolute timer, as in boxes that free a session soon after its first FIN; 0 for none. Linux's own timers
            are idle timers.
        loose: Whether a mid-stream packet makes a new entry, as Linux does by default; then expiry can hardly be seen.
        forwards: Ports of the outside address that lead to the client (NAT only).
    """

    timers: Mapping[str, int] = field(default_factory=dict)
    expired: str = "silent"
    half_closed_life_ms: int = 0
    loose: bool = False
    forwards: Sequence[int] = ()

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: A value is out of its range, or not known.
        """
        if self.expired not in EXPIRIES:
            raise UsageError(f"expired {self.expired!r}: choose {' or '.join(EXPIRIES)}")
        if not 0 <= self.half_closed_life_ms <= _LONGEST_S * 1000:
            raise UsageError(
                f"half-closed life of {self.half_closed_life_ms} ms: must be 1 to {_LONGEST_S * 1000:,}"
            )
        for port in self.forwards:
            if not 0 < port < 65_536:
                raise UsageError(f"forwarded port {port}: must be 1 to 65535")
        self.seconds()

    def seconds(self) -> dict[str, int]:
        """Return the timers to set, by Linux's names.

        Raises:
            UsageError: A timer is not known, or not a whole number of seconds that Linux takes.
        """
        wanted: dict[str, int] = {}
        for name, value in self.timers.items():
            if name != "half_closed" and name not in TIMERS:
                raise UsageError(f"no timer {name!r}; there are half_closed, {', '.join(TIMERS)}")
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LONGEST_S:
                raise UsageError(f"timer {name} = {value!r}: Linux takes whole seconds, 1 to {_LONGEST_S:,}")
            for each in ("fin_wait", "close_wait") if name == "half_closed" else (name,):
                wanted[each] = value
        return wanted


def _forward_chain(rules: BoxRules, hides: bool) -> str:
    # behind a NAT, nobody outside begins a session but by a port that is forwarded
    begins = 'iifname "inside" ' if hides else ""
    forwarded = "ct status dnat ct state new counter accept" if hides else ""
    opening = "" if rules.loose else "tcp flags & (fin | syn | rst | ack) == syn "
    resets = rules.expired == "reset"
    refusal = "meta l4proto tcp reject with tcp reset" if resets else ""
    life, aged = "", ""
    if rules.half_closed_life_ms:
        # The set forgets by itself; the mark remembers that the session was in it. A repeated FIN starts nothing anew.
        gone = "reject with tcp reset" if resets else "drop"
        life = "set closing { typeof ct id; flags dynamic,timeout; size 65535; timeout 1s; }"
        aged = (
            "tcp flags & (fin | rst) == fin ct mark != 1 ct mark set 1 "
            f"add @closing {{ ct id timeout {rules.half_closed_life_ms}ms }}\n"
            f"  meta l4proto tcp ct mark 1 ct id != @closing counter {gone}"
        )
    return f"""{life}
chain forward {{
  type filter hook forward priority filter; policy drop;
  {aged}
  ct state established,related counter accept
  {begins}meta l4proto tcp ct state new {opening}counter accept
  {begins}meta l4proto {{ udp, icmp, ipv6-icmp }} ct state new accept
  {forwarded}
  {refusal}
  counter drop
}}"""


def _input_chain(rules: BoxRules) -> str:
    # A packet for a forgotten session of a NAT ends at the box's own address: its own TCP would answer by RST.
    if rules.expired == "reset":
        return ""
    return """chain input {
  type filter hook input priority filter; policy accept;
  iifname { "inside", "outside" } meta l4proto tcp ct state { new, invalid, untracked } counter drop
}"""


def _nat_chains(rules: BoxRules, inside_addresses: Mapping[int, str]) -> str:
    ports = ", ".join(str(port) for port in rules.forwards)
    redirect = ""
    if ports:
        redirect = (
            f'iifname "outside" meta nfproto ipv4 tcp dport {{ {ports} }} dnat ip to {inside_addresses[4]}\n'
            f'  iifname "outside" meta nfproto ipv6 tcp dport {{ {ports} }} dnat ip6 to {inside_addresses[6]}'
        )
    return f"""chain prerouting {{
  type nat hook prerouting priority dstnat; policy accept;
  {redirect}
}}
chain postrouting {{
  type nat hook postrouting priority srcnat; policy accept;
  oifname "outside" masquerade
}}"""


def make_router(box: Host) -> None:
    """Make a box forward packets, and do nothing else."""
    box.sysctl("net/ipv4/ip_forward", 1)
    box.sysctl("net/ipv6/conf/all/forwarding", 1)
    box.sysctl("net/ipv4/conf/all/send_redirects", 0)


def make_firewall(box: Host, rules: BoxRules, hides: bool = False) -> None:
    """Make a box a router that lets sessions through that it saw from their SYN on.

    Args:
        box: The box, with interfaces `inside` and `outside`.
        rules: How it forgets.
        hides: Whether only the inside may begin a session.

    Raises:
        UsageError: The rules make no sense.
    """
    rules.check()
    box.nft("\n".join([_forward_chain(rules, hides), _input_chain(rules)]), "box")
    _set_timers(box, rules)
    make_router(box)


def make_nat(box: Host, rules: BoxRules, inside_addresses: Mapping[int, str]) -> None:
    """Make a box a firewall behind whose outside address everything inside is hidden.

    Args:
        box: The box, with interfaces `inside` and `outside`.
        rules: How it forgets.
        inside_addresses: The client's addresses, for the ports that are forwarded.

    Raises:
        UsageError: The rules make no sense.
    """
    make_firewall(box, rules, hides=True)
    box.nft(_nat_chains(rules, inside_addresses), "nat")


def _set_timers(box: Host, rules: BoxRules) -> None:
    # Only now: a namespace gets these files' values when its first rule uses conntrack.
    box.sysctl("net/netfilter/nf_conntrack_tcp_loose", int(rules.loose))
    for name, value in rules.seconds().items():
        box.sysctl(f"net/netfilter/{TIMERS[name][0]}", value)
