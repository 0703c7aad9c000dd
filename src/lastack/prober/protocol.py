r"""The words between runner and responder: one line of JSON opens every connection to the responder.

A request is `LASTACK1 {json}\n`, at most `MAX_REQUEST` bytes. `op` is `hello` (who are you), `trial` (this connection
is a trial), `reports` (what your end of my trials saw), `batch` (do your part of these trials, over raw segments or
connections that you open) or `reverse` (see whether you can open connections to me).
A responder never sends more than it was sent, but for reports, which are asked for over an established connection.
It connects nowhere, unless it was started with leave to: then to the address that a request came from, to a port
that answers a `hello` with the nonce in it, and nothing else.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from typing import Any

from lastack.model.errors import UsageError
from lastack.prober.trial import Trial

MAGIC = b"LASTACK1 "
MAX_REQUEST = 4096
#: Trials of one batch: so many fit into a request.
MAX_BATCH = 100
MAX_REPLY = 4 << 20
VERSION = 2
OPERATIONS = ("hello", "trial", "reports", "batch", "reverse")
#: A trial waits at most so long: RFC 5382's 2 h 4 min and a margin. Longer ones need a responder told so.
MAX_WAIT_NS = 9_000 * 10**9


def encode(operation: str, run: str, token: str, **members: Any) -> bytes:
    """Return a request line.

    Args:
        operation: One of `OPERATIONS`.
        run: Name of the run, chosen by the runner: reports are kept by it.
        token: The shared secret, empty without one.
        members: What else the operation needs.
    """
    body = {"op": operation, "run": run, "token": token} | members
    return MAGIC + json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes, token: str) -> dict[str, Any]:
    """Return the members of a request.

    Args:
        line: The line without its end.
        token: What the responder wants to hear; empty wants nothing.

    Raises:
        UsageError: It is no request, or the token is wrong; the message tells no secret.
    """
    if not line.startswith(MAGIC):
        raise UsageError("not a request of LastACK")
    try:
        body = json.loads(line[len(MAGIC) :])
    except (ValueError, RecursionError) as error:
        raise UsageError("the request is no JSON") from error
    if not isinstance(body, dict) or body.get("op") not in OPERATIONS:
        raise UsageError("unknown operation")
    given = body.get("token")
    if token and not (isinstance(given, str) and hmac.compare_digest(given.encode(), token.encode())):
        raise UsageError("wrong token")
    run = body.get("run")
    if not (isinstance(run, str) and 8 <= len(run) <= 40 and run.isalnum()):
        raise UsageError("a run is named by 8 to 40 letters and digits")
    return body


def reply(members: dict[str, Any]) -> bytes:
    """Return a reply line."""
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


def refusal(why: str) -> bytes:
    """Return the reply to a request that is not served."""
    return reply({"error": why})


def batch(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the members of a `batch` request: trials of one question, which differ in number and wait."""
    common = trials[0].to_json()
    return {"trial": common, "waits": [[trial.number, trial.wait_ns] for trial in trials]}


def trials_of(body: dict[str, Any]) -> list[Trial]:
    """Return the trials of a `batch` request.

    Raises:
        UsageError: A member is missing or has an impossible value.
    """
    try:
        common, waits = dict(body["trial"]), list(body["waits"])
        if not 0 < len(waits) <= MAX_BATCH:
            raise UsageError(f"a batch has 1 to {MAX_BATCH} trials")
        return [Trial.from_json(common | {"number": number, "wait_ns": wait}) for number, wait in waits]
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"this is no batch of trials: {error}") from error
