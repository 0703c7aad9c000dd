"""The path test against a real Linux NAT between real kernel stacks: its timers are found, and no others."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lastack.lab.netns import missing
from lastack.lab.topology import Lab

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "labs can be built"),
]
COMMAND = [sys.executable, "-m", "lastack.cli.main", "probe"]


def probe(lab: Lab, *options: str) -> tuple[int, dict[str, object]]:
    responder = lab.server.popen([*COMMAND, "responder", "-q"], stdout=subprocess.PIPE)
    assert responder.stdout is not None
    port = responder.stdout.readline().strip()
    done = lab.client.run(
        [*COMMAND, "path", lab.server.address(), "-p", port, "--format", "json", *options], check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("expired", ["silent", "reset"])
def test_linux_nat__timers_and_expiry_are_found(expired: str) -> None:
    timers = {"half_closed": 1, "established": 2}
    with Lab("nat", timers=timers, expired=expired) as lab:
        code, answer = probe(
            lab, "--longest", "3s", "-n", "240", "--require", "half-close>=500ms", "--require", "idle>=5s",
            "--shortest", "200ms",
        )  # fmt: skip
    assert code == 1
    assert answer["address_translated"] is True
    assert [one["holds"] for one in answer["required"]] == [True, False]  # type: ignore[attr-defined,index]
    for finding in answer["findings"]:  # type: ignore[attr-defined]
        seconds = 1 if finding["name"].startswith("half_close") else 2
        assert finding["kind"] == "idle", finding
        assert finding["expiry"] == ("silent" if expired == "silent" else "reset_sender"), finding
        # conntrack's clock ticks every 1/HZ; a loaded machine adds its lateness
        assert abs(finding["kept_up_to_ns"] / 1e9 - seconds) < 0.1, finding
        assert abs(finding["broken_from_ns"] / 1e9 - seconds) < 0.1, finding


def test_direct__has_no_timer_and_no_translator() -> None:
    with Lab("direct") as lab:
        code, answer = probe(lab, "--longest", "1500ms", "-n", "120", "--require", "half-close>=1s", "-4")
    assert code == 0
    assert answer["address_translated"] is False
    assert all(finding["broken_from_ns"] is None for finding in answer["findings"])  # type: ignore[attr-defined]
    assert all(one["outcome"] == "works" for one in answer["reuse"])  # type: ignore[attr-defined]
