"""Connections that the responder opens back to who asked, so that a path is tested with the other end as the opener.

Nobody can make it connect elsewhere: it goes to the address from which the request came over an established connection,
to a port that first answers a hello with the nonce that the responder has just made up. One look every few seconds for
each address, and one line of JSON, is all that a port gets that has not proved itself.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from lastack.model.errors import UsageError
from lastack.prober import protocol
from lastack.prober.asking import Asking
from lastack.prober.loop import Loop
from lastack.prober.opener import Opener, Told

if TYPE_CHECKING:
    from lastack.prober.runlog import RunLog

_LOOK_NS = 3_000_000_000
_BETWEEN_NS = 3_000_000_000
_LOOKS_AT_ONCE = 64
_MOST_SOURCES = 4096
_MOST_RATE = 5000
#: Connections in a row that may fail before the rest is not tried: the runner is gone.
_PATIENCE = 50


class Back:
    """Opens connections back.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._openers: list[Opener] = []
        self._looks: list[Asking] = []
        self._looked: OrderedDict[str, int] = OrderedDict()

    @property
    def live(self) -> int:
        """Connections at present."""
        return sum(opener.live for opener in self._openers)

    def check(self, run: RunLog, peer: tuple[Any, ...], body: dict[str, Any], told: Told) -> dict[str, Any]:
        """Look whether a runner can be reached, and return what is known by now; if it can, its run gets an opener.

        The runner asks again until it is known: a box on the path may forget a connection that waits for the answer.

        Args:
            run: Of the runner.
            peer: Socket address from which the request came.
            body: The request: `port`, `secret`, `rate`.
            told: Told of the trials.

        Raises:
            UsageError: The request is wrong, or the last one is too recent.
        """
        port, secret, rate = body.get("port"), body.get("secret"), body.get("rate", 500)
        if type(port) is not int or not 0 < port < 65_536 or type(rate) is not int or rate < 1:
            raise UsageError("reverse to which port, at which rate?")
        if not (isinstance(secret, str) and 16 <= len(secret) <= 64 and secret.isalnum()):
            raise UsageError("a secret has 16 to 64 letters and digits")
        if run.looked is not None:
            return run.looked
        self._slowly(str(peer[0]))
        run.looked = {"looking": True}
        family = socket.AF_INET6 if len(peer) == 4 else socket.AF_INET
        address = (peer[0], port, *peer[2:])
        nonce, name = token_hex(16), token_hex(10)

        def answered(reply: dict[str, Any]) -> None:
            if "error" in reply or reply.get("nonce") != nonce:
                why = reply.get("error", "what listens there is no runner of this test")
                run.looked = {"error": f"cannot be opened from there: {why}"}
                return

            def line_of(trial: Any) -> bytes:
                return protocol.encode("trial", name, secret, trial=trial.to_json())

            run.opener = Opener(
                self._loop, family, address, line_of, told, rate=min(rate, _MOST_RATE), patience=_PATIENCE
            )
            self._openers.append(run.opener)
            run.looked = {"reverse": True}

        hello = protocol.encode("hello", name, secret, nonce=nonce)
        self._looks.append(Asking(self._loop, family, address, hello, answered, patience_ns=_LOOK_NS))
        return run.looked

    def _slowly(self, source: str) -> None:
        self._looks = [look for look in self._looks if look.asks]
        if len(self._looks) >= _LOOKS_AT_ONCE:
            raise UsageError("too many runners look at once; try later")
        now = self._loop.now()
        if now - self._looked.get(source, now - _BETWEEN_NS) < _BETWEEN_NS:
            raise UsageError("tried a moment ago; wait some seconds")
        self._looked[source] = now
        self._looked.move_to_end(source)
        if len(self._looked) > _MOST_SOURCES:
            self._looked.popitem(last=False)

    def forget(self, opener: Opener) -> None:
        """Give up the connections of a run."""
        opener.close()
        self._openers.remove(opener)

    def close(self) -> None:
        """Give up all connections."""
        for opener in list(self._openers):
            self.forget(opener)
        for look in self._looks:
            look.stop()
