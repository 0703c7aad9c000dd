"""Alert rules: they fire once, hold, end beyond the second threshold, and are silent on too little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lastack.app.alerts import Alert, Alerts
from lastack.app.watch_options import WatchOptions, load_settings, with_values
from lastack.model.errors import InputError
from lastack.model.units import NS_PER_S

RULE = """
[watch]
roll = "2s"
half_closed_idle = "2h"
keep_age = "1d"
keep_size = "1GiB"
[[alert]]
name = "resets"
metric = "rst.srv/connection"
filter = "server.port = 443"
above = 0.2
clear = 0.1
minimum = 10
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "watch.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def rule(tmp_path: Path) -> Alert:
    _, (one,) = load_settings(written(tmp_path, RULE))
    return one


def test_alert__fires_above_and_ends_only_below_the_second_threshold(tmp_path: Path) -> None:
    alerts, one = Alerts(), rule(tmp_path)
    steps = [(0.1, None), (0.3, True), (0.4, None), (0.15, None), (0.25, None), (0.1, False), (0.15, None)]
    for now, (value, change) in enumerate(steps):
        state = alerts.judge(one, value, 100, now)
        assert (None if state is None else state.firing) is change, (now, value)
    assert alerts.states["resets"].since_ns == 5


def test_alert__too_few_sessions_are_neither_good_nor_bad_news(tmp_path: Path) -> None:
    alerts, one = Alerts(), rule(tmp_path)
    assert alerts.judge(one, 0.9, 9, 0) is None
    assert alerts.judge(one, None, 0, 0) is None
    assert alerts.judge(one, 0.9, 10, 1) is not None
    assert alerts.judge(one, 0.0, 9, 2) is None
    assert alerts.states["resets"].firing


def test_alert__must_hold_for_some_evaluations_in_a_row(tmp_path: Path) -> None:
    alerts, one = Alerts(), replace(rule(tmp_path), times=3)
    changes = [alerts.judge(one, value, 50, 0) for value in (0.3, 0.3, 0.1, 0.3, 0.3, 0.3)]
    assert [change is not None for change in changes] == [False] * 5 + [True]


def test_alert__rests_after_its_end_and_fires_then_if_it_is_still_bad(tmp_path: Path) -> None:
    alerts, one = Alerts(), replace(rule(tmp_path), cooldown_ns=10)
    steps = [
        (1, 0.3, True),
        (2, 0.0, False),
        (3, 0.9, None),
        (11, 0.9, None),
        (12, 0.9, True),
        (13, 0.0, False),
    ]
    for now, value, change in steps:
        state = alerts.judge(one, value, 100, now)
        assert (None if state is None else state.firing) is change, now


def test_alert__below_works_the_other_way(tmp_path: Path) -> None:
    text = '[[alert]]\nname="few"\nmetric="sessions"\nbelow=5\nclear=8\nminimum=1\n'
    _, (one,) = load_settings(written(tmp_path, text))
    alerts = Alerts()
    changes = [alerts.judge(one, value, 50, 0) for value in (5, 4, 7, 8)]
    assert [None if change is None else change.firing for change in changes] == [None, True, None, False]


def test_settings__durations_and_sizes_go_to_their_places(tmp_path: Path) -> None:
    values, _ = load_settings(written(tmp_path, RULE))
    options = with_values(with_values(WatchOptions(), values), {"roll": None, "closed_linger": 7})
    assert options.roll_ns == 2 * NS_PER_S
    assert (options.timeouts.half_closed_ns, options.timeouts.closed_ns) == (7200 * NS_PER_S, 7)
    assert (options.retention.age_s, options.retention.size) == (86_400, 1 << 30)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[watch]\nrol = 1\n", "watch.rol: no such key"),
        ('[watch]\nroll = "soon"\n', "watch.roll: "),
        ("[watch]\nroll_rows = 0\n", "watch.roll_rows: write a number"),
        ("[alerts]\n", "[alerts]: no such table"),
        ('[[alert]]\nname="x"\nmetric="sessions"\n', "alert 1: give either above or below"),
        ('[[alert]]\nname="x"\nmetric="nonsense"\nabove=1\n', "alert 1.metric: "),
        ('[[alert]]\nname="x"\nmetric="sessions"\nfilter="a ="\nabove=1\n', "alert 1.filter: "),
        ('[[alert]]\nname="x"\nmetric="sessions"\nabove=1\nclear=2\n', "alert 1.clear: lies on the wrong side"),
        ('[[alert]]\nname="x"\nmetric="sessions"\nabove=1\nwebhook="ftp://x"\n', "alert 1.webhook: must begin"),
        ('[[alert]]\nname="x"\nmetric="sessions"\nabove=1\ncooldown="soon"\n', "alert 1.cooldown: "),
        ("[watch\n", "watch.toml: "),
    ],
)  # fmt: skip
def test_settings__mistakes_are_told_with_their_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InputError) as error:
        load_settings(written(tmp_path, text))
    assert place in str(error.value)


def test_alerts__a_reload_keeps_the_state_of_rules_that_stay(tmp_path: Path) -> None:
    one = rule(tmp_path)
    alerts = Alerts((one,))
    alerts.judge(one, 0.9, 50, 1)
    alerts.reload((replace(one, threshold=0.5),))
    assert alerts.states["resets"].firing
    alerts.reload(())
    assert alerts.states == {}
