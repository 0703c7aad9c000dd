"""Runs tasks on a Dask cluster (https://distributed.dask.org), with futures only.

Nothing of a result travels through Dask: workers write files, and tell that they did. So a worker that dies costs the
tasks it had under way, which the scheduler gives to another, and a scheduler that dies costs the list of what is under
way, which is made again from the files that are missing.
"""

from __future__ import annotations

import importlib
import logging
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lastack.app.jobs import Outcome, Task, Told, about_this_worker, run_task
from lastack.model.errors import InputError, LastackError, UsageError

_CONNECT_S = 10.0
_RETURN_S = 60.0  #: how long a scheduler that went away is waited for
_PAUSE_S = 0.5
_TRIES = 3  #: of a task whose worker dies
_TLS_REMEDY = "does it speak TLS, and is it of the same authority? See --tls-ca, --tls-cert and --tls-key"
_mine = about_this_worker


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM form for a cluster that speaks TLS.

    Attributes:
        ca: Certificates of the authority that the scheduler's must be signed by.
        cert: The client's own, which the scheduler asks for.
        key: Its private key.
    """

    ca: str
    cert: str
    key: str

    def __post_init__(self) -> None:
        """Check that the files can be used.

        Raises:
            InputError: They cannot.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as reason:
            raise InputError(
                f"--tls-ca {self.ca}, --tls-cert {self.cert}, --tls-key {self.key}: cannot be used ({reason}); "
                "name PEM files, and the key of that certificate"
            ) from None


class DaskCluster:
    """Runs tasks on the workers of a scheduler.

    Args:
        address: `tcp://HOST:PORT` or `tls://HOST:PORT`.
        return_s: Seconds that a scheduler which went away is waited for.
        certificates: For TLS, None to take those of Dask's own configuration.

    Raises:
        UsageError: `distributed` is not installed, nothing answers there, or no worker is connected.
        LastackError: Workers have another version of LastACK or Python.
    """

    def __init__(
        self, address: str, return_s: float = _RETURN_S, certificates: Certificates | None = None
    ) -> None:
        try:
            self._dask: Any = importlib.import_module("distributed")
        except ImportError:
            raise UsageError(
                "--cluster needs Dask's distributed: pip install 'lastack[cluster]', here and on the workers"
            ) from None
        # Dask logs a traceback for each attempt to connect; what it means is told by this module.
        for name in list(logging.root.manager.loggerDict):
            if name.split(".")[0] == "distributed":
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._address = address
        self._return_s = return_s
        self._security: Any = None
        if certificates is not None:
            if urlsplit(address).scheme != "tls":
                raise UsageError(
                    f"{address}: certificates are for tls://; write tls:// if the scheduler speaks TLS"
                )
            self._security = self._dask.Security(
                tls_ca_file=certificates.ca,
                tls_client_cert=certificates.cert,
                tls_client_key=certificates.key,
                require_encryption=True,
            )
        self._client: Any = None
        self._connect(_CONNECT_S)
        try:
            self.workers = self._check_workers()
        except BaseException:
            self.close()
            raise

    def _connect(self, timeout_s: float) -> None:
        try:
            # Dask would wait for its whole timeout where nobody listens, and cannot be interrupted cleanly meanwhile.
            place = urlsplit(self._address)
            if place.scheme in ("tcp", "tls", "") and place.hostname and place.port:
                socket.create_connection((place.hostname, place.port), timeout_s).close()
            self._client = self._dask.Client(
                self._address, timeout=timeout_s, set_as_default=False, security=self._security
            )
        except (OSError, ValueError, TypeError) as reason:
            first = (str(reason).splitlines() or [type(reason).__name__])[0]
            raise UsageError(
                f"{self._address}: no Dask scheduler answers there ({first}); "
                + (_TLS_REMEDY if self._address.startswith("tls:") else "start one: dask scheduler")
            ) from None

    def _check_workers(self) -> int:
        """Return how many workers there are; refuse those that would make other rows."""
        said = self._client.run(about_this_worker, on_error="return")
        if not said:
            raise UsageError(
                f"{self._address}: the scheduler has no workers; start some: dask worker {self._address}"
            )
        mine = _mine()
        for worker, theirs in sorted(said.items()):
            if isinstance(theirs, BaseException):
                raise LastackError(
                    f"worker {worker}: cannot load LastACK ({theirs}); install version {mine['lastack']} there"
                )
            if theirs != mine:
                other = ", ".join(f"{key} {theirs.get(key)}" for key in mine if theirs.get(key) != mine[key])
                wanted = ", ".join(f"{key} {mine[key]}" for key in mine if theirs.get(key) != mine[key])
                raise LastackError(
                    f"worker {worker}: has {other}, here is {wanted}; install the same everywhere"
                )
        return len(said)

    def run(self, tasks: Sequence[Task], told: Told) -> None:
        """Run every task; return when each has ended.

        Raises:
            LastackError: The scheduler went away and did not come back in time.
        """
        waiting = {task.name: task for task in tasks}
        while waiting:
            try:
                self._round(waiting, told)
            except (OSError, self._dask.CancelledError, TimeoutError) as reason:
                self._reconnect(reason, len(waiting))

    def _round(self, waiting: dict[str, Task], told: Told) -> None:
        futures = {}
        for task in waiting.values():
            # A key of its own each time: Dask would take the answer of an earlier failure for this one's.
            key = f"lastack-{task.name}-{time.monotonic_ns()}"
            futures[self._client.submit(run_task, task, key=key, pure=False, retries=_TRIES - 1)] = task
        for future in self._dask.as_completed(list(futures), loop=self._client.loop):
            task = futures[future]
            if future.status == "cancelled":
                raise OSError("the scheduler forgot the tasks")
            told(self._outcome(future, task))
            del waiting[task.name]

    def _outcome(self, future: Any, task: Task) -> Outcome:
        reason = future.exception()
        if reason is None:
            outcome: Outcome = future.result()
            return outcome
        if isinstance(reason, self._dask.scheduler.KilledWorker):
            return Outcome(task.name, f"its worker died {_TRIES} times or more (killed, or out of memory?)")
        raise reason

    def _reconnect(self, reason: BaseException, left: int) -> None:
        """Connect again to a scheduler that was started anew; its workers come back by themselves."""
        self.close()
        until = time.monotonic() + self._return_s
        while True:
            try:
                self._connect(min(5.0, self._return_s))
                self._client.wait_for_workers(1, timeout=max(1.0, until - time.monotonic()))
                return
            except (UsageError, OSError, TimeoutError):
                self.close()
                time.sleep(_PAUSE_S)
                if time.monotonic() >= until:
                    raise LastackError(
                        f"{self._address}: the scheduler went away ({reason or type(reason).__name__}) with {left} "
                        "tasks to do; what was made is kept: run the same command again when it is back"
                    ) from None

    def close(self) -> None:
        """Leave the scheduler; its workers stay."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.close(timeout=2)
        except (OSError, TimeoutError):
            client.status = "closed"  # or else its finaliser would try again, and wait and complain
