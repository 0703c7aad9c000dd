"""The path test through emulated boxes: it finds the timers that their profiles have, their kind, and what follows.

The boxes' clocks run so fast that a half-closed session lasts 1 s; what is expected is read from the profiles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from tests.system.probing import LASTACK, Answer, Scenario, near, probe, ran_at_once

from lastack.app.profiles import load_profile
from lastack.firewall.profile import Profile
from lastack.firewall.words import OnExpiry, Phase
from lastack.lab.netns import missing
from lastack.lab.topology import Lab
from lastack.lab.waiting import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "labs can be built"),
]
LASTS_S = 1.0
LONGEST_S = 1.8
#: Profile -> the phase whose timer is made to last `LASTS_S`, and the box's switches.
BOXES: dict[str, tuple[Phase, str]] = {
    "panos": (Phase.fin1_acked, ""),
    "panos_legacy": (Phase.fin1_acked, ""),
    "cisco_asa": (Phase.fin1_acked, ""),
    "linux_conntrack": (Phase.fin1_acked, "loose = false"),
    "fortigate": (Phase.fin1_acked, ""),
    "f5_fastl4": (Phase.fin1_acked, ""),
    "aws_nat_gateway": (Phase.fin1_acked, ""),
    "rfc5382": (Phase.closed, ""),
}
_PHASES = {
    "half_close": Phase.fin1_acked,
    "opening_syn": Phase.syn_sent,
    "opening_synack": Phase.syn_recv,
    "closed": Phase.closed,
}


def speed_of(name: str) -> float:
    timer = load_profile(name).timer_of(BOXES[name][0])
    assert timer is not None
    assert timer.ns is not None
    return timer.ns / 1e9 / LASTS_S


def run_box(name: str) -> Answer:
    with Lab("emulator") as lab:
        policy, log = lab.folder / "box.toml", lab.folder / "box.log"
        switches = BOXES[name][1]
        policy.write_text(f'profile = "{name}"\n' + (f"[switches]\n{switches}\n" if switches else ""))
        with log.open("wb") as stream:
            lab.box.popen(
                [*LASTACK, "emulate", "--policy", str(policy), "--speed", f"{speed_of(name):g}", "--config",
                 "none", "--inside", "inside", "--outside", "outside"],
                stderr=stream,
            )  # fmt: skip
        # its interfaces are taken before it is ready: kernels may have to be compiled first
        wait_until(lambda: b"Ctrl-C ends it" in log.read_bytes(), "the box", 90)
        return probe(
            lab, "--only", "half-close", "--only", "opening", "--only", "closed", "--shortest", "300ms",
            "--longest", f"{LONGEST_S}s", "-n", "160", "--no-reuse",
        )  # fmt: skip


SCENARIOS: dict[str, Scenario] = {name: lambda name=name: run_box(name) for name in BOXES}  # type: ignore[misc]


@pytest.fixture(scope="module")
def all_runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Answer]]]:
    yield from ran_at_once(request, SCENARIOS)


@pytest.mark.parametrize("ran", BOXES)
def test_profile__is_found_from_outside(ran: str, all_runs: dict[str, Future[Answer]]) -> None:
    _, answer = all_runs[ran].result()
    profile, speed = load_profile(ran), speed_of(ran)
    checked = [finding["name"] for finding in answer["findings"] if holds(finding, profile, speed)]
    assert any(name.startswith("half_close") for name in checked) == (ran != "rfc5382")
    if ran in ("panos_legacy", "rfc5382"):
        assert {"closed_data_client", "closed_fin_server"} <= set(checked)


def holds(finding: dict[str, Any], profile: Profile, speed: float) -> bool:
    """Hold a finding against the profile; return whether its timer lies where the test looks."""
    name = str(finding["name"])
    timer = profile.timer_of(_PHASES.get(name) or _PHASES[str(finding["topic"])])
    assert timer is not None
    assert timer.ns is not None
    seconds = timer.ns / 1e9 / speed
    if seconds > LONGEST_S * 1.1:
        assert finding["broken_from_ns"] is None, json.dumps(finding)
        assert finding["kind"] == "none", json.dumps(finding)
        return False
    if seconds < 0.5:
        return False
    near(finding, seconds)
    if not finding["raw"]:
        assert finding["kind"] == timer.mode.value, json.dumps(finding)
        sender_is_inside = name.endswith("server")
        expected = {
            OnExpiry.rst_both: "reset_at_expiry",
            # the inside's address is answered, who is outside meets silence
            OnExpiry.rst_on_next: "reset_sender" if sender_is_inside else "silent",
        }
        assert finding["expiry"] == expected.get(timer.on_expiry, "silent"), json.dumps(finding)
    return True
