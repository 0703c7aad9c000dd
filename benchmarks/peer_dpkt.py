"""The tracker that people write for themselves with dpkt: a dictionary of counts by four-tuple."""

from __future__ import annotations

import sys
from pathlib import Path

import dpkt


def sessions(path: Path) -> int:
    """Return the number of four-tuples, having counted packets, bytes and flags of each direction."""
    table: dict[tuple[tuple[bytes, int], tuple[bytes, int]], list[int]] = {}
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            try:
                ip = dpkt.ethernet.Ethernet(frame).data
                tcp = ip.data
            except (dpkt.UnpackError, AttributeError):
                continue
            if not isinstance(tcp, dpkt.tcp.TCP):
                continue
            here, there = (ip.src, tcp.sport), (ip.dst, tcp.dport)
            forward = here <= there
            counts = table.setdefault((here, there) if forward else (there, here), [0] * 10)
            base = 0 if forward else 5
            counts[base] += 1
            counts[base + 1] += len(tcp.data)
            counts[base + 2] += bool(tcp.flags & dpkt.tcp.TH_SYN)
            counts[base + 3] += bool(tcp.flags & dpkt.tcp.TH_FIN)
            counts[base + 4] += bool(tcp.flags & dpkt.tcp.TH_RST)
    return len(table)


if __name__ == "__main__":
    print(sessions(Path(sys.argv[1])))
