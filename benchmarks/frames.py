"""Makes records of a classic pcap in a buffer: Ethernet, VLAN on some, IPv4 or IPv6, TCP with timestamps."""

from __future__ import annotations

import numba
import numpy as np

from benchmarks.script import SYN, ending_of, packet_of

RECORD, ETHERNET, TAG, IP4, IP6, TCP = 16, 14, 4, 20, 40, 32
HEADERS_MOST = RECORD + ETHERNET + TAG + IP6 + TCP + 8


@numba.njit
def mixed(x):
    """Return 64 bits that look random, from a number (splitmix64)."""
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit
def _put16(out, at, value):
    out[at] = (value >> 8) & 0xFF
    out[at + 1] = value & 0xFF


@numba.njit
def _put32(out, at, value):
    out[at] = (value >> 24) & 0xFF
    out[at + 1] = (value >> 16) & 0xFF
    out[at + 2] = (value >> 8) & 0xFF
    out[at + 3] = value & 0xFF


@numba.njit
def _put32_little(out, at, value):
    out[at] = value & 0xFF
    out[at + 1] = (value >> 8) & 0xFF
    out[at + 2] = (value >> 16) & 0xFF
    out[at + 3] = (value >> 24) & 0xFF


@numba.njit
def put_packet(out, at, session, p, length, ts_us, snaplen, filler):
    """Write the record of packet `p` of a session at `at`; return where the next record begins."""
    draw = mixed(session)
    ending = ending_of(np.int64(draw & np.uint64(0xFFFF)))
    from_server, flags, payload, seq, ack = packet_of(p, length, ending)
    v6 = np.int64((draw >> np.uint64(16)) & np.uint64(0xFF)) < 38  # 15 %
    tagged = np.int64((draw >> np.uint64(24)) & np.uint64(0xFF)) < 26  # 10 %
    ip = IP6 if v6 else IP4
    wire = ETHERNET + (TAG if tagged else 0) + ip + TCP + payload
    caplen = min(wire, snaplen)
    _put32_little(out, at, ts_us // 1_000_000)
    _put32_little(out, at + 4, ts_us % 1_000_000)
    _put32_little(out, at + 8, caplen)
    _put32_little(out, at + 12, wire)
    start = at + RECORD
    for i in range(12):
        out[start + i] = 2
    kind = start + 12
    if tagged:
        _put16(out, kind, 0x8100)
        _put16(out, kind + 2, 1 + np.int64((draw >> np.uint64(32)) & np.uint64(7)))
        kind += TAG
    _put16(out, kind, 0x86DD if v6 else 0x0800)
    at_ip = kind + 2
    at_tcp = at_ip + ip
    # unique: an odd multiplier permutes 32-bit numbers
    unique = np.int64((np.uint64(session) * np.uint64(0x9E3779B1)) & np.uint64(0xFFFFFFFF))
    client_ip, client_port = 0x0A000000 | (unique >> 15), 16384 + (unique & 0x7FFF)
    server_ip = 0xC0000200 + np.int64((draw >> np.uint64(40)) & np.uint64(0xFF))
    server_port = 443 if (draw >> np.uint64(56)) & np.uint64(3) else 80
    if v6:
        _put32(out, at_ip, 0x60000000)
        _put16(out, at_ip + 4, TCP + payload)
        out[at_ip + 6], out[at_ip + 7] = 6, 64
        for i in range(32):
            out[at_ip + 8 + i] = 0
        for base, address in (
            (8, server_ip if from_server else client_ip),
            (24, client_ip if from_server else server_ip),
        ):
            _put32(out, at_ip + base, 0x20010DB8)
            _put32(out, at_ip + base + 12, address)
    else:
        _put32(out, at_ip, 0x45000000 | (ip + TCP + payload))
        _put32(out, at_ip + 4, (p & 0xFFFF) << 16 | 0x4000)
        _put32(out, at_ip + 8, 64 << 24 | 6 << 16)
        _put32(out, at_ip + 12, server_ip if from_server else client_ip)
        _put32(out, at_ip + 16, client_ip if from_server else server_ip)
        _put16(out, at_ip + 10, _checksum(out, at_ip))
    isn_client = np.int64((draw >> np.uint64(8)) & np.uint64(0xFFFFFFFF))
    isn_server = np.int64((draw >> np.uint64(20)) & np.uint64(0xFFFFFFFF))
    mine, other = (isn_server, isn_client) if from_server else (isn_client, isn_server)
    _put16(out, at_tcp, server_port if from_server else client_port)
    _put16(out, at_tcp + 2, client_port if from_server else server_port)
    _put32(out, at_tcp + 4, mine + seq)
    _put32(out, at_tcp + 8, 0 if flags == SYN else other + ack)
    out[at_tcp + 12], out[at_tcp + 13] = (TCP // 4) << 4, flags
    _put16(out, at_tcp + 14, 501)
    _put32(out, at_tcp + 16, 0)
    _put32(out, at_tcp + 20, 0x0101080A)
    _put32(out, at_tcp + 24, ts_us >> 10)
    _put32(out, at_tcp + 28, ts_us >> 11)
    # data that looks random to a compressor, taken from a block made once
    rest = start + caplen - (at_tcp + TCP)
    if rest > 0:
        source = np.int64(mixed(session * 65536 + p) % np.uint64(filler.size - 1500))
        out[at_tcp + TCP : start + caplen] = filler[source : source + rest]
    return start + caplen


@numba.njit
def _checksum(out, at):
    total = 0
    for i in range(0, IP4, 2):
        if i != 10:
            total += out[at + i] << 8 | out[at + i + 1]
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@numba.njit(nogil=True)
def put_packets(out, order, lengths, positions, attackers_from, answered_below, ts_us, snaplen, filler):
    """Write the packets of `order` (session of each) into `out`; return (bytes, packets, time of the next packet).

    A session from `attackers_from` on is one of a flood: its SYN, and for a share of them the SYN-ACK after it.
    """
    at = np.int64(0)
    written = np.int64(0)
    for i in range(order.size):
        session = np.int64(order[i])
        if session < attackers_from:
            first, last, length = (
                np.int64(positions[session]),
                np.int64(positions[session]),
                np.int64(lengths[session]),
            )
            positions[session] += 1
        else:
            first, last, length = np.int64(0), np.int64(session < answered_below), np.int64(2)
        # one call, one type of each argument: every other set of types would be compiled again
        for p in range(first, last + 1):
            at = put_packet(out, at, session, p, length, ts_us, snaplen, filler)
            ts_us += 1
            written += 1
    return at, written, ts_us
