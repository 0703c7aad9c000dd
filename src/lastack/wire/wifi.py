"""802.11 data frames and the headers in front of them, readably."""

from __future__ import annotations

from collections.abc import Callable

from lastack.model.enums import Drop
from lastack.wire import layers
from lastack.wire.view import Dropped, Next, View, Walk

_DATA = 2
_TO_AND_FROM_DS, _PROTECTED, _ORDER = 0x0300, 0x4000, 0x8000
_AVS_MAGIC = 0x80211


def _read_data(view: View, padded: bool) -> Next:
    control = view.little16()
    version, kind, subtype = control & 3, control >> 2 & 3, control >> 4 & 15
    if version or kind != _DATA or subtype & 4 or control & _PROTECTED:
        raise Dropped(Drop.not_ip)
    header = 30 if control & _TO_AND_FROM_DS == _TO_AND_FROM_DS else 24
    aggregated = False
    if subtype & 8:
        quality = view.bytes(header, 2)
        aggregated = bool(quality[0] & 0x80)
        header += 6 if control & _ORDER else 2
    if padded:
        header += -header % 4
    return Next(layers.LLC, view.skip(header + (14 if aggregated else 0)))


def read_wifi(view: View, walk: Walk) -> Next:
    """Take off the header of an 802.11 data frame that is not encrypted; of an A-MSDU, of its first frame."""
    return _read_data(view, padded=False)


def read_wifi_padded(view: View, walk: Walk) -> Next:
    """Take off the same header, padded to 4 bytes as some devices deliver it."""
    return _read_data(view, padded=True)


def read_radiotap(view: View, walk: Walk) -> Next:
    """Take off a radiotap header; its flags tell whether the 802.11 header is padded."""
    view.need(8)
    length, present = view.little16(2), view.little32(4)
    if view.u8() or length < 8:
        raise Dropped(Drop.bad_header)
    header = view.data[view.at : view.at + length]
    at = 4
    while at + 4 <= len(header) and header[at + 3] & 0x80:
        at += 4
    at += 4
    if present & 1:  # a time stamp of 8 bytes, aligned
        at += -at % 8 + 8
    padded = bool(present & 2) and at < len(header) and bool(header[at] & 0x20)
    return Next(layers.WIFI_PADDED if padded else layers.WIFI, view.skip(length))


def read_prism(view: View, walk: Walk) -> Next:
    """Take off a Prism header, or the AVS header that shares its link type."""
    view.need(8)
    if view.u32() >> 12 == _AVS_MAGIC:
        return read_avs(view, walk)
    length = view.little32(4)
    if length > 0xFFFF:
        length = view.u32(4)
    if not 8 <= length <= 0xFFFF:
        raise Dropped(Drop.bad_header)
    return Next(layers.WIFI, view.skip(length))


def read_avs(view: View, walk: Walk) -> Next:
    """Take off an AVS header."""
    view.need(8)
    length = view.u32(4)
    if view.u32() >> 12 != _AVS_MAGIC or not 8 <= length <= 0xFFFF:
        raise Dropped(Drop.bad_header)
    return Next(layers.WIFI, view.skip(length))


READERS: dict[int, Callable[[View, Walk], Next]] = {
    layers.WIFI: read_wifi,
    layers.WIFI_PADDED: read_wifi_padded,
    layers.RADIOTAP: read_radiotap,
    layers.PRISM: read_prism,
    layers.AVS: read_avs,
}
