"""The columns that a kernel fills: where each is stored, and which ones only some sessions have anything to say in.

A column of a group is written when a session first has something to say there: then the whole column is filled with
what stands for nothing. A group that no session touches costs nothing; its columns are shared constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper, load_le64, store_u8, store_u16, store_u32, store_u64
from lastack.kernels.layout import NEVER
from lastack.model.enums import RstSeq
from lastack.model.fields import FIELDS

_STORED = {"address": "V16", "enum": "u1", "string": "", "list": "u1", "float32": "u1"}
_NUMBERS = {
    "uint8": "u1",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
    "int16": "i2",
    "int32": "i4",
    "int64": "i8",
}
_STRINGS = {"sensor": "u2", "close_order": "u2", "history": "u8"}

#: What is not written here but later, from the rest of the row.
DERIVED = frozenset({"end_panos", "end_asa", "end_fortigate", "end_ipfix"})

#: Stored type of each column that a kernel writes, in the order of the addresses it gets. Zones and applications
#: are not here: they come from configuration.
COLUMNS: dict[str, np.dtype] = {
    f.name: np.dtype(_NUMBERS.get(f.type) or _STRINGS.get(f.name) or _STORED[f.type])
    for f in FIELDS
    if f.name not in DERIVED and (f.type != "string" or f.name in _STRINGS)
}
COLUMNS["history_more"] = np.dtype("u8")

ABSENT_I16 = -(1 << 15)
ABSENT_I32 = -(1 << 31)
_AT = {name: place for place, name in enumerate(COLUMNS)}
(A_ID, A_SENSOR, A_CLIENT_IP, A_CLIENT_PORT, A_SERVER_IP, A_SERVER_PORT) = (
    _AT[n] for n in ("session_id", "sensor", "client_ip", "client_port", "server_ip", "server_port")
)
A_CLIENT_BY, A_ENCAP, A_VLAN = _AT["client_by"], _AT["encap"], _AT["vlan"]
A_START, A_END = _AT["start_ns"], _AT["end_ns"]
A_PACKETS, A_BYTES, A_NEW, A_RETX = (
    _AT[n + "_clt"] for n in ("packets", "bytes", "new_bytes", "retx_packets")
)
A_SYN, A_SYNACK, A_FIN, A_RST = (_AT[n + "_clt"] for n in ("syn", "synack", "fin", "rst"))
A_FIN_UNIQ, A_CT, A_CT_NS = _AT["fin_clt_uniq"], _AT["ct_count"], _AT["ct_ns"]
A_SYN_SYNACK, A_SYNACK_ACK, A_OPENING = _AT["syn_to_synack_ns"], _AT["synack_to_ack_ns"], _AT["opening"]
A_FIRST_CLOSER, A_ORDER = _AT["first_closer"], _AT["close_order"]
A_FIN1, A_FIN2, A_CLOSED, A_RST1 = (
    _AT[n] for n in ("first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns")
)
A_ENDING, A_HALF_BY, A_HALF_NS = _AT["ending"], _AT["half_closed_by"], _AT["half_closed_ns"]
A_HALF_BYTES, A_HALF_GAP, A_AFTER_FIN = (
    _AT["half_closed_bytes"],
    _AT["half_closed_max_gap_ns"],
    _AT["bytes_after_fin_clt"],
)
A_AFTER_RST, A_UNACKED, A_MAX_IDLE = _AT["packets_after_rst"], _AT["unacked_bytes_clt"], _AT["max_idle_ns"]
A_IDLE_CLOSE, A_KEEPALIVES, A_RST_SEQ = _AT["idle_before_close_ns"], _AT["keepalives_clt"], _AT["rst_seq"]
A_TTL, A_IPID, A_STATE_CLT, A_STATE_SRV = (
    _AT[n] for n in ("rst_ttl_delta", "rst_ipid_jump", "state_clt", "state_srv")
)
A_CONN, A_HISTORY, A_COMPLETE = _AT["conn_state"], _AT["history"], _AT["completeness"]
A_PREVIOUS, A_CAUSE, A_CONFIDENCE, A_ACTOR = (
    _AT[n] for n in ("previous_id", "cause", "cause_confidence", "actor")
)
A_PHASE, A_HARM, A_OBSERVED, A_FIRST_PACKET = (_AT[n] for n in ("phase", "harm", "observed", "first_packet"))
A_GAPS, A_MARKS, A_RETRIES, A_EVIDENCE, A_HISTORY_MORE = (
    _AT[n] for n in ("gaps", "marks", "retries", "evidence", "history_more")
)

ONE_EVENTLESS = 1  # close_order without a FIN or RST

#: By group, what its columns hold where a session has nothing to say.
GROUPS: tuple[dict[str, int], ...] = (
    dict.fromkeys(
        ("fin_clt", "fin_srv", "rst_clt", "rst_srv", "fin_clt_uniq", "fin_srv_uniq", "first_closer",
         "half_closed_by", "half_closed_bytes", "packets_after_rst"), 0)
    | dict.fromkeys(
        ("first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns", "half_closed_ns", "half_closed_max_gap_ns",
         "idle_before_close_ns"), NEVER)
    | {"close_order": ONE_EVENTLESS, "rst_seq": int(RstSeq.unknown), "rst_ttl_delta": ABSENT_I16,
       "rst_ipid_jump": ABSENT_I32},
    dict.fromkeys(
        ("retx_packets_clt", "retx_packets_srv", "bytes_after_fin_clt", "bytes_after_fin_srv", "keepalives_clt",
         "keepalives_srv", "previous_id", "history_more"), 0),
    {"ct_count": 0, "ct_ns": NEVER, "synack_to_ack_ns": NEVER},
    dict.fromkeys(
        ("bytes_clt", "bytes_srv", "new_bytes_clt", "new_bytes_srv", "unacked_bytes_clt", "unacked_bytes_srv",
         "max_idle_ns"), 0),
    {"gaps": 0},
    {"marks": 0},
    {"retries": 0},
    {"evidence": 0},
)  # fmt: skip
G_CLOSING, G_ODD, G_HANDSHAKE, G_DATA, G_GAPS, G_MARKS, G_RETRIES, G_EVIDENCE = (
    1 << place for place in range(len(GROUPS))
)

#: The group of each column that has one, as a bit, and what the column holds without a word of any session.
GROUP_OF: dict[str, tuple[int, int]] = {
    name: (1 << place, nothing) for place, group in enumerate(GROUPS) for name, nothing in group.items()
}
_LISTED = tuple(GROUP_OF)
_GROUPED_AT = tuple(_AT[name] for name in _LISTED)
_GROUPED_IN = tuple(GROUP_OF[name][0] for name in _LISTED)
_GROUPED_NOTHING = tuple(GROUP_OF[name][1] for name in _LISTED)
_GROUPED_SIZE = tuple(COLUMNS[name].itemsize for name in _LISTED)


@helper
def open_group(columns: Any, touched: Any, group: Any, n: Any) -> Any:
    """Return the touched groups with one more among them, whose columns are filled if it was not yet touched."""
    if touched & group:
        return touched
    for j in range(len(_GROUPED_AT)):
        if _GROUPED_IN[j] == group:
            _fill(columns, _GROUPED_AT[j], n, _GROUPED_SIZE[j], _GROUPED_NOTHING[j])
    return touched | group


@helper
def _fill(columns: Any, column: Any, n: Any, size: Any, value: Any) -> Any:
    at = load_le64(columns + column * 8)  # once: the compiler cannot know that the stores leave it alone
    if size == 8:
        for row in range(n):
            store_u64(at + row * 8, value)
    elif size == 4:
        for row in range(n):
            store_u32(at + row * 4, value)
    elif size == 2:
        for row in range(n):
            store_u16(at + row * 2, value)
    else:
        for row in range(n):
            store_u8(at + row, value)
