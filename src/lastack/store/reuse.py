"""Which sessions of datasets began on ports that an earlier session may still have had, whatever segment it is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.model.errors import InputError
from lastack.query.dialect import DUCKDB
from lastack.query.reuse_sql import USED_PORTS_COLUMNS, used_ports, used_ports_sql
from lastack.store.dataset import Dataset, connect, source_of


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

    if not any(dataset.manifest.segments for dataset in datasets):
        return np.zeros(0, np.uint64)
    with connect(threads) as connection:
        try:
            text, values = used_ports_sql(source_of(datasets), DUCKDB)
            answer: Any = connection.execute(text, values).fetchnumpy()
        except duckdb.IOException as reason:
            raise InputError(f"{datasets[0].path}: cannot be read: {reason}") from None
    return used_ports(*(np.ma.filled(answer[name], 0) for name in USED_PORTS_COLUMNS))
