"""Reads the timers of a profile document and the phases that they run in."""

from __future__ import annotations

from collections.abc import Mapping

from lastack.firewall.document import Node
from lastack.firewall.problems import near
from lastack.firewall.profile import Cap, Clamp, PhaseTimer, Timer, Transition
from lastack.firewall.text import duration_text
from lastack.firewall.words import (
    BOOKKEEPING,
    By,
    CapWhen,
    Confidence,
    Engine,
    Event,
    Mode,
    OnExpiry,
    Phase,
    RefreshBy,
    RstCheck,
)
from lastack.model.units import NS_PER_S

#: Events that start a timer, in the words of vendors' documents; the machine derives its own from the phases.
STARTS = (
    "syn",
    "synack",
    "handshake_done",
    "midstream_pickup",
    "data",
    "first_fin",
    "first_fin_acked",
    "second_fin",
    "second_fin_acked",
    "rst",
    "rst_exact",
    "rst_unverified",
    "policy_deny",
    "unacked_data",
    "retransmissions",
    "zero_window",
    "app_close",
    "app_shutdown_wr",
    "port_released",
)
SCOPES = ("global", "app")
_NEEDED = (
    Phase.syn_sent,
    Phase.syn_recv,
    Phase.established,
    Phase.fin1,
    Phase.fin1_acked,
    Phase.fin2,
    Phase.closed,
    Phase.rst,
)


def read_timer(node: Node, name: str, on_expiry: OnExpiry, confidence: Confidence) -> Timer:
    """Return a timer; what it does not say is taken from the profile's own words."""
    mode = node.word("mode", Mode)
    usual = RefreshBy.any if mode is Mode.idle else RefreshBy.none
    timer = Timer(
        name=name,
        vendor_name=node.text("vendor_name"),
        ns=node.seconds("seconds"),
        mode=mode,
        refresh_by=node.word("refresh_by", RefreshBy, usual),
        on_expiry=node.word("on_expiry", OnExpiry, on_expiry),
        minimum_ns=node.seconds("min", None),
        maximum_ns=node.seconds("max", None),
        start=node.words("start", STARTS),
        phases=node.words("bookkeeping", BOOKKEEPING),
        resolution_ns=node.seconds("resolution", 0) or 0,
        restart_in=tuple(Phase(word) for word in node.words("restart_in", list(Phase))),
        scopes=node.words("scopes", SCOPES, SCOPES),
        zero_is_never=node.flag("zero_is_never", False),
        effective=tuple(_piece(piece) for piece in node.tables("effective")),
        confidence=node.word("confidence", Confidence, confidence),
        source=node.text("source", ""),
        note=node.text("note", ""),
    )
    node.finish()
    _check_limits(node, timer)
    return timer


def _piece(node: Node) -> tuple[int, int, int]:
    above, minus, plus = (node.seconds(key, 0) or 0 for key in ("above", "minus", "plus"))
    times = node.whole("times", 1, 1)
    node.finish()
    return above, minus - plus, times


def _check_limits(node: Node, timer: Timer) -> None:
    low, high = timer.minimum_ns, timer.maximum_ns
    if low is not None and high is not None and low > high:
        node.error("min", f"{low / NS_PER_S:g} s is above max, {high / NS_PER_S:g} s")
    elif timer.ns is not None and (
        (low is not None and timer.ns < low) or (high is not None and timer.ns > high)
    ):
        node.error("seconds", f"{duration_text(timer.ns)} is outside of {range_text(timer)}")
    if timer.mode is Mode.absolute and timer.refresh_by is not RefreshBy.none:
        node.error(
            "refresh_by", "an absolute timer is not restarted by packets", 'leave it out, or mode = "idle"'
        )


def range_text(timer: Timer) -> str:
    """Return a timer's documented range: `1 s to 10 min 0 s`, `at least 30 s`, or `any value`."""
    low, high = timer.minimum_ns, timer.maximum_ns
    if low is not None and high is not None:
        return f"{duration_text(low)} to {duration_text(high)}"
    if low is not None:
        return f"at least {duration_text(low)}"
    return f"at most {duration_text(high)}" if high is not None else "any value"


def read_phases(
    node: Node, timers: Mapping[str, Timer], engine: Engine, check: RstCheck
) -> dict[Phase, PhaseTimer]:
    """Return which timer runs in which phase; mid-stream sessions run on the established timer unless told."""
    found: dict[Phase, PhaseTimer] = {}
    for key in node.values:
        node.has(key)
        if key not in list(Phase):
            node.error(key, "no such phase", near(key, list(Phase)))
            continue
        value = node.values[key]
        if isinstance(value, Mapping):
            pair = node.table(key)
            found[Phase(key)] = PhaseTimer(_timer(pair, "client", timers), _timer(pair, "server", timers))
            pair.finish()
        else:
            name = _timer(node, key, timers)
            found[Phase(key)] = PhaseTimer(name, name)
    if engine is not Engine.host:
        for phase in _NEEDED:
            if phase not in found:
                node.error(
                    phase, "no timer runs in this phase", f'write {phase} = "NAME" with the name of a timer'
                )
        if Phase.established in found:
            found.setdefault(Phase.unreplied, found[Phase.established])
        if check is RstCheck.window_then_exact and Phase.rst_unverified not in found:
            node.error("rst_unverified", "no timer runs in this phase, and rst_check is window_then_exact")
        elif Phase.rst in found:
            found.setdefault(Phase.rst_unverified, found[Phase.rst])
    return found


def _timer(node: Node, key: str, timers: Mapping[str, Timer]) -> str:
    name = node.text(key)
    if name not in timers:
        node.error(key, f"no timer is called {name!r}", near(name, timers))
    return name


def read_rules(
    root: Node, timers: Mapping[str, Timer]
) -> tuple[tuple[Transition, ...], tuple[Cap, ...], tuple[Clamp, ...]]:
    """Return the exceptions from the derived phases, the caps and the clamps."""
    transitions = []
    for node in root.tables("transitions"):
        transitions.append(
            Transition(
                node.word("phase", Phase),
                node.word("event", Event),
                node.word("by", By, By.any),
                node.word("to", Phase),
            )
        )
        node.finish()
    caps = []
    for node in root.tables("caps"):
        phases = tuple(Phase(word) for word in node.words("phases", list(Phase)))
        caps.append(
            Cap(node.word("when", CapWhen), _timer(node, "timer", timers), phases, node.whole("count", 0))
        )
        node.finish()
    clamps = []
    for node in root.tables("clamps"):
        clamps.append(Clamp(_timer(node, "timer", timers), _timer(node, "at_most", timers)))
        node.finish()
    return tuple(transitions), tuple(caps), tuple(clamps)
