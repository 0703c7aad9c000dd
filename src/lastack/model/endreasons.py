"""The end reasons of others: what a firewall or an exporter would have logged, as closed vocabularies.

Members are names of this record, so that filters and files need no quotes (`end_panos = tcp-fin` is read as
`tcp_fin`); `spelled` gives the text that the product itself writes. A reason that no observer of packets can tell (a
policy, a clear command, a failover) is not a member.
"""

from __future__ import annotations

from enum import IntEnum


class EndPanos(IntEnum):
    """Session end reasons of PAN-OS (PAN-OS Administrator's Guide, traffic log fields, session_end_reason)."""

    unknown = 0
    tcp_rst_from_client = 1
    tcp_rst_from_server = 2
    resources_unavailable = 3
    tcp_fin = 4
    tcp_reuse = 5
    aged_out = 6
    n_a = 7


class EndAsa(IntEnum):
    """Teardown reasons of Cisco ASA (Syslog Messages guide, 302014)."""

    unknown = 0
    tcp_fins = 1
    tcp_reset_i = 2
    tcp_reset_o = 3
    tcp_reset_appliance = 4
    syn_timeout = 5
    fin_timeout = 6
    conn_timeout = 7
    idle_timeout = 8
    invalid_syn = 9
    tcp_invalid_syn = 10
    tcp_bad_retransmission = 11
    syn_control = 12
    probe_maximum_retries = 13
    probe_received_rst = 14


class EndFortigate(IntEnum):
    """Actions of FortiGate's forward traffic log (FortiOS Log Message Reference, field `action`)."""

    unknown = 0
    close = 1
    client_rst = 2
    server_rst = 3
    timeout = 4
    accept = 5
    ip_conn = 6


class EndIpfix(IntEnum):
    """flowEndReason of IPFIX, by its number (RFC 5102, 5.11.3; IANA information element 136)."""

    unknown = 0
    idle_timeout = 1
    active_timeout = 2
    end_of_flow = 3
    forced_end = 4
    lack_of_resources = 5


#: What is not the member's name with hyphens.
_SPELLED: dict[type[IntEnum], dict[str, str]] = {
    EndPanos: {"n_a": "n/a"},
    EndAsa: {
        "unknown": "Unknown",
        "tcp_fins": "TCP FINs",
        "tcp_reset_i": "TCP Reset-I",
        "tcp_reset_o": "TCP Reset-O",
        "tcp_reset_appliance": "TCP Reset-APPLIANCE",
        "syn_timeout": "SYN Timeout",
        "fin_timeout": "FIN Timeout",
        "conn_timeout": "Conn-timeout",
        "idle_timeout": "Idle Timeout",
        "invalid_syn": "Invalid SYN",
        "tcp_invalid_syn": "TCP Invalid SYN",
        "tcp_bad_retransmission": "TCP bad retransmission",
        "syn_control": "SYN Control",
        "probe_maximum_retries": "Probe maximum retries of retransmission exceeded",
        "probe_received_rst": "Probe received RST",
    },
    EndIpfix: {
        "idle_timeout": "idle timeout",
        "active_timeout": "active timeout",
        "end_of_flow": "end of Flow detected",
        "forced_end": "forced end",
        "lack_of_resources": "lack of resources",
    },
}


def spelled(member: IntEnum) -> str:
    """Return an end reason as its product writes it: `TCP Reset-I` for `EndAsa.tcp_reset_i`."""
    return _SPELLED.get(type(member), {}).get(member.name, member.name.replace("_", "-"))
