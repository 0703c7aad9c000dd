"""Path tests in labs. They wait much more than they work, so those of one module run at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from lastack.lab.topology import Lab

LASTACK = [sys.executable, "-m", "lastack.cli.main"]
AT_ONCE = 4

Answer = tuple[int, dict[str, Any]]
Scenario = Callable[[], Answer]


def respond(lab: Lab, *options: str) -> str:
    """Start a responder on the server and return its port."""
    responder = lab.server.popen([*LASTACK, "probe", "responder", "-q", *options], stdout=subprocess.PIPE)
    assert responder.stdout is not None
    return str(responder.stdout.readline().strip())


def probe(
    lab: Lab, *options: str, responder: Sequence[str] = (), before: Sequence[str] = (), version: int = 4
) -> Answer:
    """Run a path test from the client to the server and return exit code and answer."""
    port = respond(lab, *responder)
    words = ["probe", "path", lab.server.address(version), "-p", port, "--format", "json", *options]
    done = lab.client.run([*before, *LASTACK, *words], check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def ran_at_once(
    request: pytest.FixtureRequest, scenarios: Mapping[str, Scenario]
) -> Iterator[dict[str, Future[Answer]]]:
    """Start the scenarios of a module's selected tests (their parameter `ran`); yield what will come of each."""
    items = [item for item in request.session.items if getattr(item, "module", None) is request.module]
    wanted = {
        item.callspec.params["ran"]
        for item in items
        if hasattr(item, "callspec") and "ran" in item.callspec.params
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # the longest first, which is the order of the list
        yield {name: pool.submit(scenarios[name]) for name in scenarios if name in wanted}


def near(finding: dict[str, Any], seconds: float, slack: float = 0.15) -> None:
    """Hold that a finding's bound is where it should be; a loaded machine adds its lateness."""
    assert finding["kept_up_to_ns"] is not None, json.dumps(finding)
    assert finding["broken_from_ns"] is not None, json.dumps(finding)
    assert abs(finding["kept_up_to_ns"] / 1e9 - seconds) < slack, json.dumps(finding)
    assert abs(finding["broken_from_ns"] / 1e9 - seconds) < slack, json.dumps(finding)
