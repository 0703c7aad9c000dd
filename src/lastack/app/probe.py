"""Runs a path test from start to answer: plan, runner, state file, findings, systems that match."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lastack.app.profiles import all_profiles
from lastack.firewall.words import Kind as SystemKind
from lastack.firewall.words import Mode, Phase
from lastack.prober.answer import PathAnswer
from lastack.prober.findings import conclude
from lastack.prober.loop import allow_descriptors
from lastack.prober.match import Known, matches
from lastack.prober.plan import Plan, Scope
from lastack.prober.requirement import Requirement, holds
from lastack.prober.runner import Runner, Status, Target
from lastack.prober.state import load, save

_SAVE_EVERY_NS = 5_000_000_000


def probe_path(
    target: Target,
    scope: Scope,
    requirements: Sequence[Requirement] = (),
    state: str | None = None,
    told: Callable[[Status], None] | None = None,
    *,
    reuse: bool = True,
) -> PathAnswer:
    """Test a path and return what it does to silent, talking, half-closed and idle connections.

    Args:
        target: Where the responder is.
        scope: How far the test goes.
        requirements: What the path must hold.
        state: File that keeps the samples; a run over the same target and scope goes on from it.
        told: Called a few times a second.
        reuse: Whether ports are opened again after a close.

    Raises:
        InputError: The responder cannot be reached.
        UsageError: The scope is more than the responder allows.
    """
    name = f"{target.host}:{target.port}"
    plan = Plan(scope, load(state, name, scope) if state else ())
    saved = 0

    def watch(status: Status) -> None:
        nonlocal saved
        if state and status.elapsed_ns - saved > _SAVE_EVERY_NS:
            saved = status.elapsed_ns
            save(state, name, plan)
        if told is not None:
            told(status)

    allow_descriptors(scope.connections + 200)
    runner = Runner(target, plan, watch, reuse=reuse)
    whole = True
    try:
        runner.run()
    except KeyboardInterrupt:
        whole = False
    finally:
        if state:
            save(state, name, plan)
    rtts = sorted(runner.facts.rtt_ns)
    rtt_ns = rtts[len(rtts) // 2] if rtts else None
    findings = tuple(conclude(inquiry, scope.longest_ns, rtt_ns) for inquiry in plan.inquiries.values())
    return PathAnswer(
        target=name,
        findings=findings,
        facts=runner.facts,
        matches=tuple(matches(findings, known_systems())),
        required=tuple((requirement, holds(requirement, findings)) for requirement in requirements),
        whole=whole,
    )


def known_systems() -> list[Known]:
    """Return the timers of the systems that LastACK knows and that may stand on a path."""
    systems = []
    for profile in all_profiles():
        if profile.kind is SystemKind.host:
            continue
        half, established = profile.half_closed(), profile.timer_of(Phase.established)
        systems.append(
            Known(
                name=profile.name,
                title=profile.title,
                half_closed_ns=half.ns if half else None,
                half_closed_mode=_mode(half.mode) if half else "",
                idle_ns=established.ns if established else None,
            )
        )
    return systems


def _mode(mode: Mode) -> str:
    return mode.value if mode.value in ("idle", "absolute") else ""
