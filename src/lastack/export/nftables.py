"""A timer policy as an nftables ruleset: `ct timeout` objects and the rules that give each new session one.

Always text: nft 1.0.6 takes JSON input of a `ct timeout` without a word and loses its values. Objects are named after
their values (`ssh_1f0c2ab9`): adding an object under a name that exists is silently ignored, so that a changed policy
needs new names; sessions that are under way keep the object they were given, and so do their times.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from lastack.export.nftables_limits import limits_of
from lastack.firewall.application import ANY_PORT, Application, Network
from lastack.firewall.compile import resolved
from lastack.firewall.policy import Effective, Policy, effective
from lastack.firewall.profile import Profile
from lastack.firewall.words import CapWhen, Engine, Phase
from lastack.model.errors import UsageError
from lastack.model.units import NS_PER_S

#: States of a `ct timeout` policy with the value nft has for one that is not written (its listings leave these out).
DEFAULTS: Mapping[str, int] = {
    "syn_sent": 120,
    "syn_recv": 60,
    "established": 432_000,
    "fin_wait": 120,
    "close_wait": 60,
    "last_ack": 30,
    "time_wait": 120,
    "close": 10,
    "retrans": 300,
    "unack": 300,
}
#: State of conntrack by the phase whose timer it runs.
STATES: Mapping[str, Phase] = {
    "syn_sent": Phase.syn_sent,
    "syn_recv": Phase.syn_recv,
    "established": Phase.established,
    "fin_wait": Phase.fin1,
    "close_wait": Phase.fin1_acked,
    "last_ack": Phase.fin2,
    "time_wait": Phase.closed,
    "close": Phase.rst,
}
TABLE = "lastack_timers"
#: The kernel counts ticks in 32 bits, and a larger value wraps without an error. 1000 is the most that is common.
SAFE_HZ = 1000
_CHAINS = ("prerouting", "output")


@dataclass(frozen=True, slots=True)
class TimeoutObject:
    """One `ct timeout` object.

    Attributes:
        name: Its versioned name.
        scope: The application, or `global`.
        seconds: A value for each of the ten states.
    """

    name: str
    scope: str
    seconds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What is written.

    Attributes:
        table: Name of the table, in family inet.
        objects: One for each scope, that of all other sessions last.
        rules: Rules of the chain `assign`, in order; the first that matches decides.
        comments: What each rule is for.
        cannot: What is different from the policy's box.
    """

    table: str
    objects: tuple[TimeoutObject, ...]
    rules: tuple[str, ...]
    comments: tuple[str, ...]
    cannot: tuple[str, ...]

    def text(self) -> str:
        """Return the file: one transaction, that can be loaded again and again."""
        lines = [
            "# TCP timeouts as ct timeout objects. Load: nft -f FILE. Remove: nft delete table inet "
            + self.table
        ]
        lines += [f"# Different on Linux: {line}" for line in self.cannot]
        lines += [f"table inet {self.table} {{"]
        for item in self.objects:
            values = ", ".join(f"{state} : {item.seconds[state]}" for state in DEFAULTS)
            lines += [
                f"\tct timeout {item.name} {{",
                "\t\tprotocol tcp",
                "\t\tl3proto inet",
                f"\t\tpolicy = {{ {values} }}",
                "\t}",
            ]
        lines += ["\tchain assign {", "\t}"]
        for chain in _CHAINS:
            lines += [
                f"\tchain {chain} {{",
                f"\t\ttype filter hook {chain} priority filter; policy accept;",
                "\t}",
            ]
        lines += ["}"]
        lines += [f"flush chain inet {self.table} {chain}" for chain in ("assign", *_CHAINS)]
        lines += [f"table inet {self.table} {{", "\tchain assign {"]
        for rule, comment in zip(self.rules, self.comments, strict=True):
            lines.append(f'\t\t{rule} comment "{comment}"')
        lines += ["\t}"]
        for chain in _CHAINS:
            lines += [f"\tchain {chain} {{", "\t\tct state new meta l4proto tcp jump assign", "\t}"]
        return "\n".join([*lines, "}", ""])


def ruleset(policy: Policy, profile: Profile, table: str = TABLE, hz: int = SAFE_HZ) -> Ruleset:
    """Return the ruleset that a policy becomes.

    Args:
        policy: The policy.
        profile: The profile it configures.
        table: Name of the table.
        hz: Ticks a second of the kernel that will run it; limits the longest time.

    Raises:
        UsageError: The profile is a host, or the table's name is none.
    """
    if profile.engine is Engine.host:
        raise UsageError(f"{profile.name} is a host: conntrack times sessions that pass, not those of an end")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", table):
        raise UsageError(f"--table {table}: a name is letters, digits and _, and begins with a letter")
    profile = resolved(profile, policy)
    most = (2**32 - 1) // hz
    cut: list[str] = []
    objects: list[TimeoutObject] = []
    rules: list[str] = []
    comments: list[str] = []
    # the overrides in order, then everything else: the order in which the first match decides
    for place in [*range(1, len(policy.overrides) + 1), 0]:
        application = policy.overrides[place - 1].application if place else None
        scope = application.name if application else "global"
        seconds = _seconds(profile, effective(profile, policy, place), scope, most, cut)
        item = TimeoutObject(_name(scope, seconds), scope, seconds)
        if item.name not in {known.name for known in objects}:
            objects.append(item)
        for match in _matches(application) if application else [""]:
            rules.append(f'{match}ct timeout set "{item.name}" return')
            comments.append(_comment(scope))
    cannot = [*limits_of(policy, profile), *cut]
    return Ruleset(table, tuple(objects), tuple(rules), tuple(comments), tuple(cannot))


def _seconds(
    profile: Profile, values: Mapping[str, Effective], scope: str, most: int, cut: list[str]
) -> dict[str, int]:
    found = {}
    for state, phase in STATES.items():
        pair = profile.phases[phase]
        timers = [values[pair.client], values[pair.server]]
        endless = any(value.ns is None for value in timers)
        longest = max((value.ns or 0 for value in timers), key=int)
        found[state] = _whole(None if endless else longest, f"{scope}: {state}", most, cut)
    caps = {cap.when: cap.timer for cap in profile.caps}
    retrans = caps.get(CapWhen.retransmissions)
    unack = caps.get(CapWhen.unacked)
    # A cap shortens whatever is longer: where the box has none, as long as the longest time never does.
    for state, name in (("retrans", retrans), ("unack", unack)):
        uncapped = max(found[key] for key in STATES)
        found[state] = _whole(values[name].ns, f"{scope}: {state}", most, cut) if name else uncapped
    return found


def _whole(ns: int | None, place: str, most: int, cut: list[str]) -> int:
    """Return whole seconds within the kernel's limit; note what was cut or rounded."""
    if ns is None:
        cut.append(f"{place} has no limit in the policy; it is {most} s, the most that the kernel counts")
        return most
    seconds, rest = divmod(ns, NS_PER_S)
    if rest:
        seconds += 1
        cut.append(f"{place} is rounded up to {seconds} s: the kernel counts whole seconds")
    if seconds > most:
        cut.append(f"{place} of {seconds} s is cut to {most} s: beyond it the kernel's counter wraps")
        seconds = most
    return seconds


def _name(scope: str, seconds: Mapping[str, int]) -> str:
    digest = hashlib.sha256(repr(sorted(seconds.items())).encode()).hexdigest()[:8]
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", scope).strip("_")[:40] or "app"
    return f"{stem if stem[0].isalpha() else 'app_' + stem}_{digest}"


def _comment(scope: str) -> str:
    return re.sub(r'["\\\x00-\x1f]', " ", scope)[:100]


def _matches(application: Application) -> list[str]:
    """Return what a rule asks of a session's first packet: one text for each IP version that has addresses."""
    ports = "" if application.ports == ANY_PORT else f"tcp dport {_set(map(_port_text, application.ports))} "
    if not application.clients and not application.servers:
        return [ports]
    found = []
    for word, kind in (("ip", True), ("ip6", False)):
        parts = []
        for field, networks in (("saddr", application.clients), ("daddr", application.servers)):
            own = [str(network) for network in networks if _is_v4(network) is kind]
            if networks and not own:
                break
            parts += [f"{word} {field} {_set(own)} "] if own else []
        else:
            found.append("".join(parts) + ports)
    return found


def _port_text(pair: tuple[int, int]) -> str:
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]}-{pair[1]}"


def _set(items: Iterable[str]) -> str:
    texts = list(items)
    return texts[0] if len(texts) == 1 else f"{{ {', '.join(texts)} }}"


def _is_v4(network: Network) -> bool:
    return isinstance(network, IPv4Network)
