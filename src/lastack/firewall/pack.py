"""Packs a `Box` into the records that the compiled machine reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.firewall.table import FOREVER_NS, MOST_TIMERS, Box, Table
from lastack.kernels.expiry_layout import NET, RULES, SELECTOR

_LOW64 = (1 << 64) - 1


def pack_tables(tables: tuple[Table, ...]) -> Any:
    """Return a RULES array, one record for each table.

    Raises:
        ValueError: A table has more timers than fit.
    """
    rules = np.zeros(len(tables), RULES)
    for record, table in zip(rules, tables, strict=True):
        if len(table.timers) > MOST_TIMERS:
            raise ValueError(
                f"{table.name or 'table'}: {len(table.timers)} timers, at most {MOST_TIMERS} fit"
            )
        for place, timer in enumerate(table.timers):
            record["ns"][place] = min(timer.ns, FOREVER_NS)
            record["mode"][place] = timer.mode
            record["refresh"][2 * place : 2 * place + 2] = timer.refresh
        for phase, timers in enumerate(table.timer_of):
            record["timer_of"][2 * phase : 2 * phase + 2] = timers
        for kind, sides in enumerate(table.no_session):
            record["no_session"][2 * kind : 2 * kind + 2] = sides
        record["next"][: len(table.transitions)] = np.frombuffer(table.transitions, np.uint8)
        record["rst_check"] = table.rst_check
        record["per_direction"] = table.per_direction
        if table.linux is not None:
            record["linux"] = 1
            record["loose"] = table.linux.loose
            record["be_liberal"] = table.linux.be_liberal
            record["ignore_invalid_rst"] = table.linux.ignore_invalid_rst
            record["drop_invalid"] = table.linux.drop_invalid
            record["max_retrans"] = table.linux.max_retrans
    return rules


def pack_selectors(box: Box) -> tuple[Any, Any]:
    """Return the SELECTOR array of a box and the NET array that it points into (each with at least one record)."""
    selectors = np.zeros(max(len(box.selectors), 1), SELECTOR)
    nets: list[tuple[int, int, int, int]] = []
    for record, selector in zip(selectors, box.selectors, strict=False):
        record["low"], record["high"] = selector.ports
        record["table"] = selector.table
        for first, count, side in (
            ("client", "clients", selector.clients),
            ("server", "servers", selector.servers),
        ):
            record[first], record[count] = len(nets), len(side)
            nets += [(net >> 64, net & _LOW64, mask >> 64, mask & _LOW64) for net, mask in side]
    return selectors, np.array(nets or [(0, 0, 0, 0)], NET)
