"""What stands out of an overview, as sentences, each with the filter that leads to its sessions.

A finding is made of counts, never of a guess about intent: it says what was seen, how much of it, and what such a
picture usually means. A RST alone is no finding; most are harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lastack.model.address import format_address
from lastack.model.units import NS_PER_S, format_duration
from lastack.query.overview import Overview
from lastack.query.top import TopRow
from lastack.view.cells import endpoint, plural, share

_NAMED = 3  # servers named for each kind of trouble


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence.

    Attributes:
        text: The sentence, and what it usually means.
        where: Filter of the sessions it is about, empty if there is none.
        weight: Sessions it is about; the heaviest comes first.
    """

    text: str
    where: str
    weight: float


def findings_of(overview: Overview, most: int = 8) -> list[Finding]:
    """Return what stands out, heaviest first; an empty list if nothing does."""
    found = [finding for rule in _RULES for finding in rule(overview)]
    return sorted(found, key=lambda finding: -finding.weight)[:most]


def _refused(overview: Overview) -> Iterator[Finding]:
    for row, server, where in _servers(overview, "refused"):
        yield Finding(
            f"{_part(row, 'refused', 'attempts')} attempts to connect to {server} were refused: "
            "nobody listens there, or a firewall rejects",
            f"{where} and opening in {{refused, refused_icmp}}",
            _weight(row, "refused", "attempts"),
        )


def _unanswered(overview: Overview) -> Iterator[Finding]:
    for row, server, where in _servers(overview, "unanswered"):
        yield Finding(
            f"{_part(row, 'unanswered', 'attempts')} attempts to connect to {server} got no answer: "
            "the host is down, or a firewall drops",
            f"{where} and opening = unanswered",
            _weight(row, "unanswered", "attempts"),
        )


def _half_open(overview: Overview) -> Iterator[Finding]:
    for row, server, where in _servers(overview, "half_open"):
        yield Finding(
            f"{_part(row, 'half_open', 'attempts')} handshakes with {server} were never completed by the "
            "client: a SYN flood, a monitor, or lost ACKs",
            f"{where} and opening = half_open",
            _weight(row, "half_open", "attempts"),
        )


def _broken(overview: Overview) -> Iterator[Finding]:
    for row, server, where in _servers(overview, "broken"):
        lost = row.sums["harmed"]
        cost = f"; {plural(lost, 'session')} with {server} took harm" if lost else ""
        yield Finding(
            f"{_part(row, 'broken', 'sessions')} sessions with {server} were ended by a RST before both ends "
            f"had closed{cost}",
            f"{where} and ending in {{rst, fin_rst}} and harm != none",
            _weight(row, "broken", "sessions"),
        )


def _scanning(overview: Overview) -> Iterator[Finding]:
    for row in _scanners(overview):
        client = format_address(row.key[0])
        yield Finding(
            f"{_part(row, 'failed', 'attempts')} attempts of {client} failed: a scan, or a client that is "
            "configured wrongly",
            f"client.ip = {client} and ct.count = 0",
            row.sums["failed"] * 1.1,  # before the servers that it tried
        )


def _lost(overview: Overview) -> Iterator[Finding]:
    kinds = {
        "data_lost": ("may have lost data when it ended", "may have lost data when they ended"),
        "stalled": ("stalled: one end was not heard of again",) * 2,
        "close_lost": (
            "never completed its close: an end may still hold the connection",
            "never completed their close: an end may still hold the connection",
        ),
    }
    for harm, (one, many) in kinds.items():
        if number := overview.harms.get(harm, 0):
            text = one if number == 1 else many
            yield Finding(f"{plural(number, 'session')} {text}", f"harm = {harm}", number)


def _blamed(overview: Overview) -> Iterator[Finding]:
    """Yield the causes that somebody has to look after: they name a box, a flood, or an earlier session."""
    kinds = {
        "injected_reset": "{ended} by a RST that does not fit the end it claims to be from, consistent with a box in "
        "the path that made it",
        "middlebox_half_closed_timeout": "{look} cut while half-closed, as a firewall's Half Closed timer does",
        "middlebox_idle_timeout": "{look} cut after a silence, as an idle timer of a firewall or NAT does",
        "port_reuse_conflict": "did not open because the server still held an earlier session on the same ports",
        "syn_flood": "{are} of many clients at once: a SYN flood, or answers that do not arrive",
        "peer_lost_state": "met an end that had forgotten {them}: a crash, a restart, or an address that moved",
    }
    for name, text in kinds.items():
        if number := overview.causes.get(name, 0):
            said = text.format(**(_ONE if number == 1 else _MANY))
            yield Finding(f"{plural(number, 'session')} {said}", f"cause = {name}", number * 1.2)


_ONE = {"ended": "was ended", "look": "looks", "are": "is a half-open attempt", "them": "it"}
_MANY = {"ended": "were ended", "look": "look", "are": "are half-open attempts", "them": "them"}


def _waiting(overview: Overview) -> Iterator[Finding]:
    ages = overview.half_closed.ages
    if ages.count and ages.maximum is not None:
        oldest = "the oldest " if ages.count > 1 else ""
        yield Finding(
            f"{plural(ages.count, 'session is', 'sessions are')} half-closed when the capture ends, {oldest}"
            f"for {format_duration(ages.maximum)}: one end has not closed, or its FIN was lost",
            "ending = half_closed",
            ages.count,
        )
    if number := overview.half_close_exposed:
        them = "it" if number == 1 else "them"
        yield Finding(
            f"{plural(number, 'session')} sent data the other way while half-closed for 1 s or longer: a "
            f"firewall with a short Half Closed timer would cut {them}",
            "half_closed_bytes > 0 and half_closed >= 1s",
            number / 2,
        )


def _slow(overview: Overview) -> Iterator[Finding]:
    times = overview.handshakes.get("ct_ns")
    if times is not None and times.p99 is not None and times.p99 >= NS_PER_S:
        yield Finding(
            f"1 handshake in 100 takes {format_duration(times.p99)} or more (median "
            f"{format_duration(times.p50 or 0)}): SYNs or SYN-ACKs are lost and sent again",
            "ct >= 1s",
            times.count / 100,
        )


def _seen(overview: Overview) -> Iterator[Finding]:
    sessions = overview.ledger.sessions
    kinds = {
        "one_way": (0.05, "were seen in one direction only: check the SPAN port or the asymmetric path"),
        "lossy": (0.02, "have packets missing from the capture: counts and verdicts of these are weaker"),
        "evicted": (0.0, "left the table early because it was full: a larger --max-sessions keeps them"),
    }
    for name, (floor, text) in kinds.items():
        number = overview.observed.get(name, 0)
        if number and number > floor * sessions:
            part = f"{number:,} of {plural(sessions, 'session')} ({share(number, sessions)})"
            yield Finding(f"{part} {text}", f"observed = {name}", number / 2)


_RULES: tuple[Callable[[Overview], Iterator[Finding]], ...] = (
    _refused,
    _unanswered,
    _half_open,
    _broken,
    _scanning,
    _blamed,
    _lost,
    _waiting,
    _slow,
    _seen,
)


def _scanners(overview: Overview) -> list[TopRow]:
    rows = overview.troubled["clients.failed"].rows if "clients.failed" in overview.troubled else ()
    return [
        row for row in rows if row.sums["failed"] >= 20 and row.sums["failed"] >= 0.8 * row.sums["attempts"]
    ]


def _servers(overview: Overview, measure: str) -> Iterator[tuple[TopRow, str, str]]:
    """Yield the servers that a kind of trouble is worth naming for: often, or in a good part of their sessions."""
    top = overview.troubled.get(f"servers.{measure}")
    if top is None:
        return
    scanned = sum(row.sums["failed"] for row in _scanners(overview)) > 0.5 * top.total.get("failed", 0)
    named = 0
    for row in top.rows:
        number = row.sums[measure]
        whole = row.sums["sessions" if measure == "broken" else "attempts"]
        if number == 0 or named == _NAMED:
            return
        if scanned and number < 5:  # one client tried many doors: that client is the finding
            continue
        # One failure of one attempt is an event, not a pattern; the ledger has it.
        if number > 1 and (number >= 50 or number >= 0.02 * whole):
            named += 1
            address, port = row.key
            text = format_address(address)
            yield row, endpoint(address, port), f"server.ip = {text} and server.port = {port}"


def _weight(row: TopRow, measure: str, whole: str) -> float:
    """Return the sessions concerned; more when they are all of them than when they are a few of many."""
    return row.sums[measure] * (0.5 + row.sums[measure] / row.sums[whole])


def _part(row: TopRow, measure: str, whole: str) -> str:
    number, total = row.sums[measure], row.sums[whole]
    return f"All {number:,}" if number == total else f"{number:,} of {total:,}"
