"""Runs a path test from start to answer: plan, runner, state file, findings, systems that match."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lastack.app.profiles import all_profiles
from lastack.firewall.words import Kind as SystemKind
from lastack.firewall.words import Mode, Phase
from lastack.prober.answer import PathAnswer
from lastack.prober.facts import Status
from lastack.prober.findings import conclude
from lastack.prober.loop import allow_descriptors
from lastack.prober.match import Default, Known, matches
from lastack.prober.plan import Plan, Scope
from lastack.prober.requirement import Requirement, holds
from lastack.prober.runner import Runner
from lastack.prober.state import load, save
from lastack.prober.target import Target

_SAVE_EVERY_NS = 5_000_000_000
#: What a question asks for, in the phases of profiles.
_PHASES = {
    "half_close": Phase.fin1_acked,
    "idle": Phase.established,
    "opening_syn": Phase.syn_sent,
    "opening_synack": Phase.syn_recv,
    "closed": Phase.closed,
}


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

    raw = sum(question.raw is not None for question in scope.questions)
    allow_descriptors(scope.connections + raw * scope.raw_each + 200)
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
        timers = {}
        for question, phase in _PHASES.items():
            timer = profile.timer_of(phase)
            if timer is not None:
                timers[question] = Default(timer.ns, _mode(timer.mode))
            elif question in ("half_close", "idle"):  # it keeps such sessions without limit
                timers[question] = Default(None)
        systems.append(Known(profile.name, profile.title, timers))
    return systems


def _mode(mode: Mode) -> str:
    return mode.value if mode.value in ("idle", "absolute") else ""
