"""Zeek's conn.log: tab-separated with the header that zeek-cut and Zeek's own readers expect.

What the record does not know is unset (`-`): IP-level bytes, and whether an address is local. `missed_bytes`
is unset when the capture lost packets of the session, else 0.
"""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lastack.export.base import FileExporter
from lastack.export.text import address_text, joined_bytes, plain, seconds_text, uid_text
from lastack.model.fields import FIELDS
from lastack.model.units import NS_PER_S

#: Name and Zeek type of each column.
COLUMNS: tuple[tuple[str, str], ...] = (
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
)
_UNSET = pa.scalar("-")


class ZeekExporter(FileExporter):
    """Writes a conn.log; it always has Zeek's columns, so it asks for the whole record."""

    def __init__(self, target: str, columns: tuple[str, ...]) -> None:
        super().__init__(target, tuple(field.name for field in FIELDS if field.type != "list"))
        self._last_ns = 0
        self._open = False

    def write(self, batch: Any) -> None:
        """Append one line for each row."""
        if batch.num_rows == 0:
            return
        if not self._open:
            self._header(batch.column("start_ns")[0].as_py())
        self._last_ns = max(self._last_ns, pc.max(batch.column("end_ns")).as_py())
        lines = pc.binary_join_element_wise(
            pc.binary_join_element_wise(*_columns(batch), "\t"), pa.scalar("\n"), ""
        )
        self.target.stream.write(joined_bytes(lines))

    def _header(self, first_ns: int) -> None:
        names, types = zip(*COLUMNS, strict=True)
        head = [
            "#separator \\x09",
            "#set_separator\t,",
            "#empty_field\t(empty)",
            "#unset_field\t-",
            "#path\tconn",
            f"#open\t{_stamp(first_ns)}",
            "\t".join(("#fields", *names)),
            "\t".join(("#types", *types)),
        ]
        self.target.stream.write(("\n".join(head) + "\n").encode())
        self._open = True

    def finish(self) -> None:
        """Write the closing line; its time, like that of the opening one, is of the traffic."""
        if not self._open:
            self._header(0)
        self.target.stream.write(f"#close\t{_stamp(self._last_ns)}\n".encode())


def _stamp(ns: int) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=ns // NS_PER_S)
    return moment.strftime("%Y-%m-%d-%H-%M-%S")


def _columns(batch: Any) -> list[Any]:
    def number(name: str) -> Any:
        return batch.column(name).cast(pa.string())

    rows = batch.num_rows
    unset = pa.array(["-"], pa.string()).take(pa.array([0] * rows))
    lossy = pc.equal(plain(batch.column("observed")), "lossy")
    return [
        seconds_text(batch.column("start_ns")),
        uid_text(batch.column("session_id")),
        address_text(batch.column("client_ip")),
        number("client_port"),
        address_text(batch.column("server_ip")),
        number("server_port"),
        pa.array(["tcp"]).take(pa.array([0] * rows)),
        _service(batch.column("app")),
        _duration(batch),
        number("bytes_clt"),
        number("bytes_srv"),
        plain(batch.column("conn_state")),
        unset,
        unset,
        pc.if_else(lossy, _UNSET, pa.scalar("0")),
        _or_unset(plain(batch.column("history"))),
        number("packets_clt"),
        unset,
        number("packets_srv"),
        unset,
        pa.array(["(empty)"]).take(pa.array([0] * rows)),
    ]


def _service(array: Any) -> Any:
    names = pc.replace_substring_regex(plain(array).fill_null(""), r"[\t\n\r]", " ")
    return _or_unset(pc.if_else(pc.equal(names, "unclassified"), pa.scalar(""), names))


def _or_unset(texts: Any) -> Any:
    return pc.if_else(pc.equal(texts, ""), _UNSET, texts)


def _duration(batch: Any) -> Any:
    """Return the duration, unset for a single packet as in Zeek."""
    packets = pc.add(batch.column("packets_clt"), batch.column("packets_srv"))
    text = seconds_text(pc.subtract(batch.column("end_ns"), batch.column("start_ns")))
    return pc.if_else(pc.less_equal(packets, 1), _UNSET, text)
