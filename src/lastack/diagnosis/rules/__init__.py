"""The rules, one file a cause, in the order in which they are asked: the first that is sure enough decides.

To add a cause: a member in `lastack.model.enums.Cause`, a file here with a constant `RULE`, a line below, a timeline
that fires it and one that nearly does in `tests/scripts`.
"""

from __future__ import annotations

from lastack.diagnosis.rule import Rule
from lastack.diagnosis.rules import (
    aborted_by_client,
    aborted_by_server,
    clean_close,
    closed_with_unread_data,
    data_after_close,
    half_closed_waiting,
    half_open_client_gone,
    injected_reset,
    keepalive_death,
    middlebox_half_closed_timeout,
    middlebox_idle_timeout,
    observer_limit,
    peer_lost_state,
    peer_vanished,
    port_reuse_conflict,
    probe,
    refused,
    refused_icmp,
    reset_after_close,
    reset_close,
    still_open,
    stopped_reading,
    syn_flood,
    unanswered,
    unknown,
    zero_window_death,
)
from lastack.model.enums import Cause

#: What was not seen comes first, accusations before what they would otherwise be taken for, the plain endings last.
RULES: tuple[Rule, ...] = (
    observer_limit.RULE,
    port_reuse_conflict.RULE,
    refused.RULE,
    refused_icmp.RULE,
    unanswered.RULE,
    syn_flood.RULE,
    half_open_client_gone.RULE,
    probe.RULE,
    injected_reset.RULE,
    middlebox_half_closed_timeout.RULE,
    middlebox_idle_timeout.RULE,
    reset_after_close.RULE,
    zero_window_death.RULE,
    keepalive_death.RULE,
    peer_vanished.RULE,
    peer_lost_state.RULE,
    data_after_close.RULE,
    stopped_reading.RULE,
    closed_with_unread_data.RULE,
    reset_close.RULE,
    aborted_by_client.RULE,
    aborted_by_server.RULE,
    clean_close.RULE,
    half_closed_waiting.RULE,
    still_open.RULE,
    unknown.RULE,
)

BY_CAUSE: dict[Cause, Rule] = {rule.code: rule for rule in RULES}
#: Causes that blame somebody in the path.
ACCUSING = frozenset(rule.code for rule in RULES if rule.accuses)
