"""Makes an overview in one pass over batches of session rows, in bounded memory; two surveys merge into one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.model.enums import Cause, Closer, Ending, Harm, Observed, Opening, are
from lastack.model.units import NS_PER_S
from lastack.query.columns import column, enum_codes, numbers, valid
from lastack.query.overview import FAILURES, HARMS, RESET_KINDS, SIDES, Ledger, Overview
from lastack.query.quantiles import Quantiles
from lastack.query.top import Sums
from lastack.query.waiting import Pending, Waiters

#: What a survey reads of each row.
COLUMNS: tuple[str, ...] = (
    "session_id", "client_ip", "client_port", "server_ip", "server_port", "start_ns", "end_ns",
    "bytes_clt", "bytes_srv", "rst_clt", "rst_srv", "ct_ns", "syn_to_synack_ns", "synack_to_ack_ns",
    "opening", "ending", "first_closer", "close_order", "first_fin_ns", "half_closed_ns", "half_closed_bytes",
    "cause", "harm", "observed",
)  # fmt: skip
HANDSHAKES = ("ct_ns", "syn_to_synack_ns", "synack_to_ack_ns")
#: What is summed for each server and client. `failed` counts what is pending too; `broken` are sessions that a RST
#: ended between handshake and close; `harmed` are those whose ending cost something.
MEASURES: tuple[str, ...] = (
    "sessions", "attempts", "established", "refused", "unanswered", "half_open", "failed", "broken", "harmed",
    "resets_clt", "resets_srv", "rst_clt", "rst_srv", "bytes",
)  # fmt: skip
HALF_CLOSE_LONG_NS = NS_PER_S  #: no Half Closed timer that is in use is shorter
TOP = 5
_TROUBLED = 10  # looked at for findings
_ATTEMPTS = (
    Opening.established, Opening.refused, Opening.refused_icmp, Opening.unanswered, Opening.half_open,
    Opening.aborted, Opening.simultaneous,
)  # fmt: skip
_ESTABLISHED = (Opening.established, Opening.simultaneous)
_LOST = (Harm.data_lost, Harm.close_lost, Harm.stalled, Harm.open_failed)


class Survey:
    """Collects what an overview needs; `add` batches, then ask for the `overview`."""

    def __init__(self) -> None:
        self._endings = np.zeros((len(Opening), len(Ending), len(Closer)), np.int64)
        self._resets = np.zeros((len(RESET_KINDS), len(SIDES), len(HARMS)), np.int64)
        self._causes = np.zeros((len(Cause), len(Harm)), np.int64)
        self._harms = np.zeros(len(Harm), np.int64)
        self._observed = np.zeros(len(Observed), np.int64)
        # bytes of client, of server, RSTs of client, of server, half-close used, used for long
        self._totals = np.zeros(6, np.int64)
        self._handshakes = {name: Quantiles() for name in HANDSHAKES}
        self._half_close = Quantiles()
        self._half_closed = Waiters("first_fin_ns")
        self._half_open = Waiters("start_ns")
        self._pending = Pending()
        self._servers = Sums(("server_ip", "server_port"), MEASURES, "sessions")
        self._clients = Sums(("client_ip",), MEASURES, "sessions")
        self._first_ns: int | None = None
        self._last_ns: int | None = None

    def add(self, batch: Any) -> None:
        """Take rows in; the batch has at least `COLUMNS`."""
        if batch.num_rows == 0:
            return
        opening, ending = enum_codes(batch, "opening"), enum_codes(batch, "ending")
        closer, harm = enum_codes(batch, "first_closer"), enum_codes(batch, "harm")
        np.add.at(self._endings, (opening, ending, closer), 1)
        session = ~are(opening, Opening.stray)
        for counts, name in ((self._harms, "harm"), (self._observed, "observed")):
            counts += np.bincount(enum_codes(batch, name)[session], minlength=len(counts))
        costs = enum_codes(batch, "cause")[session].astype(np.intp) * len(Harm) + harm[session]
        self._causes += np.bincount(costs, minlength=self._causes.size).reshape(self._causes.shape)
        start, end = numbers(column(batch, "start_ns")), numbers(column(batch, "end_ns"))
        self._span(start, end)
        self._pending.add(end[are(opening, Opening.unanswered)])
        self._half_closed.add(batch, are(ending, Ending.half_closed))
        self._half_open.add(batch, are(opening, Opening.half_open))
        for name, quantiles in self._handshakes.items():
            quantiles.add(_known(batch, name, session))
        self._half_close.add(_known(batch, "half_closed_ns", session))
        self._count_resets(batch, opening, ending, harm)
        self._sum_ends(batch, opening, ending, harm, session)

    def merge(self, other: Survey) -> None:
        """Take the survey of another part of the input in."""
        for mine, others in (
            (self._endings, other._endings),
            (self._resets, other._resets),
            (self._causes, other._causes),
            (self._harms, other._harms),
            (self._observed, other._observed),
            (self._totals, other._totals),
        ):
            mine += others
        for name, quantiles in self._handshakes.items():
            quantiles.merge(other._handshakes[name])
        self._half_close.merge(other._half_close)
        self._half_closed.merge(other._half_closed)
        self._half_open.merge(other._half_open)
        self._pending.merge(other._pending)
        self._servers.merge(other._servers)
        self._clients.merge(other._clients)
        if other._first_ns is not None and other._last_ns is not None:
            self._widen(other._first_ns, other._last_ns)

    def overview(self, last_ns: int | None = None, top: int = TOP) -> Overview:
        """Return the overview.

        Args:
            last_ns: End of the capture, if it is known to be later than the last session's last packet.
            top: Servers and clients to list.
        """
        end = max((ns for ns in (last_ns, self._last_ns) if ns is not None), default=None)
        clt, srv, rst_clt, rst_srv, used, exposed = map(int, self._totals)
        servers, clients = self._servers, self._clients
        return Overview(
            ledger=self._ledger(end),
            closers=self._closers(),
            resets=_nested(self._resets, RESET_KINDS, SIDES, HARMS),
            rst_packets={"client": rst_clt, "server": rst_srv},
            causes={c.name: int(self._causes[c].sum()) for c in Cause if self._causes[c].any()},
            harmed={c.name: int(self._causes[c, _LOST].sum()) for c in Cause if self._causes[c, _LOST].any()},
            harms={h.name: int(self._harms[h]) for h in Harm if self._harms[h]},
            observed={o.name: int(self._observed[o]) for o in Observed if self._observed[o]},
            half_closed=self._half_closed.waiting(end),
            half_open=self._half_open.waiting(end),
            handshakes={name: q.percentiles() for name, q in self._handshakes.items()},
            half_close_ns=self._half_close.percentiles(),
            half_close_used=used,
            half_close_exposed=exposed,
            bytes={"client": clt, "server": srv},
            servers=servers.top("sessions", top),
            clients=clients.top("sessions", top),
            troubled={
                **{
                    f"servers.{m}": servers.top(m, _TROUBLED)
                    for m in ("refused", "unanswered", "half_open", "broken")
                },
                "clients.failed": clients.top("failed", _TROUBLED),
            },
            first_ns=self._first_ns,
            last_ns=end,
        )

    def _span(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> None:
        self._widen(int(start.min()), int(end.max()))

    def _widen(self, first: int, last: int) -> None:
        self._first_ns = first if self._first_ns is None else min(first, self._first_ns)
        self._last_ns = last if self._last_ns is None else max(last, self._last_ns)

    def _count_resets(self, batch: Any, opening: Any, ending: Any, harm: Any) -> None:
        """Sort the sessions with a RST by when it came, who sent the first one, and what it cost."""
        order = column(batch, "close_order")
        order = order if hasattr(order, "dictionary") else order.dictionary_encode()
        first = np.array([_first_reset(text) for text in order.dictionary.to_pylist()] or [-1], np.int8)
        side = first[numbers(order.indices)]
        kind = np.full(len(side), RESET_KINDS.index("ignored"), np.int8)
        opened = np.isin(opening, (*_ESTABLISHED, Opening.midstream))
        kind[~opened] = RESET_KINDS.index("opening")
        kind[are(opening, Opening.refused)] = RESET_KINDS.index("refused")
        for name, member in (
            ("after_close", Ending.closed_rst),
            ("after_fin", Ending.fin_rst),
            ("mid_session", Ending.rst),
        ):
            kind[opened & are(ending, member)] = RESET_KINDS.index(name)
        cost = np.select([are(harm, Harm.none), are(harm, Harm.unknown)], [0, 2], 1)
        chosen = (side >= 0) & ~are(opening, Opening.stray)
        np.add.at(self._resets, (kind[chosen], side[chosen], cost[chosen]), 1)

    def _sum_ends(self, batch: Any, opening: Any, ending: Any, harm: Any, session: Any) -> None:
        """Add each session to the sums of its server and its client."""
        names = ("rst_clt", "rst_srv", "bytes_clt", "bytes_srv", "half_closed_bytes")
        rst_clt, rst_srv, bytes_clt, bytes_srv, used = (
            numbers(column(batch, name)).astype(np.int64) for name in names
        )
        half_closed = column(batch, "half_closed_ns")
        exposed = (used > 0) & valid(half_closed) & (numbers(half_closed) >= HALF_CLOSE_LONG_NS)
        for place, values in enumerate((bytes_clt, bytes_srv, rst_clt, rst_srv, used > 0, exposed)):
            self._totals[place] += values[session].sum()
        attempt, up = np.isin(opening, _ATTEMPTS), np.isin(opening, _ESTABLISHED)
        broken = np.isin(ending, (Ending.rst, Ending.fin_rst)) & np.isin(harm, (Harm.unknown, *_LOST))
        sums: dict[str, Any] = {
            "sessions": session,
            "attempts": attempt,
            "established": up,
            "refused": np.isin(opening, (Opening.refused, Opening.refused_icmp)),
            "unanswered": are(opening, Opening.unanswered),
            "half_open": are(opening, Opening.half_open),
            "failed": attempt & ~up,
            "broken": broken & ~are(ending, Ending.never_opened),
            "harmed": np.isin(harm, _LOST),
            "resets_clt": rst_clt > 0,
            "resets_srv": rst_srv > 0,
            "rst_clt": rst_clt,
            "rst_srv": rst_srv,
            "bytes": bytes_clt + bytes_srv,
        }
        ends = {name: column(batch, name) for name in ("client_ip", "server_ip", "server_port")}
        rows = np.flatnonzero(session)
        chosen = {name: np.asarray(values)[rows].astype(np.int64) for name, values in sums.items()}
        chosen |= {name: array.take(rows) for name, array in ends.items()}
        self._servers.add(chosen)
        self._clients.add(chosen)

    def _ledger(self, end: int | None) -> Ledger:
        by_opening = self._endings.sum(axis=(1, 2))
        pending = self._pending.count(end)
        failures = {name: int(by_opening[Opening[name]]) for name in FAILURES if name != "pending"}
        failures["unanswered"] -= pending
        failures["pending"] = pending
        attempts = int(by_opening[list(_ATTEMPTS)].sum())
        up = int(by_opening[list(_ESTABLISHED)].sum())
        ended = self._endings[list(_ESTABLISHED)].sum(axis=(0, 2))
        middle = self._endings[Opening.midstream].sum(axis=1)
        endings = {e.name: int(ended[e]) for e in Ending if e is not Ending.never_opened}
        return Ledger(
            attempts=attempts,
            established=up,
            failures=failures,
            residual=attempts - up - sum(failures.values()),
            endings=endings,
            ending_residual=up - sum(endings.values()),
            midstream={e.name: int(middle[e]) for e in Ending if middle[e]},
            synack_only=int(by_opening[Opening.synack_only]),
            strays=int(by_opening[Opening.stray]),
        )

    def _closers(self) -> dict[str, dict[str, int]]:
        seen = self._endings[[*_ESTABLISHED, Opening.midstream]].sum(axis=0)
        return {
            ending.name: {closer.name: int(seen[ending, closer]) for closer in Closer}
            for ending in Ending
            if seen[ending].any() and ending is not Ending.never_opened
        }


def _known(batch: Any, name: str, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    array = column(batch, name)
    result: NDArray[np.int64] = numbers(array)[valid(array) & chosen]
    return result


def _first_reset(order: str) -> int:
    """Return the side of the first RST in a `close_order`, -1 without one."""
    letter = next((letter for letter in order if letter in "Rr"), "")
    return {"R": 0, "r": 1}.get(letter, -1)


def _nested(counts: NDArray[np.int64], *axes: tuple[str, ...]) -> dict[str, Any]:
    names, rest = axes[0], axes[1:]
    if not rest:
        return {name: int(value) for name, value in zip(names, counts, strict=True)}
    return {name: _nested(part, *rest) for name, part in zip(names, counts, strict=True)}
