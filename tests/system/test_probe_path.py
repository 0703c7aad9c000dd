"""The path test against real Linux boxes between real kernel stacks: their timers are found, and no others."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lastack.lab.netns import missing
from lastack.lab.topology import Lab

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "labs can be built"),
]
COMMAND = [sys.executable, "-m", "lastack.cli.main", "probe"]
#: Takes CAP_NET_RAW away from root.
WITHOUT_RAW = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]


def respond(lab: Lab, *options: str, before: Sequence[str] = ()) -> str:
    """Start a responder on the server and return its port."""
    responder = lab.server.popen([*before, *COMMAND, "responder", "-q", *options], stdout=subprocess.PIPE)
    assert responder.stdout is not None
    return str(responder.stdout.readline().strip())


def probe(
    lab: Lab, *options: str, responder: Sequence[str] = (), before: Sequence[str] = (), version: int = 4
) -> tuple[int, dict[str, Any]]:
    """Run a path test from the client to the server and return exit code and answer."""
    port = respond(lab, *responder)
    done = lab.client.run(
        [*before, *COMMAND, "path", lab.server.address(version), "-p", port, "--format", "json", *options],
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def near(finding: dict[str, Any], seconds: float) -> None:
    """Hold that a finding's bound is where it should be; a loaded machine adds its lateness."""
    assert finding["kept_up_to_ns"] is not None, finding
    assert finding["broken_from_ns"] is not None, finding
    assert abs(finding["kept_up_to_ns"] / 1e9 - seconds) < 0.15, finding
    assert abs(finding["broken_from_ns"] / 1e9 - seconds) < 0.15, finding


@pytest.mark.parametrize("expired", ["silent", "reset"])
def test_linux_nat__timers_and_expiry_are_found(expired: str) -> None:
    timers = {"half_closed": 1, "established": 2}
    with Lab("nat", timers=timers, expired=expired) as lab:
        code, answer = probe(
            lab, "--longest", "3s", "-n", "240", "--require", "half-close>=500ms", "--require", "idle>=5s",
            "--shortest", "200ms", "--no-raw", responder=["--allow-reverse"],
        )  # fmt: skip
    assert code == 1
    assert answer["address_translated"] is True
    assert [one["holds"] for one in answer["required"]] == [True, False]
    assert len(answer["findings"]) == 4
    for finding in answer["findings"]:
        assert finding["kind"] == "idle", finding
        assert finding["expiry"] == ("silent" if expired == "silent" else "reset_sender"), finding
        near(finding, 1 if finding["topic"] == "half_close" else 2)
    (untested,) = answer["not_tested"]
    assert untested["questions"][0] == "reverse_half_close_client"
    assert "cannot be opened from there" in untested["why"]


@pytest.mark.parametrize("version", [4, 6])
def test_linux_firewall__every_question_from_both_ends(version: int) -> None:
    timers = {"half_closed": 1, "established": 2, "syn_sent": 1, "syn_recv": 2, "time_wait": 2, "close": 1}
    seconds = {"half_close": 1, "idle": 2, "closed": 2, "reset": 1}
    with Lab("firewall", timers=timers) as lab:
        code, answer = probe(
            lab, "--longest", "3s", "-n", "320", "--shortest", "200ms", "--no-reuse", f"-{version}",
            responder=["--allow-reverse"], version=version,
        )  # fmt: skip
    assert code == 0
    assert answer["not_tested"] == []
    assert len(answer["findings"]) == 18
    for finding in answer["findings"]:
        topic = finding["topic"]
        near(finding, seconds[topic] if topic != "opening" else 1 if finding["name"] == "opening_syn" else 2)
        assert finding["expiry"] == "silent", finding
        assert finding["raw"] or finding["kind"] == "idle", finding
        assert finding["opened_by"] == ("responder" if finding["name"].startswith("reverse") else "here")


def test_nat_that_forwards_a_port__lets_the_other_end_open() -> None:
    with Lab("nat", timers={"half_closed": 1}, forwards=[7100]) as lab:
        _, answer = probe(
            lab, "--longest", "2s", "-n", "160", "--shortest", "200ms", "--no-raw", "--no-reuse", "--only",
            "half-close", "--reverse-port", "7100", responder=["--allow-reverse"],
        )  # fmt: skip
    assert [finding["opened_by"] for finding in answer["findings"]] == ["here"] * 2 + ["responder"] * 2
    for finding in answer["findings"]:
        near(finding, 1)


def test_direct__has_no_timer_and_no_translator_and_lacks_are_said() -> None:
    with Lab("direct") as lab:
        code, answer = probe(
            lab, "--longest", "1500ms", "-n", "120", "--require", "half-close>=1s", "-4", before=WITHOUT_RAW
        )
    assert code == 0
    assert answer["address_translated"] is False
    assert all(finding["broken_from_ns"] is None for finding in answer["findings"])
    assert all(one["outcome"] == "works" for one in answer["reuse"])
    reasons = [one["why"] for one in answer["not_tested"]]
    assert "this end needs CAP_NET_RAW" in reasons[0]
    assert "--allow-reverse" in reasons[1]


def test_a_stopped_run__shows_what_it_knows_and_goes_on(tmp_path: Path) -> None:
    state = str(tmp_path / "run.json")
    with Lab("nat", timers={"half_closed": 1}) as lab:
        port = respond(lab)
        options = ["path", lab.server.address(), "-p", port, "--format", "json", "--state", state, "-n", "80",
                   "--longest", "3s", "--no-reuse", "--only", "half-close", "--no-raw",
                   "--require", "idle>=1s"]  # fmt: skip
        first = lab.client.popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            first.wait(2.5)
        first.send_signal(signal.SIGINT)
        stopped = json.loads(first.communicate(timeout=10)[0])
        assert stopped["whole"] is False
        known = json.loads(Path(state).read_text())["samples"]
        assert len(known) > 10
        done = lab.client.run([*COMMAND, *options], check=False)
    assert done.returncode == first.returncode == 3, "nothing was asked about idle connections"
    again = json.loads(done.stdout)
    assert again["whole"] is True
    kept = json.loads(Path(state).read_text())["samples"]
    assert all(sample in kept for sample in known if not sample["bad"])
    assert len(kept) > len(known)
    for finding in again["findings"]:
        near(finding, 1)
