"""The reference page of firewall profiles, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from lastack.firewall.profile import Profile, Timer
from lastack.firewall.schema_timers import range_text
from lastack.firewall.text import duration_text
from lastack.firewall.words import OnExpiry, Phase
from lastack.view.cells import words
from lastack.view.profiles import half_close_facts

#: How to read the page.
INTRODUCTION = """\
What is known of the timers of each system, from its maker's words, its source or a measurement. `half closed` is how
long an entry lives once one end has sent FIN; `runs on`: no timer of its own, the established one goes on. `?`: no
source settles it, so that both readings are run. `lastack profiles show NAME` tells the same in a terminal;
[write your own](../howto/write-a-profile.md).

Phases: `fin1` one FIN, not acknowledged yet; `fin1 acked` one FIN, acknowledged (the true half-close); `fin2` FINs from
both ends; `closed` both acknowledged; `unreplied` picked up in mid-stream, one end seen so far. `discard`, `hold down`
and `unsolicited syn` are kept for completeness and not run. Confidence `assumed` is nobody's word but ours.
"""
_HEADS = ("timer", "default", "range", "counts", "runs in", "product's name", "confidence")


def markdown(profiles: Sequence[Profile]) -> str:
    """Return an overview of all systems and a section for each."""
    rows = []
    for profile in profiles:
        facts, timer = half_close_facts(profile), profile.half_closed()
        start = {"none": "runs on"}.get(facts["start"], facts["start"]) if timer else "-"
        mode = f"{facts['mode']}{'?' if facts['asked'] else ''}" if timer else "-"
        rows.append(
            [
                f"[`{profile.name}`](#{profile.name})",
                duration_text(timer.ns) if timer else "-",
                start,
                mode,
                words(timer.on_expiry) if timer else "-",
                str(profile.confidence),
                profile.title,
            ]
        )
    parts = [
        _table(["name", "half closed", "starts at", "counts", "at its end", "confidence", "system"], rows),
        *(_section(profile) for profile in profiles),
    ]
    return "\n".join(parts)


def _section(profile: Profile) -> str:
    about = f"{profile.title}. {profile.vendor}, {profile.versions}; {profile.kind}, confidence {profile.confidence}."
    lines = [f"## {profile.name}", "", _escaped(about), ""]
    lines.append(_table(_HEADS, [_row(timer, profile) for timer in profile.timers.values()]))
    lines += [_effects(profile), ""]
    groups = (
        ("Rules", _rules(profile)),
        (
            "Not known",
            [f"`{fork.name}`: {fork.question} {_answers(profile, fork.name)}" for fork in profile.forks],
        ),
        (
            "Switches",
            [
                f"`{s.name}` ({'on' if s.default else 'off'}): {s.vendor_name}. {s.note}"
                for s in profile.switches
            ],
        ),
        ("Notes", list(profile.notes)),
        ("What the model cannot express", list(profile.cannot)),
        ("Sources", _sources(profile)),
    )
    for title, texts in groups:
        if texts:
            lines += [f"{title}:", "", *(f"- {_escaped(text.strip())}" for text in texts), ""]
    return "\n".join(lines)


def _row(timer: Timer, profile: Profile) -> list[str]:
    known = timer.minimum_ns is not None or timer.maximum_ns is not None
    where = [words(phase) for phase in timer.phases]
    where += [f"limit on {words(cap.when)}" for cap in profile.caps if cap.timer == timer.name]
    return [
        f"`{timer.name}`",
        duration_text(timer.ns),
        range_text(timer) if known else "",
        str(timer.mode) + ("" if timer.on_expiry is OnExpiry.silent else f", {words(timer.on_expiry)}"),
        ", ".join(where),
        timer.vendor_name,
        str(timer.confidence),
    ]


def _effects(profile: Profile) -> str:
    effects = profile.effects
    met = ", ".join(f"{words(key)} {word}" for key, word in effects.no_session.items())
    text = f"Segments without a session: {met}. RST check: {words(effects.rst_check)}. "
    return f"{text}Full table: {words(effects.table_full)}."


def _rules(profile: Profile) -> list[str]:
    texts = [
        f"In {words(rule.phase)}, {words(rule.event)} leads to {words(rule.to)}."
        for rule in profile.transitions
    ]
    texts += [f"`{clamp.timer}` never exceeds `{clamp.at_most}`." for clamp in profile.clamps]
    for phase in Phase:
        pair = profile.phases.get(phase)
        if pair is not None and pair.client != pair.server:
            texts.append(
                f"In {words(phase)}, `{pair.client}` runs if the client closed first, else `{pair.server}`."
            )
    return texts


def _answers(profile: Profile, name: str) -> str:
    fork = next(fork for fork in profile.forks if fork.name == name)
    others = ", ".join(f"`{reading.name}`" for reading in fork.readings[1:])
    return f"`{fork.assumed}` is assumed; also run: {others}."


def _sources(profile: Profile) -> list[str]:
    own = [f"`{timer.name}`: {timer.source}" for timer in profile.timers.values() if timer.source]
    own += [f"`{timer.name}`: {timer.note}" for timer in profile.timers.values() if timer.note]
    return [*profile.sources, *own]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines += [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
