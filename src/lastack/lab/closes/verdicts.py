"""The verdicts that are right for each pattern: what truly happened, or what one capture of it cannot tell from that.

The first is the truth. `unknown` is never wrong, so it is not listed. Where a pattern has sessions of several kinds,
the verdicts of all of them are.
"""

from __future__ import annotations

#: Pattern -> names of `lastack.model.enums.Cause`.
RIGHT: dict[str, tuple[str, ...]] = {
    # opening
    "refused": ("refused",),
    "refused_v6": ("refused",),
    "syn_dropped": ("unanswered",),
    "rejected_icmp": ("refused_icmp",),
    "rejected_icmp_v6": ("refused_icmp",),
    "aborted_by_client": ("aborted_by_client", "probe"),
    "aborted_by_server": ("aborted_by_server", "peer_lost_state"),
    "ack_lost": ("half_open_client_gone",),
    "syn_scan": ("probe", "refused"),
    "syn_flood": ("syn_flood", "half_open_client_gone"),
    "simultaneous_open": ("clean_close",),
    "port_reused": ("clean_close", "aborted_by_client", "reset_close"),
    "fast_open": ("clean_close",),
    "reconnect_after_crash": ("peer_lost_state", "port_reuse_conflict", "still_open"),
    # closing
    "close_client_first": ("clean_close",),
    "close_client_first_v6": ("clean_close",),
    "close_server_first": ("clean_close",),
    "close_simultaneous": ("clean_close",),
    "close_crossing": ("clean_close",),
    "half_close_client": ("clean_close",),
    "half_close_client_v6": ("clean_close",),
    "half_close_server": ("clean_close",),
    "half_closed_waiting": ("half_closed_waiting",),
    "kept_open": ("still_open",),
    "many_on_one_server": ("clean_close",),
    # resets: an application that always resets looks like one that gives up
    "reset_by_client": ("reset_close", "aborted_by_client"),
    "reset_by_server": ("reset_close", "aborted_by_server"),
    "reset_by_server_v6": ("reset_close", "aborted_by_server"),
    "reset_after_fin": ("reset_close", "aborted_by_client", "reset_after_close"),
    "reset_after_fin_by_server": ("reset_close", "aborted_by_server", "reset_after_close"),
    "reset_unread_data": ("closed_with_unread_data", "aborted_by_client", "reset_close"),
    "reset_unread_data_server": ("closed_with_unread_data", "aborted_by_server", "reset_close"),
    "data_after_close": ("data_after_close", "stopped_reading"),
    "data_after_fin_timeout": ("data_after_close", "stopped_reading"),
    "reset_after_both_fins": ("stopped_reading", "reset_after_close", "data_after_close"),
    "local_kill": ("aborted_by_client", "reset_close"),
    # failing
    "peer_vanished": ("peer_vanished",),
    "peer_dead": ("peer_vanished",),
    "peer_unplugged": ("peer_vanished", "still_open", "observer_limit"),
    "middlebox_icmp": ("peer_vanished",),
    "peer_rebooted": ("peer_lost_state", "aborted_by_server"),
    "keepalive_death": ("keepalive_death",),
    "keepalive_rebooted": ("peer_lost_state", "aborted_by_server"),
    "keepalive_answered": ("still_open",),
    "zero_window_death": ("zero_window_death", "peer_vanished"),
    "fin_lost": ("clean_close",),
    "last_ack_lost": ("clean_close",),
    "middlebox_reset": ("injected_reset", "peer_lost_state", "aborted_by_server"),
    "retransmitted": ("reset_close", "aborted_by_server"),
    # forgetting: silence of a box and silence of a host look the same from one place
    "nat_half_closed_silent": ("middlebox_half_closed_timeout", "peer_vanished", "half_closed_waiting"),
    "nat_half_closed_reset": (
        "middlebox_half_closed_timeout", "injected_reset", "peer_lost_state", "data_after_close", "stopped_reading",
    ),
    "nat_half_closed_refreshed": ("clean_close",),
    "nat_half_closed_aged": ("middlebox_half_closed_timeout", "peer_vanished", "half_closed_waiting"),
    "nat_idle_silent": ("middlebox_idle_timeout", "peer_vanished"),
    "nat_idle_reset": ("middlebox_idle_timeout", "injected_reset", "peer_lost_state", "aborted_by_server"),
}  # fmt: skip
#: Captures of an ordinary close inside something.
WRAPPED = ("clean_close",)
