"""The reference of causes: every rule as it describes itself."""

from __future__ import annotations

from lastack.diagnosis.rule import VERDICT_FROM, Rule
from lastack.diagnosis.rules import RULES

INTRODUCTION = f"""\
Every session has one `cause`, found by rules that look at columns of the session record; no rule sees a packet. They
are asked in the order of this page, and the first that is at least {VERDICT_FROM} % sure decides. `lastack show`
explains one session: the sentence, the packets that prove it, what else it may have been and what to do next.

One capture point cannot know who made a packet. So the causes marked *accuses* need two independent signs or a shape
that no end can make, and say "consistent with". [Confusion](../explain/confusion.md) shows what the rules get right.
"""


def render_causes() -> str:
    """Return the causes as Markdown, in the order in which the rules are asked."""
    return "\n".join(_section(rule) for rule in RULES)


def _section(rule: Rule) -> str:
    accuses = " *Accuses.*" if rule.accuses else ""
    scopes = " or ".join(sorted(scope.value for scope in rule.scope))
    lines = [
        f"## `{rule.code.name}`",
        "",
        f"**{rule.title[0].upper()}{rule.title[1:]}.**{accuses} {rule.shape}",
        "",
    ]
    if rule.limits:
        lines += [rule.limits, ""]
    needs = ", ".join(f"`{name}`" for name in rule.needs)
    lines += [f"Asked of sessions that: {scopes}.{f' Looks at {needs}.' if needs else ''}", ""]
    return "\n".join(lines)
