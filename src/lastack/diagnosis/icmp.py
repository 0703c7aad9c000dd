"""ICMP errors in words (RFC 792, RFC 1812 5.2.7.1, RFC 4443)."""

from __future__ import annotations

from lastack.diagnosis.case import Case

_V4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "packet too big",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "communication administratively prohibited",
    (11, 0): "time to live exceeded in transit",
    (11, 1): "fragment reassembly time exceeded",
}
_V6 = {
    (1, 0): "no route to destination",
    (1, 1): "communication administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address failed ingress policy",
    (1, 6): "reject route to destination",
    (3, 0): "hop limit exceeded in transit",
    (3, 1): "fragment reassembly time exceeded",
}


def icmp_words(case: Case) -> str:
    """Return what the first ICMP error of a session says; empty without one."""
    kind, code = case.ev("icmp_type"), case.ev("icmp_code")
    if not kind:
        return ""
    address = case["client_ip"]
    v4 = isinstance(address, bytes) and address[:12] == bytes(10) + b"\xff\xff"
    return (_V4 if v4 else _V6).get((kind, code), f"type {kind} code {code}")
