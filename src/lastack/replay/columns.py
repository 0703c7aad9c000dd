"""Columns of the session record as NumPy arrays, for what replays them; nulls are told apart, enums are numbers."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: A moment that never came.
NEVER = np.iinfo(np.int64).max


def one_array(batch: Any, name: str) -> Any:
    """Return a column of a RecordBatch or Table as one Arrow array."""
    array = batch.column(name)
    if isinstance(array, pa.ChunkedArray):
        if array.num_chunks == 0:
            return pa.array([], array.type)
        array = pa.concat_arrays(array.unify_dictionaries().chunks)
    return array


def whole_numbers(array: Any, absent: int = 0) -> NDArray[Any]:
    """Return an integer array, `absent` where it is null."""
    if array.null_count:
        array = array.fill_null(absent)
    result: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return result


def valid(array: Any) -> NDArray[np.bool_]:
    """Return which values of an array are not null."""
    result: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return result


def moments(batch: Any, name: str) -> NDArray[np.int64]:
    """Return a column of times, `NEVER` where it is null."""
    return whole_numbers(one_array(batch, name), NEVER).astype(np.int64, copy=False)


def codes(array: Any, vocabulary: type[IntEnum]) -> NDArray[np.uint8]:
    """Return the numbers of an enum column, whatever order its dictionary has.

    Raises:
        KeyError: The data has a member that this version does not know.
    """
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    table = np.array([vocabulary[text].value for text in array.dictionary.to_pylist()] or [0], np.uint8)
    result: NDArray[np.uint8] = table[whole_numbers(array.indices)]
    return result


def list_rows(array: Any) -> tuple[NDArray[np.int64], Any]:
    """Return the row of each entry of a list column, and the entries as one array of structs."""
    offsets = array.offsets.to_numpy()
    rows = np.repeat(np.arange(len(array), dtype=np.int64), np.diff(offsets))
    return rows, array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
