"""What others would have logged for the same session: end reasons of PAN-OS, Cisco ASA, FortiGate and IPFIX.

A look-up on what was seen (opening, ending, who sent the first RST), never on the verdict: their words know nothing of
causes. `docs/explain/translations.md` says where each reading comes from and what each vocabulary loses.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.diagnosis.arrays import codes_of
from lastack.model.endreasons import EndAsa, EndFortigate, EndIpfix, EndPanos
from lastack.model.enums import Ending, Observed, Opening, are

_NOBODY, _CLIENT, _SERVER = 0, 1, 2
_SHAPE = (len(Opening), len(Ending), 3)
assert math.prod(_SHAPE) <= 256, "places are counted in bytes"
#: Openings that end without a packet of their own: only a timer removes them.
_TIMED_OUT = (Opening.unanswered, Opening.half_open, Opening.refused_icmp, Opening.synack_only)


def _table(vocabulary: type[IntEnum], *, clt: IntEnum, srv: IntEnum, fins: IntEnum, one_fin: IntEnum,
           fins_rst: tuple[IntEnum, IntEnum], embryonic: IntEnum, silent: IntEnum, live: IntEnum,
           stray: IntEnum) -> Any:  # fmt: skip
    """Return end reasons by (opening, ending, first RST: nobody, client, server).

    Args:
        vocabulary: The words of one product.
        clt: A RST of the client ended it.
        srv: A RST of the server ended it.
        fins: Both FINs.
        one_fin: One FIN, then nothing.
        fins_rst: Both FINs, then a RST of the client, of the server.
        embryonic: Never complete, removed by a timer.
        silent: One end sent in vain until the end.
        live: Not ended yet.
        stray: No session of its.
    """
    table = np.zeros(_SHAPE, np.uint8)
    assert all(
        isinstance(word, vocabulary) for word in (clt, srv, fins, one_fin, *fins_rst, embryonic, silent, live)
    )
    for by, word in ((_NOBODY, live), (_CLIENT, clt), (_SERVER, srv)):
        table[:, [Ending.rst, Ending.fin_rst, Ending.never_opened], by] = word
    for by in (_NOBODY, _CLIENT, _SERVER):
        table[:, Ending.closed, by] = fins
        table[:, Ending.half_closed, by] = one_fin
        table[:, Ending.vanished, by] = silent
        table[:, Ending.open, by] = live
    table[:, Ending.closed_rst, _NOBODY] = fins
    table[:, Ending.closed_rst, [_CLIENT, _SERVER]] = fins_rst
    table[list(_TIMED_OUT), Ending.never_opened, :] = embryonic
    table[Opening.stray] = stray
    return table.ravel()


_TABLES = {
    # RST outranks FIN: "only the highest priority reason is displayed"; tcp-fin is "one host or both hosts".
    "end_panos": _table(
        EndPanos, clt=EndPanos.tcp_rst_from_client, srv=EndPanos.tcp_rst_from_server, fins=EndPanos.tcp_fin,
        one_fin=EndPanos.tcp_fin, fins_rst=(EndPanos.tcp_rst_from_client, EndPanos.tcp_rst_from_server),
        embryonic=EndPanos.aged_out, silent=EndPanos.aged_out, live=EndPanos.n_a, stray=EndPanos.n_a,
    ),
    # Reset-I is from inside: the client is taken to be there.
    "end_asa": _table(
        EndAsa, clt=EndAsa.tcp_reset_i, srv=EndAsa.tcp_reset_o, fins=EndAsa.tcp_fins, one_fin=EndAsa.fin_timeout,
        fins_rst=(EndAsa.tcp_fins, EndAsa.tcp_fins), embryonic=EndAsa.syn_timeout, silent=EndAsa.conn_timeout,
        live=EndAsa.unknown, stray=EndAsa.unknown,
    ),
    "end_fortigate": _table(
        EndFortigate, clt=EndFortigate.client_rst, srv=EndFortigate.server_rst, fins=EndFortigate.close,
        one_fin=EndFortigate.timeout, fins_rst=(EndFortigate.close, EndFortigate.close),
        embryonic=EndFortigate.timeout, silent=EndFortigate.timeout, live=EndFortigate.unknown,
        stray=EndFortigate.unknown,
    ),
    "end_ipfix": _table(
        EndIpfix, clt=EndIpfix.end_of_flow, srv=EndIpfix.end_of_flow, fins=EndIpfix.end_of_flow,
        one_fin=EndIpfix.end_of_flow, fins_rst=(EndIpfix.end_of_flow, EndIpfix.end_of_flow),
        embryonic=EndIpfix.idle_timeout, silent=EndIpfix.idle_timeout, live=EndIpfix.forced_end,
        stray=EndIpfix.idle_timeout,
    ),
}  # fmt: skip


def first_reset(batch: Any) -> Any:
    """Return who sent the first RST of each row: 0 nobody, 1 client, 2 server."""
    column = batch.column("close_order")
    words = column.dictionary
    known = _last_orders[0]
    if not known[0].equals(words):
        known = (words, np.array([_first(word) for word in words.to_pylist()] or [0], np.uint8))
        _last_orders[0] = known
    return known[1].take(column.indices.to_numpy(zero_copy_only=False))


#: Orders of closing as they were last read, and who sent the first RST of each: a batch's are mostly those of the last.
_last_orders: list[tuple[Any, Any]] = [(pa.array([], pa.string()), np.zeros(1, np.uint8))]


def _first(order: str) -> int:
    letters = [letter for letter in order if letter in "Rr"]
    return _NOBODY if not letters else _CLIENT if letters[0] == "R" else _SERVER


def translate(batch: Any) -> dict[str, Any]:
    """Return the codes of the end reasons of others, one uint8 column by its name for each that the batch has."""
    names = set(batch.schema.names)
    opening, ending = (codes_of(batch.column(n), e) for n, e in (("opening", Opening), ("ending", Ending)))
    place = ((opening * np.uint8(len(Ending)) + ending) * np.uint8(3) + first_reset(batch)).astype(np.intp)
    found = {name: table.take(place) for name, table in _TABLES.items() if name in names}
    if "end_ipfix" in found:
        observed = codes_of(batch.column("observed"), Observed)
        found["end_ipfix"][are(observed, Observed.evicted)] = EndIpfix.lack_of_resources
    return found
