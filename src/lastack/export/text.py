"""Columns as text, a whole batch at a time: addresses, times, enums, numbers, lists of entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lastack.model.address import V4_PREFIX, format_address
from lastack.model.fields import Field
from lastack.model.units import NS_PER_S

_OCTETS = pa.array([str(i) for i in range(256)], pa.string())
_V4_UPPER = int.from_bytes(V4_PREFIX[:8], "big")
_V4_LOWER = int.from_bytes(V4_PREFIX[8:], "big")
_BASE62 = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)
_UID_DIGITS = 11  # 62**11 > 2**64


def address_text(array: Any) -> Any:
    """Return 16-byte addresses as a string array, each distinct one formatted once."""
    if len(array) == 0:
        return pa.array([], pa.string())
    coded = array.dictionary_encode()
    return _distinct_addresses(coded.dictionary).take(coded.indices)


def _distinct_addresses(array: Any) -> Any:
    raw = np.frombuffer(array.buffers()[1], np.uint8, 16 * len(array), 16 * array.offset).reshape(-1, 16)
    words = raw.view(">u4").reshape(-1, 4)
    mapped = (words[:, 0] == 0) & (words[:, 1] == 0) & (words[:, 2] == 0xFFFF)
    if not mapped.all():
        texts = [format_address(row.tobytes()) for row in raw]
        return pa.array(texts, pa.string())
    parts = [_OCTETS.take(pa.array(np.ascontiguousarray(raw[:, 12 + i]))) for i in range(4)]
    return pc.binary_join_element_wise(*parts, ".")


def plain(array: Any) -> Any:
    """Return a dictionary-coded array as the strings it stands for; others as they are."""
    return array.cast(pa.string()) if pa.types.is_dictionary(array.type) else array


def seconds_text(ns: Any, digits: int = 6) -> Any:
    """Return integer nanoseconds as decimal seconds with a fixed number of digits, null where null.

    Args:
        ns: Int64 array; digits beyond `digits` are cut, not rounded, so order is kept.
        digits: Digits after the point, at most 9.
    """
    values = ns.fill_null(0).to_numpy(zero_copy_only=False)
    negative = values < 0
    size = np.abs(values.astype(object)) if (values == np.iinfo(np.int64).min).any() else np.abs(values)
    whole = pa.array(np.asarray(size // NS_PER_S, np.int64)).cast(pa.string())
    part = np.asarray(size % NS_PER_S, np.int64) // 10 ** (9 - digits)
    fraction = pc.utf8_lpad(pa.array(part).cast(pa.string()), digits, "0")
    sign = pa.array(["", "-"]).take(pa.array(negative.astype(np.uint8)))
    text = pc.binary_join_element_wise(sign, whole, pa.scalar("."), fraction, "")
    return pc.if_else(ns.is_valid(), text, pa.scalar(None, pa.string()))


def uid_text(ids: Any) -> Any:
    """Return session ids as Zeek-like uids: `C` and eleven base-62 digits."""
    numbers = ids.to_numpy(zero_copy_only=False).astype(np.uint64)
    text = np.empty((len(numbers), 1 + _UID_DIGITS), np.uint8)
    text[:, 0] = ord("C")
    for place in range(_UID_DIGITS, 0, -1):
        numbers, digit = np.divmod(numbers, np.uint64(62))
        text[:, place] = _BASE62[digit]
    offsets = np.arange(0, text.size + 1, 1 + _UID_DIGITS, dtype=np.int32)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))


def uid_number(text: str) -> int | None:
    """Return the session id that a uid names, or None if the text is not a uid."""
    digits = _BASE62.tobytes()
    body = text[1:].encode("ascii", "replace")
    if len(text) != 1 + _UID_DIGITS or text[0] != "C" or any(c not in digits for c in body):
        return None
    number = 0
    for c in body:
        number = number * 62 + digits.index(c)
    return number


def list_text(array: Any, members: tuple[Field, ...]) -> Any:
    """Return lists of entries with these members as compact JSON texts."""
    entries = array.flatten()
    parts: list[Any] = []
    for place, member in enumerate(members):
        values = plain(entries.field(member.name))
        quote = '"' if member.type == "enum" else ""
        key = ("," if place else "{") + f'"{member.name}":{quote}'
        parts += [pa.scalar(key), values.cast(pa.string()).fill_null("null"), pa.scalar(quote)]
    objects = pc.binary_join_element_wise(*parts, pa.scalar("}"), "")
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(array) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), objects), ",")
    return pc.binary_join_element_wise(pa.scalar("["), joined, pa.scalar("]"), "")


def joined_bytes(lines: Any) -> bytes:
    """Return the texts of an array end to end, which is how Arrow keeps them."""
    if len(lines) == 0:
        return b""
    starts = memoryview(lines.buffers()[1]).cast("i" if lines.type == pa.string() else "q")
    first, last = starts[lines.offset], starts[lines.offset + len(lines)]
    return bytes(memoryview(lines.buffers()[2])[first:last])
