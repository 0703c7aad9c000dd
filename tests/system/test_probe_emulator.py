"""The path test through emulated boxes: it finds the timer that the profile has, and its kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.system.test_probe_path import COMMAND, probe

from lastack.lab.netns import missing
from lastack.lab.topology import Lab

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "labs can be built"),
]


@pytest.mark.parametrize(
    ("profile", "speed", "kind"), [("panos_legacy", 20, "absolute"), ("fortigate", 80, "idle")]
)
def test_profile__is_found_from_outside(profile: str, speed: int, kind: str, tmp_path: Path) -> None:
    # 30 s and 120 s, so that much faster
    box = [*COMMAND[:-1], "emulate", "--profile", profile, "--speed", str(speed), "--config", "none"]
    with Lab("emulator") as lab:
        log = (tmp_path / "box.log").open("wb")
        with log:
            lab.box.popen([*box, "--inside", "inside", "--outside", "outside"], stderr=log)
            lab.await_box()
            _, answer = probe(
                lab, "--only", "half-close", "--shortest", "300ms", "--longest", "3s", "-n", "160", "--no-reuse",
            )  # fmt: skip
    for finding in answer["findings"]:  # type: ignore[attr-defined]
        assert finding["kind"] == kind, finding
        assert finding["expiry"] == "silent", finding
        assert abs(finding["kept_up_to_ns"] / 1e9 - 1.5) < 0.15, finding
        assert abs(finding["broken_from_ns"] / 1e9 - 1.5) < 0.15, finding
