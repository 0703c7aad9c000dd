"""Alert rules on any metric: a window, a least number of sessions, and two thresholds so that nothing flutters.

[[alert]]
name = "servers reset more than they close"
metric = "rst.srv/connection"          # as in `lastack table --metrics`
filter = "server.port = 443"           # optional, as everywhere
above = 0.2                            # or below; durations may be texts: "250ms"
clear = 0.1                            # optional: back again only beyond this
window = "5m"                          # sessions that ended in it
minimum = 50                           # fewer sessions than that say nothing
for = 2                                # evaluations in a row
cooldown = "10m"                       # optional: once over, quiet for so long
log = "/var/log/lastack-alerts.jsonl"  # optional, JSON lines
webhook = "https://hooks.example/x"    # optional, POST of JSON
exec = ["/usr/local/bin/page"]         # optional, LASTACK_* in its environment
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from lastack.model.errors import LastackError
from lastack.model.units import NS_PER_S, parse_duration_ns
from lastack.query.ast import Node
from lastack.query.measure_text import parse_measures
from lastack.query.measures import Measure
from lastack.query.parse import parse_filter

_KEYS = (
    "name", "metric", "filter", "above", "below", "clear", "window", "minimum", "for", "cooldown", "log",
    "webhook", "exec",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule.

    Attributes:
        name: What people call it.
        measure: What is measured.
        metric: Its text.
        where: Sessions that count; None for all.
        rising: It fires above the threshold, else below.
        threshold: Where it fires, in the unit of the metric.
        clear: Where it ends.
        window_ns: Sessions that ended so long ago count.
        minimum: Fewer sessions say nothing.
        times: Evaluations in a row that must agree.
        cooldown_ns: Once over, it does not fire again for so long.
        log: File for JSON lines.
        webhook: URL that gets a POST.
        command: Program that is run.
    """

    name: str
    measure: Measure
    metric: str
    where: Node | None
    rising: bool
    threshold: float
    clear: float
    window_ns: int = 300 * NS_PER_S
    minimum: int = 20
    times: int = 1
    cooldown_ns: int = 0
    log: str = ""
    webhook: str = ""
    command: tuple[str, ...] = ()

    def beyond(self, value: float) -> bool:
        """Return whether a value is bad."""
        return value > self.threshold if self.rising else value < self.threshold

    def recovered(self, value: float) -> bool:
        """Return whether a value is good again."""
        return value <= self.clear if self.rising else value >= self.clear


@dataclass(frozen=True, slots=True)
class AlertState:
    """How a rule stands.

    Attributes:
        firing: Whether it fires.
        streak: Evaluations in a row that spoke for a change.
        value: Last value, None if there was none.
        sessions: Sessions that it was made of.
        since_ns: When it last changed.
    """

    firing: bool = False
    streak: int = 0
    value: float | None = None
    sessions: int = 0
    since_ns: int = 0


@dataclass(slots=True)
class Alerts:
    """The rules and how they stand; asks nothing itself, so that it can be tested without a clock.

    Attributes:
        rules: The rules.
        states: How each stands, by name.
    """

    rules: tuple[Alert, ...] = ()
    states: dict[str, AlertState] = field(default_factory=dict)

    def reload(self, rules: tuple[Alert, ...]) -> None:
        """Take other rules; those that kept their name keep their state."""
        self.rules = rules
        self.states = {rule.name: self.states[rule.name] for rule in rules if rule.name in self.states}

    def judge(self, rule: Alert, value: float | None, sessions: int, now_ns: int) -> AlertState | None:
        """Take note of a value; return the new state if the rule began or ceased to fire.

        Too few sessions, or no value, change nothing: neither good nor bad news.
        """
        before = self.states.get(rule.name, AlertState())
        if value is None or sessions < rule.minimum:
            self.states[rule.name] = replace(before, value=value, sessions=sessions, streak=0)
            return None
        turning = rule.recovered(value) if before.firing else rule.beyond(value)
        streak = before.streak + 1 if turning else 0
        state = AlertState(before.firing, streak, value, sessions, before.since_ns)
        rests = not before.firing and 0 < now_ns - before.since_ns < rule.cooldown_ns
        changed = streak >= rule.times and not (rests and before.since_ns)
        if changed:
            state = AlertState(not before.firing, 0, value, sessions, now_ns)
        self.states[rule.name] = state
        return state if changed else None


def parse_alerts(path: str, tables: Any, problems: list[str]) -> tuple[Alert, ...]:
    """Return the rules of a document's [[alert]] tables; what is wrong goes to `problems`."""
    if not isinstance(tables, list):
        problems.append(f"{path}: write each rule as [[alert]]")
        return ()
    rules: list[Alert] = []
    for number, table in enumerate(tables, 1):
        place = f"{path}: alert {number}"
        before = len(problems)
        rule = _rule(place, table, problems) if isinstance(table, dict) else None
        if rule is None:
            if len(problems) == before:
                problems.append(f"{place}: must be a table")
            continue
        if rule.name in {other.name for other in rules}:
            problems.append(f"{place}: another rule is called {rule.name!r}")
        rules.append(rule)
    return tuple(rules)


def _rule(place: str, table: dict[str, Any], problems: list[str]) -> Alert | None:
    before = len(problems)
    problems.extend(
        f"{place}.{key}: no such key; there are {', '.join(_KEYS)}" for key in table if key not in _KEYS
    )
    name, metric = table.get("name", ""), table.get("metric", "")
    if not isinstance(name, str) or not name:
        problems.append(f"{place}.name: is missing")
    measures: tuple[Measure, ...] = ()
    where: Node | None = None
    try:
        measures = parse_measures(str(metric))
        if len(measures) != 1:
            problems.append(f"{place}.metric: name one metric")
    except LastackError as error:
        problems.append(f"{place}.metric: {error}")
    try:
        where = parse_filter(str(table.get("filter", "")))
    except LastackError as error:
        problems.append(f"{place}.filter: {error}")
    if ("above" in table) == ("below" in table):
        problems.append(f"{place}: give either above or below")
    rising = "above" in table
    threshold = _number(place, table, "above" if rising else "below", problems)
    clear = _number(place, table, "clear", problems) if "clear" in table else threshold
    if (clear > threshold) if rising else (clear < threshold):
        problems.append(f"{place}.clear: lies on the wrong side of the threshold")
    spans = {}
    for key, text in (("window", "5m"), ("cooldown", "0s")):
        try:
            spans[key] = parse_duration_ns(str(table.get(key, text)))
        except (ValueError, OverflowError) as error:
            problems.append(f"{place}.{key}: {error}")
    counts = {}
    for key, usual in (("minimum", 20), ("for", 1)):
        value = table.get(key, usual)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            problems.append(f"{place}.{key}: write a number of at least 1")
        counts[key] = value
    command = table.get("exec", [])
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        problems.append(f"{place}.exec: write a list of words")
    webhook = str(table.get("webhook", ""))
    if webhook and not webhook.startswith(("http://", "https://")):
        problems.append(f"{place}.webhook: must begin with http:// or https://")
    if len(problems) > before:
        return None
    return Alert(
        name, measures[0], str(metric), where, rising, threshold, clear, spans["window"],
        counts["minimum"], counts["for"], spans["cooldown"], str(table.get("log", "")), webhook, tuple(command),
    )  # fmt: skip


def _number(place: str, table: dict[str, Any], key: str, problems: list[str]) -> float:
    value = table.get(key, 0)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return float(parse_duration_ns(str(value)))
    except (ValueError, OverflowError):
        problems.append(f'{place}.{key}: write a number, or a duration such as "250ms"')
        return 0.0
