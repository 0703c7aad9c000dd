"""docs/explain/confusion.md, written from what the product says now."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.matrix.cases import ROOT
from tests.matrix.derive import CUTS, LOSS, SEEDS
from tests.matrix.judge import ACCUSATIONS, Results, Said

PAGE: Path = ROOT / "docs" / "explain" / "confusion.md"
KINDS = {
    "whole": "as captured",
    "one way": "one direction only (each in turn)",
    "lossy": f"{100 * LOSS:.0f} % of the packets dropped ({len(SEEDS)} draws)",
    "cut": f"picked up late (the first {', '.join(map(str, CUTS))} packets gone)",
}
#: What each kind must reach: the share that is right, or (worse versions) not wrong.
GOALS = {"whole": 0.99, "one way": 0.95, "lossy": 0.95, "cut": 0.95}
_BANDS = ((0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01))


def page(results: Results) -> str:
    """Return the text of the page."""
    parts = [_HEAD, _summary(results), _matrix(results), _wrong(results), _calibration(results), _TAIL]
    return "\n".join(parts)


_HEAD = """\
# What the rules get right, and what they take for what

<!-- Made by `python -m tests.matrix --write`; change the rules or the cases, not this page. -->

Every capture of `tests/captures` (made by real kernels, so that the cause is known) and every timeline of
`tests/scripts` that states a verdict is given to the product: as it is, and in worse versions as observers get them.
*Right* is what the makers did, or another cause that leaves the very same packets (`tests/matrix/causes.toml` says
where, and of what). `unknown` and `observer_limit` are *modest*: fine for a worse version, wrong for a whole one. Each
version counts once, however many sessions it has.
"""

_TAIL = """
The corpus is small and made on purpose: it has about as many odd endings as plain ones, most sessions have ten packets,
and so a lost packet is often the one that mattered. Real traffic is mostly plain. A figure of this page is a check of
the rules, no promise about a network.
"""


#: What `python -m tests.matrix.benign 120000` said when it was last run; a test makes some thousands each time.
_NUMBERS = """\
`python -m tests.matrix.benign` makes harmless sessions in numbers (hosts that count in every way, RSTs without a
socket, ends that reset each other, paths that change, failovers, lost, doubled and late packets): 0 accusations in
120,000 sessions.
"""


def _summary(results: Results) -> str:
    rows = []
    for kind, words in KINDS.items():
        versions = {(s.version.case.name, s.version.name) for s in results.said if s.version.kind == kind}
        shares = [results.share(kind, outcome) for outcome in ("right", "modest", "wrong")]
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        goal = "right" if kind == "whole" else "not wrong"
        rows.append(f"| {words} | {len(versions):,} | {cells} | {100 * GOALS[kind]:.0f} % {goal} |")
    table = (
        "| version | number | right | modest | wrong | goal |\n| --- | --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
    )
    blamed = results.slanders()
    told = "none" if not blamed else "; ".join(blamed)
    names = ", ".join(f"`{name}`" for name in sorted(ACCUSATIONS))
    return f"{table}\n\nAccusations ({names}) where nobody in the path had done anything: **{told}**.\n\n{_NUMBERS}"


def _matrix(results: Results) -> str:
    """Return the table of whole versions: one line a cause, what was said of its sessions."""
    said: dict[str, Counter[str]] = {}
    for one in results.said:
        if one.version.kind == "whole" and one.right:
            said.setdefault(one.right[0], Counter())[one.cause] += 1
    lines = ["## As captured", "", "| cause | sessions | said |", "| --- | --- | --- |"]
    for cause, counts in sorted(said.items()):
        words = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        lines.append(f"| {cause} | {sum(counts.values())} | {words} |")
    lines += [
        "",
        "Where another word than the cause stands, one capture point cannot tell the two apart; see `causes.toml`.",
        "",
    ]
    return "\n".join(lines)


def _wrong(results: Results) -> str:
    """Return what was taken for what in the worse versions."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for one in results.said:
        if one.right and one.outcome == "wrong":
            counts[(one.version.kind, one.right[0], one.cause)] += 1
    lines = ["## Wrong", "", "| version | cause | taken for | sessions |", "| --- | --- | --- | --- |"]
    order = list(KINDS)
    for (kind, cause, taken), count in sorted(
        counts.items(), key=lambda item: (order.index(item[0][0]), item[0])
    ):
        lines.append(f"| {kind} | {cause} | {taken} | {count} |")
    lines += [
        "",
        "Most are the loss of the one packet that decides (a lone RST that is not in the file leaves a session that is "
        "still open), or a start that is missing, so that a request without its answer looks unanswered.",
        "",
    ]
    return "\n".join(lines)


def _calibration(results: Results) -> str:
    """Return how often verdicts of each confidence were right, over all versions, modest ones left out."""
    lines = ["## Confidence", "", "| confidence | verdicts | right |", "| --- | --- | --- |"]
    firm = [one for one in results.said if one.right and one.outcome != "modest"]
    for low, high in _BANDS:
        some = [one for one in firm if low <= round(one.confidence, 4) < high]
        if some:
            lines.append(f"| {_band(low, high)} | {len(some):,} | {100 * _rightness(some):.0f} % |")
    return "\n".join(lines) + "\n"


def _band(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * min(high, 1.0):.0f} %"


def _rightness(some: list[Said]) -> float:
    return sum(one.outcome == "right" for one in some) / len(some)
