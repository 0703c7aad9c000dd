"""One frame to one segment in plain Python: the obvious twin of `lastack.kernels.decode`."""

from __future__ import annotations

from dataclasses import dataclass

from lastack.model.enums import Drop, Encap
from lastack.wire import encapsulation, layers, link, tunnel, wifi
from lastack.wire.ip import read_ip, read_ipv4, read_ipv6
from lastack.wire.tcp import Segment, read_quoted_tcp, read_tcp
from lastack.wire.view import MAX_OFFSET, Dropped, Next, View, Walk

READERS = {
    layers.IP: read_ip,
    layers.IPV4: read_ipv4,
    layers.IPV6: read_ipv6,
    **link.READERS,
    **wifi.READERS,
    **encapsulation.READERS,
    **tunnel.READERS,
}
_IP_LAYERS = (layers.IP, layers.IPV4, layers.IPV6)
# Types that say that the packet they quote did not arrive.
_ICMP_LOST, _ICMPV6_LOST = {3, 11}, {1, 3}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a frame holds: a segment, or the reason why not; an ICMP error may have both."""

    drop: Drop
    segment: Segment | None = None


def decode(frame: bytes, wirelen: int, link_type: int) -> Decoded:
    """Return what a frame holds.

    Args:
        frame: The captured bytes.
        wirelen: Bytes on the wire.
        link_type: Link type number of the capture file.
    """
    wire_end = min(max(wirelen, len(frame)), MAX_OFFSET)
    walk = Walk(wire_end=wire_end, limit=wire_end)
    try:
        step = link.start(link_type, View(frame))
        while step.layer != layers.TCP:
            step = _one_layer(step, walk)
            _count(step, walk)
        if walk.quoted is not None:
            return Decoded(Drop.icmp_error, read_quoted_tcp(step.view, walk, walk.quoted))
        return Decoded(Drop.none, read_tcp(step.view, walk))
    except Dropped as dropped:
        return Decoded(_reason(dropped.reason, walk))


def _one_layer(step: Next, walk: Walk) -> Next:
    if step.layer in (layers.ICMP, layers.ICMPV6) and walk.quoted is None:
        return _read_icmp(step, walk)
    if walk.quoted is not None and step.layer not in _IP_LAYERS:
        raise Dropped(Drop.icmp_error)  # only TCP directly in the quoted packet is of use
    if step.layer not in READERS:
        raise Dropped(Drop.not_ip)
    return READERS[step.layer](step.view, walk)


def _count(step: Next, walk: Walk) -> None:
    if step.wrapping is None:
        return
    walk.wrappings += 1
    if walk.wrappings > layers.MAX_WRAPPINGS:
        raise Dropped(Drop.too_deep)
    tagged = step.wrapping == Encap.vlan and walk.encap in (Encap.vlan, Encap.qinq)
    walk.encap = Encap.qinq if tagged else step.wrapping


def _read_icmp(step: Next, walk: Walk) -> Next:
    view, is_v6 = step.view, step.layer == layers.ICMPV6
    if view.left() < 8 or view.u8() not in (_ICMPV6_LOST if is_v6 else _ICMP_LOST):
        raise Dropped(Drop.icmp_error)
    walk.quoted = view.u16()
    return Next(layers.IPV6 if is_v6 else layers.IPV4, view.skip(8))


def _reason(reason: Drop, walk: Walk) -> Drop:
    if walk.quoted is not None:
        return Drop.icmp_error
    return Drop.not_tcp if reason == Drop.not_ip and walk.seen_ip() else reason
