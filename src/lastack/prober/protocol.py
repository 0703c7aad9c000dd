r"""The words between runner and responder: one line of JSON opens every connection to the responder.

A request is `LASTACK1 {json}\n`, at most `MAX_REQUEST` bytes. `op` is `hello` (who are you), `trial` (this connection
is a trial) or `reports` (what your end of my trials saw). A responder never connects anywhere and never sends more
than it was sent, but for reports, which are asked for over an established connection.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from lastack.model.errors import UsageError

MAGIC = b"LASTACK1 "
MAX_REQUEST = 1024
MAX_REPLY = 4 << 20
VERSION = 1
OPERATIONS = ("hello", "trial", "reports")
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
