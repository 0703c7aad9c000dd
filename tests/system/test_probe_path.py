"""The path test against real Linux boxes between real kernel stacks: their timers are found, and no others."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from tests.system.probing import LASTACK, Answer, Scenario, near, probe, ran_at_once, respond

from lastack.lab.netns import missing
from lastack.lab.topology import Lab

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "labs can be built"),
]
#: Takes CAP_NET_RAW away from root.
WITHOUT_RAW = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
FIREWALL = {"half_closed": 1, "established": 2, "syn_sent": 1, "syn_recv": 2, "time_wait": 2, "close": 1}


def nat(expired: str) -> Answer:
    with Lab("nat", timers={"half_closed": 1, "established": 2}, expired=expired) as lab:
        return probe(
            lab, "--longest", "3s", "-n", "240", "--require", "half-close>=500ms", "--require", "idle>=5s",
            "--shortest", "200ms", "--no-raw", "--only", "half-close", "--only", "idle",
            responder=["--allow-reverse"],
        )  # fmt: skip


def firewall(version: int) -> Answer:
    with Lab("firewall", timers=FIREWALL) as lab:
        return probe(
            lab, "--longest", "3s", "-n", "320", "--shortest", "200ms", "--no-reuse", f"-{version}",
            responder=["--allow-reverse"], version=version,
        )  # fmt: skip


def forwarding() -> Answer:
    with Lab("nat", timers={"half_closed": 1}, forwards=[7100]) as lab:
        return probe(
            lab, "--longest", "2s", "-n", "160", "--shortest", "200ms", "--no-raw", "--no-reuse", "--only",
            "half-close", "--reverse-port", "7100", responder=["--allow-reverse"],
        )  # fmt: skip


def stopped() -> Answer:
    with Lab("nat", timers={"half_closed": 1}) as lab:
        state = lab.folder / "run.json"
        port = respond(lab)
        command = [*LASTACK, "probe", "path", lab.server.address(), "-p", port, "--format", "json", "--state",
                   str(state), "-n", "80", "--longest", "3s", "--no-reuse", "--only", "half-close", "--no-raw",
                   "--require", "idle>=1s"]  # fmt: skip
        first = lab.client.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            first.wait(3)
        first.send_signal(signal.SIGINT)
        answer = json.loads(first.communicate(timeout=20)[0])
        known = json.loads(state.read_text())["samples"]
        done = lab.client.run(command, check=False)
        kept = json.loads(state.read_text())["samples"]
        again = {"first": answer, "first_code": first.returncode, "known": known, "kept": kept}
        return done.returncode, json.loads(done.stdout) | again


def direct() -> Answer:
    with Lab("direct") as lab:
        return probe(
            lab, "--longest", "1500ms", "-n", "120", "--require", "half-close>=1s", "-4", before=WITHOUT_RAW
        )


def blocked() -> Answer:
    with Lab("direct") as lab:
        lab.server.nft("chain input { type filter hook input priority 0; tcp dport 7012 drop; }")
        return probe(lab, "--longest", "1s", "--only", "opening", "--no-reuse")


SCENARIOS: dict[str, Scenario] = {
    "firewall, IPv4": lambda: firewall(4),
    "firewall, IPv6": lambda: firewall(6),
    "nat, silent": lambda: nat("silent"),
    "nat, reset": lambda: nat("reset"),
    "stopped": stopped,
    "forwarding": forwarding,
    "direct": direct,
    "blocked": blocked,
}


@pytest.fixture(scope="module")
def all_runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Answer]]]:
    yield from ran_at_once(request, SCENARIOS)


@pytest.fixture
def ran(request: pytest.FixtureRequest, all_runs: dict[str, Future[Answer]]) -> Answer:
    return all_runs[request.param].result()


@pytest.mark.parametrize("ran", ["nat, silent", "nat, reset"], indirect=True)
def test_linux_nat__timers_and_expiry_are_found(ran: Answer, request: pytest.FixtureRequest) -> None:
    code, answer = ran
    assert code == 1
    assert answer["address_translated"] is True
    assert [one["holds"] for one in answer["required"]] == [True, False]
    assert len(answer["findings"]) == 4
    for finding in answer["findings"]:
        assert finding["kind"] == "idle", json.dumps(finding)
        silent = "silent" in request.node.name
        assert finding["expiry"] == ("silent" if silent else "reset_sender"), json.dumps(finding)
        near(finding, 1 if finding["topic"] == "half_close" else 2)
    (untested,) = answer["not_tested"]
    assert untested["questions"][0] == "reverse_half_close_client"
    assert "cannot be opened from there" in untested["why"]


@pytest.mark.parametrize("ran", ["firewall, IPv4", "firewall, IPv6"], indirect=True)
def test_linux_firewall__every_question_from_both_ends(ran: Answer) -> None:
    code, answer = ran
    seconds = {"half_close": 1, "idle": 2, "closed": 2, "reset": 1, "opening_syn": 1, "opening_synack": 2}
    assert code == 0
    assert answer["not_tested"] == []
    odd = {one["name"]: one for one in answer["findings"] if one["topic"] == "odd"}
    timed = [one for one in answer["findings"] if one["topic"] != "odd"]
    assert (len(timed), len(odd)) == (18, 7)
    for name, finding in odd.items():  # conntrack lets a RST through that lies in the window
        passes = name.startswith(("rst_exact", "rst_window"))
        assert finding["rst_seen"] == (finding["samples"] if passes else 0), json.dumps(finding)
        assert finding["broken"] == 0, json.dumps(finding)
    for finding in timed:
        near(finding, seconds.get(finding["topic"]) or seconds[finding["name"]])
        assert finding["expiry"] == "silent", json.dumps(finding)
        assert finding["raw"] or finding["kind"] == "idle", json.dumps(finding)
        assert finding["opened_by"] == ("responder" if finding["name"].startswith("reverse") else "here")


@pytest.mark.parametrize("ran", ["forwarding"], indirect=True)
def test_nat_that_forwards_a_port__lets_the_other_end_open(ran: Answer) -> None:
    _, answer = ran
    assert [finding["opened_by"] for finding in answer["findings"]] == ["here"] * 2 + ["responder"] * 2
    for finding in answer["findings"]:
        near(finding, 1)


@pytest.mark.parametrize("ran", ["direct"], indirect=True)
def test_direct__has_no_timer_and_no_translator_and_lacks_are_said(ran: Answer) -> None:
    code, answer = ran
    assert code == 0
    assert answer["address_translated"] is False
    assert all(finding["broken_from_ns"] is None for finding in answer["findings"])
    assert all(one["outcome"] == "works" for one in answer["reuse"])
    reasons = [one["why"] for one in answer["not_tested"]]
    assert "this end needs CAP_NET_RAW" in reasons[0]
    assert "--allow-reverse" in reasons[1]


@pytest.mark.parametrize("ran", ["blocked"], indirect=True)
def test_a_raw_port_that_is_not_let_through__is_said_at_once(ran: Answer) -> None:
    code, answer = ran
    assert code == 3
    assert answer["elapsed_ns"] < 2 * 10**9
    assert "--raw-port" in answer["not_tested"][0]["why"]


@pytest.mark.parametrize("ran", ["stopped"], indirect=True)
def test_a_stopped_run__shows_what_it_knows_and_goes_on(ran: Answer) -> None:
    code, answer = ran
    assert answer["first"]["whole"] is False
    assert len(answer["known"]) > 10
    assert code == answer["first_code"] == 3, "nothing was asked about idle connections"
    assert answer["whole"] is True
    assert all(sample in answer["kept"] for sample in answer["known"] if not sample["bad"])
    assert len(answer["kept"]) > len(answer["known"])
    for finding in answer["findings"]:
        near(finding, 1)
