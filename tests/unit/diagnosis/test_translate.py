"""What PAN-OS, ASA, FortiGate and IPFIX would have logged."""

from __future__ import annotations

import pytest
from tests.unit.diagnosis.rows import everything, table_of

from lastack.diagnosis.engine import diagnose

WORDS = ("end_panos", "end_asa", "end_fortigate", "end_ipfix")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("close_client_first.pcap", ("tcp_fin", "tcp_fins", "close", "end_of_flow")),
        # RST outranks FIN in PAN-OS, though the session was closed before.
        ("reset_after_both_fins.pcap", ("tcp_rst_from_client", "tcp_fins", "close", "end_of_flow")),
        ("reset_by_server.pcap", ("tcp_rst_from_server", "tcp_reset_o", "server_rst", "end_of_flow")),
        ("half_closed_waiting.pcap", ("tcp_fin", "fin_timeout", "timeout", "end_of_flow")),
        ("syn_dropped.pcap", ("aged_out", "syn_timeout", "timeout", "idle_timeout")),
        ("ack_lost.pcap", ("aged_out", "syn_timeout", "timeout", "idle_timeout")),
        ("refused.pcap", ("tcp_rst_from_server", "tcp_reset_o", "server_rst", "end_of_flow")),
        ("peer_vanished.pcap", ("aged_out", "conn_timeout", "timeout", "idle_timeout")),
        ("kept_open.pcap", ("n_a", "unknown", "unknown", "forced_end")),
        ("stray_fin.pkts", ("n_a", "unknown", "unknown", "idle_timeout")),
    ],
)
def test_translate__of(name: str, words: tuple[str, ...]) -> None:
    row = table_of(name).to_pylist()[0]
    assert tuple(row[word] for word in WORDS) == words


def test_translate__an_ignored_rst_is_no_end() -> None:
    row = table_of("rst_just_outside_window.pkts").to_pylist()[0]
    assert row["rst_clt"] + row["rst_srv"] > 0
    assert row["end_panos"] not in ("tcp_rst_from_client", "tcp_rst_from_server")


def test_translate__says_nothing_of_causes() -> None:
    batch = everything()
    place = batch.schema.get_field_index("cause")
    other = batch.set_column(
        place, batch.schema.field(place), batch.column("cause").take([0] * batch.num_rows)
    )
    for word in WORDS:
        assert diagnose(other).column(word).equals(diagnose(batch).column(word))
