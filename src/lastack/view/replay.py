"""A replay for people and programs: what the box did to packets and sessions, and what hangs on open questions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from lastack.model.address import format_address
from lastack.model.units import format_duration, format_size
from lastack.replay.events import Broken, Replayed
from lastack.replay.forks import Difference
from lastack.replay.outcome import Action, Harm, Reason, Why
from lastack.view.cells import UNKNOWN, count, endpoint, instant, plural, share
from lastack.view.page import Page

OPEN_LOOP = (
    "Open loop: the packets are those of the capture; what the ends would have done instead is not simulated."
)
REASONS = {
    Reason.entry: "belong to an entry",
    Reason.made: "a SYN that made an entry",
    Reason.picked_up: "made an entry in mid-stream",
    Reason.adopted: "of a session that was under way when the capture began",
    Reason.restarted: "a SYN that began a new session on the tuple of an old entry",
    Reason.passed: "no entry, let pass",
    Reason.no_entry: "no entry (any more)",
    Reason.table_full: "no room in the table",
    Reason.rst_unbelieved: "a RST that the box does not believe",
    Reason.invalid: "out of the window or of any state (INVALID)",
}
HARMS = {
    Harm.data_lost: "payload did not arrive",
    Harm.close_lost: "a FIN or RST was lost: an end hangs in CLOSE_WAIT or FIN_WAIT_2",
    Harm.open_failed: "the handshake came too late, or the table was full",
    Harm.late_ack: "only a late ACK or a repeat was lost",
}
ENDS = {
    Why.open: "still there at the end",
    Why.expired: "expired",
    Why.restarted: "replaced by a new session on the same tuple",
    Why.evicted: "evicted, the table was full",
    Why.deleted: "deleted by a RST before any reply",
}
_ACTIONS = {Action.forward: "forwarded", Action.drop: "dropped", Action.reset: "answered with RST"}


def render(title: str, done: Replayed, forks: Sequence[Difference], packets: int, limit: int) -> str:
    """Return the page about one box.

    Args:
        title: Name of the box.
        done: What it did.
        forks: What other readings change.
        packets: Packets of the captures.
        limit: Sessions listed at most.
    """
    page = Page()
    page.heading(
        f"What {title} would have done", f"{plural(done.sessions, 'session')}, {plural(packets, 'packet')}"
    )
    page.say(OPEN_LOOP, style="dim")
    total = sum(done.answers.values())
    page.heading("TCP segments", count(total))
    rows = [
        [_ACTIONS[Action(action)], count(number), share(number, total), REASONS[Reason(reason)]]
        for (action, reason), number in sorted(done.answers.items())
    ]
    page.grid(rows, "lrrt")
    _broken(page, done, limit)
    crowd = done.crowd
    page.heading("Entries", f"{count(crowd.made)} made")
    page.say(
        f"mean {crowd.mean:,.1f}, 99 % of the time at most {crowd.p99:,}, peak {crowd.peak:,}"
        + (f" at {instant(crowd.peak_ns, digits=3)}" if crowd.made else "")
    )
    if crowd.made:
        page.say(f"An entry stood for {format_duration(round(crowd.held_s * 1e9))} on average.")
    page.grid([[count(number), ENDS[why]] for why, number in sorted(done.ends.items())], "rt")
    _forks(page, done, forks)
    return page.text()


def _broken(page: Page, done: Replayed, limit: int) -> None:
    page.heading("Sessions that break", f"{count(len(done.broken))} of {count(done.sessions)}")
    if not done.broken:
        page.say("None: every packet of every session found its entry.", style="good")
        return
    page.grid(
        [
            [harm.value.replace("_", " "), count(done.harms[harm]), text]
            for harm, text in HARMS.items()
            if done.harms[harm]
        ],
        "lrt",
    )
    page.say(f"Payload refused: {format_size(done.lost_bytes)}")
    rows = [_row(one) for one in done.broken[:limit]]
    heads = ["session", "client", "server", "harm", "after", "timer", "payload"]
    page.line()
    page.grid(rows, "llllllr", heads)
    if len(done.broken) > limit:
        page.say(f"and {count(len(done.broken) - limit)} more: --limit, --format csv")


def _row(one: Broken) -> list[str]:
    row = one.row
    late = format_duration(one.first_refused_ns - row["start_ns"])
    return [
        str(row["session_id"]),
        endpoint(row["client_ip"], row["client_port"]),
        endpoint(row["server_ip"], row["server_port"]),
        one.harm.value,
        f"{late}{'?' if one.uncertain else ''}",
        one.timer or one.why.name,
        format_size(sum(one.lost_bytes)) if sum(one.lost_bytes) else UNKNOWN,
    ]


def _forks(page: Page, done: Replayed, forks: Sequence[Difference]) -> None:
    if not forks:
        return
    page.heading("If an open question is answered otherwise")
    rows = [
        [
            one.name,
            count(one.broken),
            f"{count(one.only_here)} more, {count(one.only_assumed)} fewer"
            if one.differs
            else "the same sessions",
        ]
        for one in forks
    ]
    page.grid(rows, "lrl", ["reading", "break", ""])


def broken_record(one: Broken) -> dict[str, Any]:
    """Return a broken session as plain values, for JSON and CSV."""
    row = one.row
    return {
        "session_id": row["session_id"],
        "start_ns": row["start_ns"],
        "client_ip": format_address(row["client_ip"]),
        "client_port": row["client_port"],
        "server_ip": format_address(row["server_ip"]),
        "server_port": row["server_port"],
        "opening": row["opening"],
        "ending": row["ending"],
        "first_packet": row["first_packet"],
        "harm": one.harm.value,
        "broken_ns": one.broken_ns,
        "state": one.state,
        "timer": one.timer,
        "why": one.why.name,
        "app": one.app,
        "first_refused_packet": one.first_refused,
        "first_refused_ns": one.first_refused_ns,
        "refused_clt": one.refused[0],
        "refused_srv": one.refused[1],
        "lost_bytes_clt": one.lost_bytes[0],
        "lost_bytes_srv": one.lost_bytes[1],
        "uncertain": one.uncertain,
    }


def as_json(name: str, done: Replayed, forks: Sequence[Difference], packets: int) -> dict[str, Any]:
    """Return everything as one JSON document."""
    crowd = done.crowd
    return {
        "box": name,
        "open_loop": OPEN_LOOP,
        "packets": packets,
        "sessions": done.sessions,
        "segments": [
            {"action": Action(action).name, "reason": Reason(reason).name, "count": number}
            for (action, reason), number in sorted(done.answers.items())
        ],
        "entries": {
            "made": crowd.made, "mean": crowd.mean, "p99": crowd.p99, "peak": crowd.peak, "peak_ns": crowd.peak_ns,
            "held_s": crowd.held_s, "ends": {why.name: number for why, number in sorted(done.ends.items())},
        },
        "broken": {"total": len(done.broken), **{harm.value: done.harms[harm] for harm in HARMS}},
        "lost_bytes": done.lost_bytes,
        "sessions_broken": [broken_record(one) for one in done.broken],
        "forks": [
            {
                "reading": one.name, "broken": one.broken, "only_here": one.only_here,
                "only_assumed": one.only_assumed, "differs": one.differs,
            }
            for one in forks
        ],
    }  # fmt: skip


def as_lines(done: Replayed, form: str) -> str:
    """Return the broken sessions as `csv` or `jsonl`."""
    records = [broken_record(one) for one in done.broken]
    out = io.StringIO()
    if form == "jsonl":
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    elif records:
        writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return out.getvalue()
