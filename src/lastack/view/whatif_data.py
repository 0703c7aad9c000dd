"""A what-if for programs: JSON of the answers, CSV of sweeps, one record for each session that breaks."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

from lastack.firewall.policy import effective
from lastack.model.address import format_address
from lastack.model.enums import EndpointState
from lastack.replay.detail import STATES, Broken, Detail
from lastack.replay.harm import Loss
from lastack.replay.load import Load
from lastack.replay.scenario import Answer, Whatif

SWEEP_HEAD = (
    "seconds", "broken_least", "broken_most", *(loss.name for loss in Loss if loss is not Loss.none),
    "lost_bytes_least", "lost_bytes_most", "mean_entries", "p99_entries", "peak_entries", "little_entries",
)  # fmt: skip


def sweep_rows(answer: Answer) -> Iterator[tuple[float, ...]]:
    """Yield one row of `SWEEP_HEAD` for each setting; seconds are 0 when nothing is swept."""
    out = answer.outcome
    p99, peak, little = out.p99_entries, out.peak_entries, out.little_entries
    mean = out.mean_entries
    for j, ns in enumerate(answer.scenario.settings or (0,)):
        yield (
            ns / 1e9,
            int(out.broken_least[:, j].sum()),
            int(out.broken_most[:, j].sum()),
            *(int(out.losses[loss, j]) for loss in Loss if loss is not Loss.none),
            int(out.lost_least[:, j].sum()),
            int(out.lost_most[:, j].sum()),
            *(_round(float(curve[j])) for curve in (mean, p99, peak, little)),
        )


def _round(value: float) -> float:
    return round(value, 3) if math.isfinite(value) else value


def sweep_csv(answer: Answer) -> str:
    """Return a sweep as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SWEEP_HEAD)
    writer.writerows(sweep_rows(answer))
    return out.getvalue()


def answer_json(answer: Answer) -> dict[str, Any]:
    """Return one answer as JSON values."""
    out, one = answer.outcome, answer.scenario
    rows = [dict(zip(SWEEP_HEAD, _finite(row), strict=True)) for row in sweep_rows(answer)]
    if not one.settings:
        del rows[0]["seconds"]
    values = effective(one.profile, one.policy)
    return {
        "name": one.name,
        "profile": one.profile.name,
        "swept": one.swept or None,
        "timers_s": {name: None if v.ns is None else v.ns / 1e9 for name, v in values.items()},
        "sessions": int(out.sessions.sum()),
        "arrivals_per_s": round(out.arrivals_per_s, 6),
        "entries_counted": out.counted,
        "settings": rows,
        "by_application": [
            {
                "application": name,
                "sessions": int(out.sessions[g]),
                "broken_least": out.broken_least[g].tolist(),
                "broken_most": out.broken_most[g].tolist(),
                "lost_bytes_least": out.lost_least[g].tolist(),
                "lost_bytes_most": out.lost_most[g].tolist(),
                "mean_entries": [round(v, 3) for v in (out.area_s[g] / out.window.seconds).tolist()],
            }
            for g, name in enumerate(answer.groups)
        ],
        "not_exact": list(answer.why),
    }


def _finite(row: tuple[float, ...]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in row]


def whatif_json(whole: Whatif) -> dict[str, Any]:
    """Return all answers as JSON values."""
    return {
        "window": {"since_ns": whole.window.since_ns, "until_ns": whole.window.until_ns},
        "odd_sessions": whole.odd,
        "answers": [answer_json(answer) for answer in whole.answers],
        "notes": whole.notes,
    }


def detail_json(detail: Detail) -> dict[str, Any]:
    """Return what is known session by session, without the list."""
    seconds = detail.window.seconds
    return {
        "sessions": detail.sessions,
        "exact": detail.exact,
        "broken": detail.total,
        "mean_entries_by_state": {
            name: round(s / seconds, 6) for name, s in zip(STATES, detail.state_s.tolist(), strict=True)
        },
    }


def load_json(found: Load) -> dict[str, Any]:
    """Return a load as JSON values."""
    return {
        "table_size": found.size or None,
        "offered_entries": found.offered if math.isfinite(found.offered) else None,
        "settles_at": found.settles if math.isfinite(found.settles) else None,
        "seconds_to_full": found.seconds_to_full,
        "refused_share": round(found.refused, 6),
        "timer_factor": found.factor,
    }


def broken_record(one: Broken, ends: dict[str, Any]) -> dict[str, Any]:
    """Return one session that breaks as a flat record."""
    known = {
        name: format_address(value) if name in ("client_ip", "server_ip") else value
        for name, value in ends.items()
        if name != "session_id"
    }
    hangs = ["" if state == EndpointState.UNKNOWN else state.name for state in one.hangs]
    return {
        "session_id": one.session_id,
        **known,
        "surely": one.surely,
        "exact": one.exact,
        "forgotten_ns": one.forgotten_ns,
        "stage": one.stage.name,
        "loss": one.loss.name,
        "lost_bytes_clt": one.lost_bytes[0],
        "lost_bytes_srv": one.lost_bytes[1],
        "lost_bytes_clt_most": one.lost_bytes_most[0],
        "lost_bytes_srv_most": one.lost_bytes_most[1],
        "hangs_clt": hangs[0],
        "hangs_srv": hangs[1],
    }
