"""One end of one flow: sends, receives, closes as planned, notices when nothing moves any more, notes every step."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import socket
import struct
import termios
import time

from lastack.lab.traffic.plan import FlowPlan
from lastack.lab.traffic.steps import Steps

_CHUNK = 64 << 10
_EVEN_NS = 20_000_000
_TICK_S = 0.05
_STATE_TICK_S = 0.004
_TCP_CLOSE = 7
_ZEROS = memoryview(bytes(_CHUNK))
#: What is received is counted and thrown away, so all flows of the process share one buffer.
_BIN = bytearray(256 << 10)


class Endpoint:
    """The life of an established connection, from this end.

    Args:
        sock: The connection, non-blocking; `live` closes it.
        plan: What the flow is to do.
        near: Whether this is the near end.
        steps: Where each step is noted, also while it runs.
        stall_ns: Without any progress for this long (beyond what the plan itself waits), the flow has stopped.
    """

    def __init__(self, sock: socket.socket, plan: FlowPlan, near: bool, steps: Steps, stall_ns: int) -> None:
        self._sock, self._plan, self._near, self.steps = sock, plan, near, steps
        self._to_send = plan.up_bytes if near else plan.down_bytes
        self._to_receive = plan.down_bytes if near else plan.up_bytes
        self._rate_bps = plan.up_rate_bps if near else plan.down_rate_bps
        self._patience_ns = stall_ns + plan.longest_silence_ns()
        self._loop = asyncio.get_running_loop()
        self._all_sent, self._all_received, self._fin_seen = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._progress_ns = time.monotonic_ns()

    async def live(self) -> Steps:
        """Play the plan to its end and return the account; never raises but when it is cancelled."""
        if not self._to_receive:
            self._all_received.set()
        work, watch = asyncio.ensure_future(self._work()), asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
                self.steps.outcome = "done"
            else:
                self._note_stop()
        except asyncio.CancelledError:
            self.steps.outcome = "cancelled"
            raise
        except OSError as error:
            self._note_error(error)
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
            self._end()
        return self.steps

    async def _work(self) -> None:
        tasks = [asyncio.ensure_future(part) for part in (self._send(), self._receive(), self._close())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        if not self._near and self._plan.think_ns >= 0:
            await self._all_received.wait()
            await asyncio.sleep(self._plan.think_ns / 1e9)
        every_ns = self._plan.every_ns or _EVEN_NS
        burst = max(1, round(self._rate_bps * every_ns / 8e9)) if self._rate_bps else self._to_send
        due_ns = time.monotonic_ns()
        left = self._to_send
        while left:
            now_ns = time.monotonic_ns()
            if now_ns < due_ns:
                await asyncio.sleep((due_ns - now_ns) / 1e9)
            size = min(left, burst)
            await self._send_burst(size)
            left -= size
            # after a pause of the transport the rate goes on; it does not catch up
            due_ns = max(due_ns + every_ns, time.monotonic_ns() - every_ns) if self._rate_bps else due_ns
        self._all_sent.set()

    async def _send_burst(self, size: int) -> None:
        while size:
            piece = min(size, _CHUNK)
            await self._loop.sock_sendall(self._sock, _ZEROS[:piece])
            # what the kernel has taken is no progress; what was acknowledged is
            self.steps.last_sent_ns = time.monotonic_ns()
            if self.steps.first_sent_ns is None:
                self.steps.first_sent_ns = self.steps.last_sent_ns
            self.steps.sent += piece
            size -= piece

    async def _receive(self) -> None:
        steps = self.steps
        while count := await self._loop.sock_recv_into(self._sock, _BIN):
            steps.last_received_ns = self._moved()
            if steps.first_received_ns is None:
                steps.first_received_ns = steps.last_received_ns
            steps.received += count
            if steps.received >= self._to_receive:
                self._all_received.set()
        steps.fin_seen_ns = self._moved()
        self._fin_seen.set()
        if steps.received != self._to_receive:
            raise ConnectionError(f"the other end closed after {steps.received} of {self._to_receive} bytes")

    async def _close(self) -> None:
        plan = self._plan
        await self._all_sent.wait()
        if plan.close == "half-close":
            if plan.hold_ns and self._fin_seen.is_set():
                await asyncio.sleep(plan.hold_ns / 1e9)
        else:
            await self._all_received.wait()
            while _unsent(self._sock):
                await asyncio.sleep(_STATE_TICK_S)
            await asyncio.sleep(plan.hold_ns / 1e9)
        if plan.close == "rst":
            await self._reset_or_be_reset()
            return
        # the other end may have reset it already, which the receiver notices
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self.steps.fin_sent_ns = self._moved()
        await self._fin_seen.wait()
        while _state(self._sock) != _TCP_CLOSE:
            await asyncio.sleep(_STATE_TICK_S)
        self.steps.closed_ns = self._moved()

    async def _reset_or_be_reset(self) -> None:
        if self._near:
            self.steps.closed_ns = self._moved()
            raise _PlannedResetError
        await asyncio.Event().wait()  # the receiver sees the RST

    async def _watch(self) -> None:
        """Return when nothing has moved for too long."""
        acknowledged, late_ns = 0, 0
        looked_ns = time.monotonic_ns()
        while looked_ns - self._progress_ns - late_ns < self._patience_ns:
            now = self.steps.sent - self._unacked()
            if now > acknowledged:
                self._moved()
                late_ns = 0
            acknowledged = now
            await asyncio.sleep(_TICK_S)
            # when this program itself was held up, that is not the flow's silence
            before_ns, looked_ns = looked_ns, time.monotonic_ns()
            late_ns += max(0, looked_ns - before_ns - round(2e9 * _TICK_S))

    def _unacked(self) -> int:
        """Return the payload bytes that were handed to the kernel and not acknowledged."""
        waiting = _unsent(self._sock)
        return waiting - 1 if waiting and self.steps.fin_sent_ns is not None else waiting

    def _moved(self) -> int:
        self._progress_ns = time.monotonic_ns()
        return self._progress_ns

    def _note_stop(self) -> None:
        steps = self.steps
        steps.stopped_ns = self._progress_ns
        if self._all_sent.is_set() and self._all_received.is_set() and not self._unacked():
            steps.outcome = "not closed"
            missing = "the other end's FIN" if steps.fin_seen_ns is None else "the answer to our FIN"
            steps.detail = f"{missing} did not come"
        else:
            steps.outcome = "stopped"
            steps.detail = f"no progress for {self._patience_ns / 1e9:.1f} s"

    def _note_error(self, error: OSError) -> None:
        steps = self.steps
        planned = self._plan.close == "rst" and self._all_sent.is_set() and self._all_received.is_set()
        if isinstance(error, _PlannedResetError) or (
            planned and not self._near and error.errno == errno.ECONNRESET
        ):
            steps.outcome = "done"
            steps.closed_ns = steps.closed_ns or time.monotonic_ns()
            return
        steps.stopped_ns = time.monotonic_ns()
        resets = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)
        steps.outcome = "reset" if error.errno in resets else "stopped"
        steps.detail = error.strerror or str(error)

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self.steps.unacked = self._unacked()
        if self.steps.outcome != "done" or self._plan.close == "rst":
            # nothing of a flow that failed, or is to be reset, shall linger in the kernel
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


class _PlannedResetError(ConnectionError):
    """The plan ends with our own RST."""


def _unsent(sock: socket.socket) -> int:
    """Return the bytes that are not acknowledged yet (SIOCOUTQ, tcp(7)); a FIN counts as one."""
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("=i", answer)[0])


def _state(sock: socket.socket) -> int:
    """Return the kernel's state of the connection (tcpi_state of TCP_INFO, tcp(7))."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
