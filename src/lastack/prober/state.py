"""The samples of a run in a file, so that a long test can be stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lastack.model.errors import InputError
from lastack.prober.plan import Plan, Scope
from lastack.prober.trial import Outcome, Sample, Trial

_VERSION = 2


def save(path: str, target: str, plan: Plan) -> None:
    """Write the samples so far, under another name first.

    Args:
        path: The file.
        target: What was tested, to be compared when the run goes on.
        plan: The run's plan.
    """
    samples = [_members(sample) for inquiry in plan.inquiries.values() for sample in inquiry.samples]
    body = {"version": _VERSION, "target": target, "scope": _scope(plan.asked), "samples": samples}
    temporary = Path(f"{path}.tmp")
    temporary.write_text(json.dumps(body), encoding="utf-8")
    temporary.replace(path)


def load(path: str, target: str, scope: Scope) -> tuple[Sample, ...]:
    """Return the samples of an earlier run; none if there was none.

    Args:
        path: The file.
        target: What is to be tested.
        scope: How far the test goes; it must be the earlier run's.

    Raises:
        InputError: The file is no state of a run, or of another one.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        body = json.loads(text)
        if body["version"] != _VERSION:
            raise InputError(f"{path}: was written by another version; delete it to start anew")
        if body["target"] != target:
            raise InputError(f"{path}: is of a run to {body['target']}, not to {target}")
        if body["scope"] != _scope(scope):
            raise InputError(f"{path}: is of a run with other waits; use the same options or delete it")
        return tuple(_sample(values) for values in body["samples"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no state of a path test ({error}); delete it to start anew") from error


def _scope(scope: Scope) -> dict[str, Any]:
    return {
        "questions": [question.name for question in scope.questions],
        "shortest_ns": scope.shortest_ns,
        "longest_ns": scope.longest_ns,
        "connections": scope.connections,
        "raw_each": scope.raw_each,
        "talk": scope.talk,
    }


def _members(sample: Sample) -> dict[str, Any]:
    return {
        "trial": sample.trial.to_json(),
        "outcome": sample.outcome.value,
        "waited_ns": sample.waited_ns,
        "died_ns": sample.died_ns,
        "sender_reset": sample.sender_reset,
        "receiver_reset": sample.receiver_reset,
        "latency_ns": sample.latency_ns,
        "heard": sample.heard,
        "bad": sample.bad,
    }


def _sample(values: dict[str, Any]) -> Sample:
    members = {name: value for name, value in values.items() if name not in ("trial", "outcome")}
    return Sample(trial=Trial.from_json(values["trial"]), outcome=Outcome(values["outcome"]), **members)
