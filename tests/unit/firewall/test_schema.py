"""A profile's document is taken as it is or refused with the key path, the mistake and what to do."""

from __future__ import annotations

import pytest
from tests.unit.firewall.own import BOX, box, document, problems

from lastack.firewall.problems import Problem, Severity, line_of
from lastack.firewall.profile import all_readings, single_readings
from lastack.firewall.schema import changed, merged, parse_profile, turned
from lastack.firewall.words import Mode, OnExpiry, Phase, RefreshBy
from lastack.model.errors import UsageError

FORK = """
[[forks]]
name = "refresh"
question = "Idle?"
[[forks.readings]]
name = "absolute"
[[forks.readings]]
name = "idle"
[forks.readings.changes]
"timers.half.mode" = "idle"
[switches.loud]
vendor_name = "send-rst"
[switches.loud.changes]
on_expiry = "rst_both"
"""


def test_profile__that_is_right_has_no_problem() -> None:
    profile = box()
    assert profile.timers["half"].ns == 120 * 10**9
    assert profile.timers["open"].refresh_by is RefreshBy.any
    assert profile.timers["half"].refresh_by is RefreshBy.none
    assert profile.phases[Phase.unreplied].client == "open"
    assert profile.phases[Phase.rst_unverified].client == "wait"
    assert profile.timers["half"].phases == ("fin1", "fin1_acked")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema: is not a schema that this version reads; write schema = 1"),
        ("title =", "titel =", "title: is missing: a text"),
        ("title =", "titel =", "titel: no such key; did you mean title?"),
        ('"firewall"', '"firewal"', "kind: 'firewal' is not one of its words; did you mean firewall?"),
        ("seconds = 120", 'seconds = "two"',
         "timers.half.seconds: 'two' is not a duration: give numbers with units, such as 30s, 250ms or 2h4m"),
        ("seconds = 120", "seconds = true", "timers.half.seconds: must be a number of seconds, not True"),
        ("seconds = 120", "seconds = -1", 'timers.half.seconds: -1 is out of range; give 0 to 146 years, or "never"'),
        ("seconds = 120", "seconds = 1200", "timers.half.seconds: 20 min is outside of 1 s to 10 min"),
        ("min = 60", "min = 90000", "timers.open.min: 90000 s is above max, 86400 s"),
        ('fin1 = "half"', 'fin1 = "hlaf"', "phases.fin1: no timer is called 'hlaf'; did you mean half?"),
        ('fin1 = "half"', "fin1 = 3", "phases.fin1: must be a text, not 3"),
        ('fin2 = "wait"\n', "",
         'phases.fin2: no timer runs in this phase; write fin2 = "NAME" with the name of a timer'),
        ('fin1 = "half"', 'fin_1 = "half"', "phases.fin_1: no such phase; did you mean fin1?"),
        ('"window"', '"window_then_exact"',
         "phases.rst_unverified: no timer runs in this phase, and rst_check is window_then_exact"),
        ('data = "drop"', 'data = "ignore"',
         "no_session.data: 'ignore' is not one of its words; known are drop, pass, recreate, rst"),
        ('mode = "absolute"', 'mode = "absolute"\nrefresh_by = "any"',
         'timers.half.refresh_by: an absolute timer is not restarted by packets; leave it out, or mode = "idle"'),
        ('"its manual"', "3", "sources: 3 is not a text"),
    ],
)  # fmt: skip
def test_profile__that_is_wrong_is_refused_with_place_and_remedy(old: str, new: str, message: str) -> None:
    assert message in problems(old, new)


def test_profile__tells_all_mistakes_at_once() -> None:
    assert len(problems('kind = "firewall"', 'kind = "x"\nconfidense = 1')) >= 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('[[clamps]]\ntimer = "wait"\nat_most = "hlf"',
         "clamps[1].at_most: no timer is called 'hlf'; did you mean half?"),
        ('[[transitions]]\nphase = "fin1"\nevent = "finn"\nto = "fin2"',
         "transitions[1].event: 'finn' is not one of its words; did you mean fin?"),
        (FORK.replace("timers.half.mode", "timers.hlf.mode"),
         "forks.refresh.idle: changes: timers.hlf.mode: the document has no hlf"),
        (FORK.replace('mode" = "idle"', 'mode" = "idel"'),
         "forks.refresh.idle: timers.half.mode: 'idel' is not one of its words; did you mean idle?"),
        (FORK.replace('"rst_both"', '"rst_bth"'),
         "switches.loud: on_expiry: 'rst_bth' is not one of its words; did you mean rst_both?"),
    ],
)  # fmt: skip
def test_profile__rules_and_readings_are_checked_as_strictly(more: str, message: str) -> None:
    assert message in problems(more=more)


def test_turned__takes_a_reading_and_a_switch() -> None:
    profile = box(more=FORK)
    assert profile.timers["half"].mode is Mode.absolute
    other = turned(profile, {"refresh": "idle"}, {"loud": True})
    assert other.timers["half"].mode is Mode.idle
    assert other.timers["half"].refresh_by is RefreshBy.any
    assert other.timers["half"].on_expiry is OnExpiry.rst_both
    assert other.readings == {"refresh": "idle"}
    assert turned(other, {"refresh": "absolute"}, {}) == profile


@pytest.mark.parametrize(
    ("readings", "switches", "message"),
    [
        ({"refrsh": "idle"}, {}, "box has no open question 'refrsh': did you mean refresh?"),
        ({"refresh": "idel"}, {}, "box: refresh: no reading is called 'idel': did you mean idle?"),
        ({}, {"lod": True}, "box has no switch 'lod': did you mean loud?"),
    ],
)
def test_turned__refuses_what_is_not_there(
    readings: dict[str, str], switches: dict[str, bool], message: str
) -> None:
    with pytest.raises(UsageError, match="^" + message.replace("?", r"\?") + "$"):
        turned(box(more=FORK), readings, switches)


def test_readings__assumed_first_then_each_other_alone() -> None:
    forks = box(more=FORK + FORK.partition("[switches")[0].replace('"refresh"', '"again"')).forks
    assert list(single_readings(forks)) == [
        {"refresh": "absolute", "again": "absolute"},
        {"refresh": "idle", "again": "absolute"},
        {"refresh": "absolute", "again": "idle"},
    ]
    assert len(list(all_readings(forks))) == 4


def test_merged__lays_tables_over_the_base() -> None:
    result = merged(document(), {"base": "box", "timers": {"half": {"seconds": 30}}, "title": "Mine"})
    profile, found = parse_profile(result, "mine")
    assert not found
    assert profile.timers["half"].ns == 30 * 10**9
    assert profile.timers["half"].vendor_name == "half-timer"
    assert (profile.title, profile.timers["open"].ns) == ("Mine", 3600 * 10**9)


def test_changed__leaves_the_document_alone() -> None:
    before = document()
    assert changed(before, {"timers.half.seconds": 1})["timers"]["half"]["seconds"] == 1
    assert before == document()


def test_line__is_that_of_the_key_or_of_its_table() -> None:
    assert BOX.splitlines()[line_of(BOX, "timers.half.seconds") - 1] == "seconds = 120"
    assert BOX.splitlines()[line_of(BOX, "timers.half.nothing") - 1] == "[timers.half]"
    text = '[[override]]\nports = 1\n[[override]]\ntimers.half = "1s"\n'
    assert line_of(text, "override[2].timers.half") == 4
    assert line_of(text, "nowhere") == 0


def test_problem__is_told_with_file_and_line() -> None:
    problem = Problem(Severity.error, "timers.half.seconds", "is odd", "change it")
    assert problem.text("box.toml", BOX).startswith("box.toml:20: timers.half.seconds: is odd; change it")


def test_effective__is_the_products_formula() -> None:
    formula = 'vendor_name = "half-timer"\neffective = [{ above = 60, minus = 60, times = 2 }]'
    timer = box('vendor_name = "half-timer"', formula).timers["half"]
    # measured on Linux 6.18: 5 -> 5, 61 -> 2, 70 -> 20, 120 -> 120 (tcp_fin_timeout)
    assert [timer.effective_ns(s * 10**9) // 10**9 for s in (5, 60, 61, 70, 120)] == [5, 60, 2, 20, 120]
