"""Gives up every privilege but CAP_NET_RAW, which opening a removed interface anew needs (capabilities(7))."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_CAP_NET_RAW = 13
_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 38, 47
_AMBIENT_CLEAR = 4
_LAST = 63


def drop_privileges() -> str:
    """Keep CAP_NET_RAW if it is there, give up the rest for good; return what remains, for people.

    To be called before any thread is started: capabilities belong to threads.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    permitted = _permitted()
    kept = permitted & (1 << _CAP_NET_RAW)
    if permitted:
        for capability in range(_LAST + 1):
            if capability != _CAP_NET_RAW:
                libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        libc.prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR, 0, 0, 0)
        header = struct.pack("Ii", _VERSION_3, 0)
        low, high = kept & 0xFFFFFFFF, kept >> 32
        data = struct.pack("6I", low, low, 0, high, high, 0)
        if libc.capset(header, data) != 0:
            return f"privileges could not be given up: {os.strerror(ctypes.get_errno())}"
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return "CAP_NET_RAW" if kept else "no privileges"


def _permitted() -> int:
    try:
        with Path("/proc/self/status").open(encoding="ascii") as stream:
            for line in stream:
                if line.startswith("CapPrm:"):
                    return int(line.split()[1], 16)
    except OSError:
        return 0
    return 0
