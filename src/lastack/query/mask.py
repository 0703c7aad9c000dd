"""Runs a filter over Arrow rows: a tree in, one bool a row out."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lastack.query.ast import And, Comparison, Node, Not, Or
from lastack.query.columns import Values
from lastack.query.operators import NULL_TESTS, OPERATORS


def mask_rows(node: Node | None, batch: Any) -> NDArray[np.bool_]:
    """Return which rows of a RecordBatch or Table pass a filter; all of them without one.

    A comparison with null is false, and `not` is the complement, as in the SQL form.
    """
    match node:
        case None:
            return np.ones(batch.num_rows, np.bool_)
        case Comparison(metric, symbol, value):
            values = Values(metric, batch)
            found = OPERATORS[symbol].mask(values, value)
            return found if symbol in NULL_TESTS else found & values.valid
        case Not(term):
            return ~mask_rows(term, batch)
        case And(terms):
            return reduce(np.logical_and, (mask_rows(term, batch) for term in terms))
        case Or(terms):
            return reduce(np.logical_or, (mask_rows(term, batch) for term in terms))


def filter_rows(node: Node | None, batch: Any) -> Any:
    """Return the rows of a RecordBatch or Table that pass a filter, the batch itself without one."""
    if node is None or batch.num_rows == 0:
        return batch
    found = mask_rows(node, batch)
    return batch if found.all() else batch.filter(pa.array(found))
