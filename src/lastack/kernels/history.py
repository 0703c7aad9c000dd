"""Zeek's history letters: four bits each under a leading one, fifteen in INFO and fifteen more in RARE."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import (
    FIN_SEEN,
    ISN,
    L_ACK,
    L_DATA,
    L_FIN,
    L_FIN_RST,
    L_MULTI,
    L_RST,
    L_SYN,
    L_SYNACK,
    LETTER_A,
    LETTER_D,
    RST_SEEN,
)
from lastack.kernels.pool import need_rare, rare_of
from lastack.model.batch import ACK, FIN, RST, SYN

FULL = 60  # bits: fifteen letters

# RARE.letters, plus direction: the letter was written; a FIN or RST was seen only beside another flag, its own letter
# is still to be written
LETTER_Q = 1
OWED_F = 4
OWED_R = 16
LETTER_I = 64


@helper
def write(t: Any, i: Any, kind: Any, d: Any) -> Any:
    """Append a letter; after thirty of them nothing is kept."""
    code = np.uint64(kind << 1 | d)
    if i.history >> np.uint64(FULL) == 0:
        i.history = (i.history << np.uint64(4)) | code
        return
    r = need_rare(t, i)
    if r.history == 0:
        r.history = np.uint64(1)
    if r.history >> np.uint64(FULL) == 0:
        r.history = (r.history << np.uint64(4)) | code


@helper
def _write_syn(t: Any, h: Any, i: Any, d: Any, g: Any, kind: Any, first_of_kind: Any) -> Any:
    seq = i64(g.seq)
    if first_of_kind:
        write(t, i, kind, d)
        if seq == i64(i.first[d]):
            return
    else:
        last = i64(i.first[d])
        if i.rare != 0:
            r = need_rare(t, i)
            if i64(r.odd) & (1 << d):
                last = i64(r.last_syn[d])
        if seq == last:
            return
        write(t, i, kind, d)
    r = need_rare(t, i)
    r.odd = i64(r.odd) | (1 << d)
    r.last_syn[d] = g.seq


@helper
def note_letter(t: Any, h: Any, i: Any, d: Any, g: Any, before: Any, new_fin: Any, new_rst: Any) -> Any:
    """Write the letter of a packet, if it has one to add (Zeek, TCP.cc, update_history).

    `before` are the flags as the packet found them; `new_fin` and `new_rst` tell whether this end's last FIN or
    RST had another sequence number.
    """
    tcp = i64(g.tcp_flags)
    special = tcp & (SYN | FIN | RST)
    if special == 0:
        flags = i64(h.bits)
        if g.payload > 0:
            if (flags & (LETTER_D << d)) == 0:
                h.bits = flags | (LETTER_D << d)
                write(t, i, L_DATA, d)
        elif (tcp & ACK) and (flags & (LETTER_A << d)) == 0:
            h.bits = flags | (LETTER_A << d)
            write(t, i, L_ACK, d)
    elif special == SYN:
        kind = L_SYNACK if tcp & ACK else L_SYN
        _write_syn(t, h, i, d, g, kind, (before & (ISN << d)) == 0)
    elif special == FIN or special == RST:
        owed = (OWED_F if special == FIN else OWED_R) << d
        r = rare_of(t, i)
        is_owed = (i64(r.letters) & owed) != 0
        if is_owed or (new_fin if special == FIN else new_rst):
            write(t, i, L_FIN if special == FIN else L_RST, d)
        if is_owed:
            r.letters = i64(r.letters) & ~owed
    else:
        r = need_rare(t, i)
        letters = i64(r.letters)
        both = (tcp & (FIN | RST)) == (FIN | RST)
        mine = (LETTER_I if both else LETTER_Q) << d
        if (letters & mine) == 0:
            write(t, i, L_FIN_RST if both else L_MULTI, d)
        letters |= mine
        if (tcp & FIN) != 0 and (before & (FIN_SEEN << d)) == 0:
            letters |= OWED_F << d
        if (tcp & RST) != 0 and (before & (RST_SEEN << d)) == 0:
            letters |= OWED_R << d
        r.letters = letters
