"""The columns of a batch as NumPy sees them: numbers, enum codes, address words, values of a metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lastack.model.fields import BY_NAME
from lastack.query.metrics import Kind, Metric, Shape

_U64_MAX = np.uint64(2**64 - 1)
_I64 = np.iinfo(np.int64)


def column(batch: Any, name: str) -> Any:
    """Return a column of a RecordBatch or Table as one Arrow array."""
    array = batch.column(name)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # pyarrow keeps empty and dictionary-coded ones chunked
            array = pa.concat_arrays(array.unify_dictionaries().chunks) if array.num_chunks else _empty(name)
    return array


def _empty(name: str) -> Any:
    from lastack.model.arrow import arrow_type

    return pa.array([], arrow_type(BY_NAME[name]))


def valid(array: Any) -> NDArray[np.bool_]:
    """Return which values of an array are not null."""
    if array.null_count == 0:
        return np.ones(len(array), np.bool_)
    result: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return result


def numbers(array: Any) -> NDArray[Any]:
    """Return an integer or float array as NumPy, 0 where it is null."""
    if array.null_count:
        array = array.fill_null(0)
    result: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return result


def enum_codes(batch: Any, name: str) -> NDArray[np.uint8]:
    """Return the values of an enum field as its vocabulary's numbers, whatever order the dictionary has.

    Raises:
        KeyError: The data has a member that this version does not know.
    """
    vocabulary = BY_NAME[name].enum
    assert vocabulary is not None
    array = column(batch, name)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    table = np.array([vocabulary[text].value for text in array.dictionary.to_pylist()] or [0], np.uint8)
    codes: NDArray[np.uint8] = table[numbers(array.indices)]
    return codes


def address_words(array: Any) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the upper and lower half of 16-byte addresses as numbers that sort as the addresses do."""
    if array.type != pa.binary(16):
        array = array.cast(pa.binary(16))
    if len(array) == 0:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    words = np.frombuffer(array.buffers()[1], ">u8", 2 * len(array), 16 * array.offset)
    return words[0::2].astype(np.uint64), words[1::2].astype(np.uint64)


class Values:
    """The values of a metric in some rows; `valid` tells which of them are not null."""

    def __init__(self, metric: Metric, batch: Any) -> None:
        self._arrays = [column(batch, name) for name in metric.columns]
        self._shape = metric.shape
        self._address = metric.kind is Kind.address
        self.valid = valid(self._arrays[0])
        for array in self._arrays[1:]:
            self.valid = self.valid & valid(array)

    def __len__(self) -> int:
        return len(self._arrays[0])

    def numbers(self) -> NDArray[Any]:
        """Return the values as numbers; what would overflow stays at the type's limit."""
        if self._shape is Shape.column:
            return numbers(self._arrays[0])
        first, second = (numbers(array) for array in self._arrays)
        if self._shape is Shape.total:
            total = first.astype(np.uint64) + second.astype(np.uint64)
            return np.where(total < first, _U64_MAX, total)
        span = second - first
        wrapped = ((second ^ first) & (second ^ span)) < 0
        return np.where(wrapped, np.where(second < 0, _I64.min, _I64.max), span)

    def within(self, low: Any, high: Any) -> NDArray[np.bool_]:
        """Return which values lie from `low` to `high`, both included."""
        if self._address:
            return self._addresses_within(low, high)
        values = self.numbers()
        found: NDArray[np.bool_] = np.asarray(values == low)
        if low != high:
            found = (values >= low) & (values <= high)
        return found

    def _addresses_within(self, low: bytes, high: bytes) -> NDArray[np.bool_]:
        upper, lower = address_words(self._arrays[0])
        low0, low1, high0, high1 = (
            np.uint64(int.from_bytes(part, "big")) for part in (low[:8], low[8:], high[:8], high[8:])
        )
        above = (upper > low0) | ((upper == low0) & (lower >= low1))
        below = (upper < high0) | ((upper == high0) & (lower <= high1))
        result: NDArray[np.bool_] = above & below
        return result

    def matching(self, exact: tuple[str, ...], patterns: list[str]) -> NDArray[np.bool_]:
        """Return which texts equal one of `exact` or are matched whole by one of the RE2 `patterns`."""
        array = self._arrays[0]
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        words = array.dictionary
        if len(words) == 0:
            return np.zeros(len(array), np.bool_)
        hit = pc.is_in(words, pa.array(exact, words.type)).to_numpy(zero_copy_only=False)
        for pattern in patterns:
            whole = rf"\A(?s:{pattern})\z"
            hit = hit | pc.match_substring_regex(words, whole).to_numpy(zero_copy_only=False)
        result: NDArray[np.bool_] = hit[numbers(array.indices)]
        return result
