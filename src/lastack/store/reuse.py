"""Which sessions of datasets began on ports that an earlier session may still have had, whatever segment it is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.model.errors import InputError
from lastack.store.dataset import Dataset, connect

#: States in which a session is over for a box: both FINs or a RST were seen.
_OVER = "('CLOSING', 'LAST_ACK', 'TIME_WAIT', 'CLOSED')"
_QUERY = f"""
    WITH later AS (
        SELECT session_id, previous_id, start_ns, opening FROM read_parquet($files) WHERE previous_id IS NOT NULL
    ), earlier AS (
        SELECT session_id, end_ns, state_clt::VARCHAR AS clt, state_srv::VARCHAR AS srv, rst_seq::VARCHAR AS rst,
            rst_clt + rst_srv AS resets
        FROM read_parquet($files) WHERE session_id IN (SELECT previous_id FROM later)
    ), pairs AS (
        SELECT later.session_id AS id, earlier.session_id AS before, earlier.end_ns >= later.start_ns AS beside,
            earlier.session_id IS NULL OR clt NOT IN {_OVER} OR srv NOT IN {_OVER}
            OR (resets > 0 AND rst IN ('outside', 'unknown')) OR later.opening::VARCHAR IN ('midstream', 'synack_only')
            AS open
        FROM later LEFT JOIN earlier ON later.previous_id = earlier.session_id
    )
    SELECT id FROM pairs WHERE open OR beside UNION SELECT before FROM pairs WHERE beside
"""


def sessions_on_used_ports(datasets: Sequence[Dataset], threads: int | None = None) -> NDArray[np.uint64]:
    """Return the ids, sorted, of sessions that a box may take for one with another on the same four-tuple.

    That is: the earlier session was not over, went on beside the later one, or is not in the datasets; or the later one
    does not begin with a SYN.

    Args:
        datasets: Where the sessions are.
        threads: Threads to use.

    Raises:
        InputError: A dataset cannot be read.
    """
    import duckdb

    files = [str(d.path / segment.file) for d in datasets for segment in d.manifest.segments]
    if not files:
        return np.zeros(0, np.uint64)
    with connect(threads) as connection:
        try:
            answer: Any = connection.execute(_QUERY, {"files": files}).fetchnumpy()["id"]
        except duckdb.IOException as reason:
            raise InputError(f"{datasets[0].path}: cannot be read: {reason}") from None
    return np.sort(np.asarray(answer, np.uint64))
