"""No document, however odd, breaks the readers: it is refused in words, or it compiles."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lastack.app.profiles import load_profile, profile_names
from lastack.export.nftables import ruleset
from lastack.firewall.commit import commit_check
from lastack.firewall.compile import compile_box
from lastack.firewall.diff import diff_policies
from lastack.firewall.policy_schema import parse_policy
from lastack.firewall.problems import Severity, line_of
from lastack.firewall.profile import single_readings
from lastack.firewall.schema import merged, parse_profile
from lastack.firewall.words import Engine

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 2**70),
    st.floats(),
    st.sampled_from(
        ["", "idle", "absolute", "never", "30s", "1h", "fin1", "timers.tcp.mode", "panos", "é\x00"]
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["timers", "name", "changes", "readings", "tcp", "phases", "x.y", ""]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
POLICY: dict[str, Any] = {
    "profile": "panos",
    "timers": {"half_closed": "30s", "time_wait": "1m"},
    "switches": {"accept_non_syn": True},
    "forks": {"closing_refresh": "idle"},
    "override": [
        {"app": "web", "timers": {"half_closed": "1h"}},
        {"ports": [22, "80-90"], "zone": "dmz", "timers": {"tcp": "2h"}},
    ],
    "zones": {"dmz": ["10.0.0.0/8"], "lab": {"cidr": ["2001:db8::/32"]}},
    "apps": {"web": {"ports": 443, "client_zone": "lab"}},
}


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in a document."""
    found = [path] if path else []
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in items:
        found += places(value, (*path, key))
    return found


@st.composite
def spoiled(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """Draw a document with up to three values replaced, removed or added."""
    result = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(result) or [("schema",)]))
        holder: Any = result
        for key in path[:-1]:
            holder = holder[key]
        deed = draw(st.sampled_from(["replace", "remove", "add"]))
        if deed == "replace":
            holder[path[-1]] = draw(VALUES)
        elif deed == "remove" and isinstance(holder, dict):
            holder.pop(path[-1], None)
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=6))] = draw(VALUES)
    return result


@given(st.data())
def test_profile__is_refused_in_words_or_compiles(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(profile_names()))
    document = data.draw(spoiled(dict(load_profile(name).document)))
    profile, problems = parse_profile(document, name)
    assert all(problem.text("file", "schema = 1") for problem in problems)
    if not problems and profile.engine is not Engine.host:
        for readings in single_readings(profile.forks):
            compile_box(profile, None, readings)


@given(st.data())
def test_merged__takes_any_document_over_any_base(data: st.DataObject) -> None:
    base = dict(load_profile(data.draw(st.sampled_from(profile_names()))).document)
    parse_profile(merged(data.draw(spoiled(base)), data.draw(spoiled(base))), "x")


@given(st.data())
def test_policy__is_refused_in_words_or_can_be_committed_and_exported(data: st.DataObject) -> None:
    profile = load_profile("panos")
    policy, problems = parse_policy(data.draw(spoiled(POLICY)), profile, "p")
    assert all(problem.text() for problem in problems)
    if all(problem.severity is not Severity.error for problem in problems):
        commit_check(policy, profile)
        compile_box(profile, policy)
        rules = ruleset(policy, profile)
        assert all(0 <= value < 2**32 // 1000 for item in rules.objects for value in item.seconds.values())
        assert diff_policies(policy, profile, policy, profile) == []


@given(st.text(), st.text(max_size=20))
def test_line__of_anything_in_anything_is_a_number(source: str, path: str) -> None:
    assert 0 <= line_of(source, path) <= len(source.splitlines())
