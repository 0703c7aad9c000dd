"""The verdict of a session for people: what happened, what proves it, and what else it may have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lastack.diagnosis.verdict import Proof, Verdict
from lastack.model.enums import Actor, Cause, Harm
from lastack.view.cells import offset, words
from lastack.view.page import Page

_ACTOR = {
    Actor.client: "by the client",
    Actor.server: "by the server",
    Actor.middlebox: "by something between them",
    Actor.network: "by the network",
}
_MARK = "●"


def add_verdict(page: Page, verdict: Verdict, start_ns: int, flags: Mapping[int, str] | None = None) -> None:
    """Put the verdict on a page: sentence, proof, alternatives, advice.

    Args:
        page: The page.
        verdict: What the rules say of the session.
        start_ns: When the session began.
        flags: Flags of packets by their number, where they are known.
    """
    page.heading("Verdict", _aside(verdict))
    page.say(sentence(verdict.sentence))
    if verdict.cost:
        page.say(sentence(verdict.cost), style="" if verdict.harm in (Harm.none, Harm.unknown) else "bad")
    if verdict.proof:
        page.heading("Proof")
        page.grid([_proof_cells(proof, start_ns, flags or {}) for proof in verdict.proof], "rrlt")
    for possible, title in ((True, "Still possible"), (False, "Less likely")):
        others = [other for other in verdict.alternatives if other.possible is possible]
        if others:
            page.heading(title)
            page.grid([[words(other.cause.name), other.reason] for other in others], "lt")
    if verdict.advice:
        page.heading("Look at")
        for advice in verdict.advice:
            page.say(sentence(advice))


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) or not text else ".")


def _aside(verdict: Verdict) -> str:
    parts = [verdict.title]
    who = _ACTOR.get(verdict.actor, "")
    if (
        who and who not in verdict.title and verdict.cause is not Cause.observer_limit
    ):  # "not seen by the server"
        parts.append(who)
    if verdict.harm is Harm.none:
        parts.append("no harm")
    if verdict.cause is not Cause.unknown:
        parts.append(f"confidence {100 * verdict.confidence:.0f} %")
    return " · ".join(parts)


def _proof_cells(proof: Proof, start_ns: int, flags: Mapping[int, str]) -> list[str]:
    number = f"{_MARK} {proof.packet:,}" if proof.packet else ""
    moment = "" if proof.time_ns is None else offset(proof.time_ns - start_ns)
    return [number, moment, flags.get(proof.packet, ""), proof.shows]


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON values."""
    return {
        "cause": verdict.cause.name,
        "title": verdict.title,
        "sentence": verdict.sentence,
        "confidence": round(verdict.confidence, 2),
        "actor": verdict.actor.name,
        "harm": verdict.harm.name,
        "cost": verdict.cost,
        "proof": [
            {"packet": p.packet or None, "time_ns": p.time_ns, "shows": p.shows} for p in verdict.proof
        ],
        "alternatives": [
            {"cause": other.cause.name, "possible": other.possible, "reason": other.reason}
            for other in verdict.alternatives
        ],
        "advice": list(verdict.advice),
    }
