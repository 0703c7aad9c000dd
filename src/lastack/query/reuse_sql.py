"""Finds, as SQL, sessions that began on ports which an earlier session may still have had."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lastack.query.dialect import Dialect, Fragment

#: States in which a session is over for a box: both FINs or a RST were seen.
_OVER = "('CLOSING', 'LAST_ACK', 'TIME_WAIT', 'CLOSED')"
#: What the statement answers: a later session, the earlier one (0 if it is nowhere), and whether they overlap in time.
USED_PORTS_COLUMNS = ("id", "before", "beside")


def used_ports_sql(source: Fragment, dialect: Dialect) -> Fragment:
    """Return the statement that finds pairs of sessions on one four-tuple that a box may take for one.

    That is: the earlier session was not over, went on beside the later one, or is not there; or the later one does not
    begin with a SYN.

    Args:
        source: What stands after FROM, and its values.
        dialect: The engine's words.
    """
    text, values = source
    clt, srv, rst, opening = (
        dialect.text(dialect.name(name)) for name in ("state_clt", "state_srv", "rst_seq", "opening")
    )
    later = (
        f"SELECT session_id AS id, previous_id AS previous, start_ns AS began, {opening} AS opened "
        f"FROM {text} WHERE previous_id IS NOT NULL"
    )
    earlier = (
        f"SELECT session_id AS before, end_ns AS ended, {clt} AS clt, {srv} AS srv, {rst} AS rst, "
        f"(rst_clt > 0 OR rst_srv > 0) AS reset FROM {text} "
        f"WHERE session_id IN (SELECT previous_id FROM {text} WHERE previous_id IS NOT NULL)"
    )
    unclear = (
        f"earlier.before IS NULL OR earlier.clt NOT IN {_OVER} OR earlier.srv NOT IN {_OVER} "
        "OR (earlier.reset AND earlier.rst IN ('outside', 'unknown')) "
        "OR later.opened IN ('midstream', 'synack_only')"
    )
    beside = "coalesce(earlier.ended >= later.began, false)"
    return (
        f"SELECT later.id AS id, coalesce(earlier.before, 0) AS before, {beside} AS beside "
        f"FROM ({later}) AS later LEFT JOIN ({earlier}) AS earlier ON later.previous = earlier.before "
        f"WHERE coalesce({unclear}, false) OR {beside}",
        [*values, *values, *values],
    )


def used_ports(
    ids: NDArray[np.uint64], before: NDArray[np.uint64], beside: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    """Return the ids, sorted, of the sessions in the pairs: the later ones, and earlier ones beside them."""
    earlier = np.asarray(before, np.uint64)[np.asarray(beside, np.bool_)]
    return np.unique(np.concatenate([np.asarray(ids, np.uint64), earlier]))
