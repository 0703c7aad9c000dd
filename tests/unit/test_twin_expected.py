"""The twin against the expected rows of real captures, which another hand made."""

from __future__ import annotations

import pytest
from tests.naive import expected
from tests.naive.ledger import balance
from tests.naive.reader import read
from tests.naive.tracker import track

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not expected.names(), reason="the folder of real captures is not beside the checkout"),
]

#: What differs on purpose, as (capture, field) -> reason.
KNOWN = {
    ("PcapPlusPlus__expected_output_ipfragutil_ip_ids.pcap", "bytes_clt"): "later fragments are dropped",
    ("PcapPlusPlus__expected_output_ipfragutil_ip_ids.pcap", "new_bytes_clt"): "later fragments are dropped",
    ("tcpdump__tests_tcp_rst_diag_payload-trunc.pcap", "bytes_clt"): "a RST's payload is not stream data",
    ("tcpdump__tests_tcp_rst_diag_payload.pcap", "bytes_clt"): "a RST's payload is not stream data",
}


@pytest.mark.parametrize("name", expected.names())
def test_twin__agrees_with_expected_rows(name: str) -> None:
    rows = track(read(expected.FOLDER / name).packets)
    unknown = [line for line in expected.differences(rows, name) if (name, field_of(line)) not in KNOWN]
    assert unknown == []


def field_of(line: str) -> str:
    return line.split(":")[1].split()[-1] if line.count(":") > 1 else ""


@pytest.mark.parametrize("name", expected.names())
def test_twin__ledger_balances_on_real_captures(name: str) -> None:
    capture = read(expected.FOLDER / name)
    assert balance(capture, track(capture.packets)) == 0
