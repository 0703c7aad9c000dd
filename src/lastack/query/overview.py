"""What an overview of sessions says, as plain data; `overview_of` in `query.survey` fills it.

The ledger: attempts = established + refused + refused_icmp + unanswered + half_open + aborted + pending, and
established = closed + closed_rst + fin_rst + rst + half_closed + vanished + open. Sessions met in the middle and
strays stand beside it. What does not add up is shown as a residual, never hidden.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from lastack.model.address import format_address
from lastack.query.quantiles import Percentiles
from lastack.query.top import Top

#: Ways an attempt can fail, as the ledger lists them.
FAILURES = ("refused", "refused_icmp", "unanswered", "half_open", "aborted", "pending")
#: When a RST came, from the least to the most suspicious.
RESET_KINDS = ("refused", "opening", "after_close", "after_fin", "mid_session", "ignored")
SIDES = ("client", "server")
#: What a reset cost: nothing, something, or not known.
HARMS = ("harmless", "harmful", "unclear")


@dataclass(frozen=True, slots=True)
class Ledger:
    """How attempts to connect came out.

    Attributes:
        attempts: Sessions whose SYN was seen.
        established: Of these, handshake completed (simultaneous opens included).
        failures: Of these, failed or not decided, by `FAILURES`.
        residual: Attempts that are in none of these; 0 when the ledger balances.
        endings: Established sessions by ending.
        ending_residual: Established sessions without an ending; 0 when the ledger balances.
        midstream: Sessions already running when the capture began, by ending; no attempts.
        synack_only: A SYN-ACK without its SYN; no attempts.
        strays: Rows of lone packets (backscatter); no sessions.
    """

    attempts: int = 0
    established: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    residual: int = 0
    endings: dict[str, int] = field(default_factory=dict)
    ending_residual: int = 0
    midstream: dict[str, int] = field(default_factory=dict)
    synack_only: int = 0
    strays: int = 0

    @property
    def sessions(self) -> int:
        """Rows that are sessions: all but strays."""
        return self.attempts + self.synack_only + sum(self.midstream.values())


@dataclass(frozen=True, slots=True)
class Waiting:
    """Sessions that wait for an end that has not come: half-closed or half-open ones.

    Attributes:
        ages: Nanoseconds from when the waiting began to the end of the capture.
        oldest: Those that wait longest: session_id, both ends, since_ns, and the age.
    """

    ages: Percentiles = field(default_factory=Percentiles)
    oldest: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """The overview of some sessions.

    Attributes:
        ledger: How attempts came out.
        closers: For established and midstream sessions, ending -> first closer -> sessions.
        resets: When -> who sent the first RST -> what it cost -> sessions.
        rst_packets: RST packets in sessions, by sender.
        causes: Sessions by verdict, strays left out.
        harmed: Of these, sessions whose ending cost something.
        harms: Sessions by harm, strays left out.
        observed: Sessions by how much of them was seen, strays left out.
        half_closed: Sessions half-closed at the end.
        half_open: Sessions half-open at the end.
        handshakes: `ct_ns`, `syn_to_synack_ns`, `synack_to_ack_ns` of completed handshakes.
        half_close_ns: How long sessions were half-closed, those that were.
        half_close_used: Sessions that sent data the other way while half-closed.
        half_close_exposed: Of these, sessions half-closed for 1 s or longer: a short Half Closed timer cuts them.
        bytes: Payload by sender.
        servers: By server address and port.
        clients: By client address.
        troubled: The servers and clients to name in findings, by measure.
        first_ns: Start of the first session.
        last_ns: End of the capture: of the last packet known.
    """

    ledger: Ledger = field(default_factory=Ledger)
    closers: dict[str, dict[str, int]] = field(default_factory=dict)
    resets: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    rst_packets: dict[str, int] = field(default_factory=dict)
    causes: dict[str, int] = field(default_factory=dict)
    harmed: dict[str, int] = field(default_factory=dict)
    harms: dict[str, int] = field(default_factory=dict)
    observed: dict[str, int] = field(default_factory=dict)
    half_closed: Waiting = field(default_factory=Waiting)
    half_open: Waiting = field(default_factory=Waiting)
    handshakes: dict[str, Percentiles] = field(default_factory=dict)
    half_close_ns: Percentiles = field(default_factory=Percentiles)
    half_close_used: int = 0
    half_close_exposed: int = 0
    bytes: dict[str, int] = field(default_factory=dict)
    servers: Top = field(default_factory=Top)
    clients: Top = field(default_factory=Top)
    troubled: dict[str, Top] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the overview as JSON values: addresses as text, everything else as it is."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        plain["ledger"]["sessions"] = self.ledger.sessions
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return format_address(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
