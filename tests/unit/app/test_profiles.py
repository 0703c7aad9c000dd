"""Profiles are found by name or path, based on each other, and refused with their places."""

from __future__ import annotations

from pathlib import Path

import pytest

from lastack.app.policies import check_policy, load_policy
from lastack.app.profiles import all_profiles, check_profile, load_profile, own_profiles, profile_names
from lastack.firewall.profile import single_readings
from lastack.firewall.schema import parse_profile
from lastack.firewall.settings import with_settings
from lastack.model.errors import InputError, UsageError


@pytest.mark.parametrize("name", profile_names())
def test_shipped_profile__is_right_in_every_reading_and_switch(name: str) -> None:
    profile = load_profile(name)
    assert parse_profile(profile.document, name)[1] == []
    for readings in single_readings(profile.forks):
        assert load_profile(name, readings).readings == readings
    for switch in profile.switches:
        assert load_profile(name, {}, {switch.name: not switch.default}) != profile


def test_profiles__have_sources_and_unlike_names() -> None:
    assert all(profile.sources and profile.title for profile in all_profiles())
    assert len({profile.title for profile in all_profiles()}) == len(profile_names())


def test_name__that_is_unknown_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no profile is called 'pnaos': did you mean panos\?"):
        load_profile("pnaos")


def written(folder: Path, text: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_own_profile__is_laid_over_a_shipped_one(tmp_path: Path) -> None:
    path = written(tmp_path, 'base = "panos"\ntitle = "Ours"\n[timers.tcp_half_closed]\nseconds = 60\n')
    profile = load_profile(path)
    assert (profile.name, profile.title) == ("mine", "Ours")
    assert profile.timers["tcp_half_closed"].ns == 60 * 10**9
    assert profile.timers["tcp_half_closed"].maximum_ns == 604_800 * 10**9


def test_own_profile__may_have_a_base_beside_it(tmp_path: Path) -> None:
    written(tmp_path, 'base = "panos"\ntitle = "First"\n', "first.toml")
    assert load_profile(written(tmp_path, 'base = "first.toml"\ntitle = "Second"\n')).title == "Second"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "pnaos"', "mine.toml:1: base: no profile is called 'pnaos'; did you mean panos?"),
        ("base = 3", "base: no profile is called 3; write the name of a profile"),
        ('base = "mine.toml"', "base: profiles are based on each other without end"),
        ("schema = = 1", "mine.toml: not TOML: Invalid value"),
        (
            'base = "panos"\n[timers.tcp]\nseconds = "x"',
            "mine.toml:3: timers.tcp.seconds: 'x' is not a duration",
        ),
    ],
)
def test_own_profile__that_is_wrong_is_refused_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_profile(written(tmp_path, text))
    assert message in str(caught.value)


def test_file__that_cannot_be_a_profile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"a = \xff")
    for name, message in (
        ("missing.toml", "No such file"),
        ("binary.toml", "byte 4 is not UTF-8"),
        (".", "directory"),
    ):
        with pytest.raises(InputError, match=message):
            check_profile(str(tmp_path / name))


def test_policy__reads_its_profile_and_applications_from_beside_it(tmp_path: Path) -> None:
    written(tmp_path, 'base = "panos"\ntitle = "Ours"\n', "box.toml")
    written(tmp_path, "[apps.sync]\nports = 873\n[colours]\nred = 1\n", "apps.toml")
    path = written(
        tmp_path,
        'profile = "./box.toml"\napplications = "apps.toml"\n[[override]]\napp = "sync"\ntimers.tcp = "2h"\n',
    )
    policy, profile = load_policy(path)
    assert profile.title == "Ours"
    assert policy.overrides[0].application.ports == ((873, 873),)
    assert load_profile(policy.profile) == profile, "found from any folder"
    more = with_settings(policy, profile, [], ["sync.half_closed=1h"])
    assert more.overrides[0].application == policy.overrides[0].application


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "profile: is missing"),
        ('profile = "pnaos"', "profile: no profile is called 'pnaos'"),
        (
            'profile = "panos"\n[timers]\n\nhalf_closed = 3\n',
            "mine.toml:4: timers.half_closed: 3 has no unit",
        ),
    ],
)
def test_policy__that_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_policy(written(tmp_path, text))
    assert message in str(caught.value)


def test_policy__warnings_are_told_under_the_key_that_the_file_has(tmp_path: Path) -> None:
    path = written(tmp_path, 'profile = "panos"\n[timers]\nhalf_closed = "30s"\ntime_wait = "1m"\n')
    candidate = check_policy(path)
    assert candidate.usable
    (warning,) = [p for p in candidate.problems if p.severity == "warning"]
    assert warning.text(path, candidate.source).startswith(f"{path}:4: timers.time_wait: 1 min is accepted")


def test_own_profiles__are_found_by_name_in_the_folders_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, 'base = "panos"\ntitle = "Ours"\n', "ours.toml")
    written(tmp_path, 'base = "checkpoint"\ntitle = "Not PAN-OS"\n', "panos.toml")
    monkeypatch.setenv("LASTACK_PROFILES", f"{tmp_path / 'missing'}:{tmp_path}")
    assert load_profile("ours").title == "Ours"
    assert load_profile("panos").title == "Palo Alto Networks PAN-OS, two closing timers"
    assert list(own_profiles()) == ["ours"]
    with pytest.raises(UsageError, match=r"did you mean ours\?"):
        load_profile("our")
