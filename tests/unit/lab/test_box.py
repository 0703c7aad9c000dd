"""What a box can be told, and what it refuses; and labs that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from lastack.lab.box import BoxRules
from lastack.lab.topology import Lab
from lastack.model.errors import UsageError


def test_rules__half_closed_sets_both_of_linuxs_timers() -> None:
    assert BoxRules({"half_closed": 7, "close": 3}).seconds() == {"fin_wait": 7, "close_wait": 7, "close": 3}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (BoxRules({"halfclosed": 3}), "no timer 'halfclosed'; there are half_closed, syn_sent"),
        (BoxRules({"close": 0}), "timer close = 0: Linux takes whole seconds"),
        (BoxRules({"close": 1.5}), "whole seconds"),  # type: ignore[dict-item]
        (BoxRules(expired="politely"), "choose silent or reset"),
        (BoxRules(half_closed_life_ms=-1), "half-closed life"),
        (BoxRules(forwards=(70_000,)), "must be 1 to 65535"),
    ],
)
def test_rules__nonsense_is_refused(rules: BoxRules, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        rules.check()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("topology", "options", "message"),
    [
        ("ring", {}, "no topology 'ring'; there are direct, router, firewall, nat, emulator"),
        ("direct", {"timers": {"close": 3}}, "keeps no sessions"),
        ("router", {"half_closed_life_ms": 3}, "keeps no sessions"),
        ("firewall", {"forwards": (80,)}, "forwards no ports"),
        ("nat", {"routed": True}, "for the topology emulator"),
    ],
)
def test_lab__that_cannot_be_is_refused_before_it_is_built(
    topology: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        Lab(topology, **options)
    assert message in str(raised.value)
