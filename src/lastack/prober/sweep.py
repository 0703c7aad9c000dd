"""One SYN to each of very many IPv4 targets, and what answers: all in columns, at a steady rate."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lastack.prober import syn_batch
from lastack.prober.asker import RETRY_NS
from lastack.prober.outcome import Opening, Result
from lastack.prober.syn_batch import I64, U32
from lastack.prober.syn_packet import pack_address
from lastack.prober.syn_socket import SynSocket, source_to

#: A batch is one call of the kernel: long enough to be cheap, short enough that the time of each SYN in it is known
#: well (the kernel tells when an answer came, not when a SYN left).
_BATCH = 16
_LOAD = 1024
#: SYNs after which answers are read, before they fill the socket's buffer.
_UNREAD = 64
_NAP_NS = 1_000_000
_LOOK_NS = 50_000_000
_NEVER = np.iinfo(np.int64).max

#: Gets the numbers of targets, their result, and their round-trip times (ns, -1 without).
Found = Callable[[NDArray[np.intp], Result, I64], None]


class Sweep:
    """Asks each of many targets once, with repeats after `RETRY_NS` until the timeout.

    Args:
        addresses: IPv4 addresses as numbers; no target twice.
        ports: Of the targets.
        timeout_ns: From a target's first SYN on.
        found: Called with every target once.
        source: Local address, empty for what the routes choose.
        rate: SYNs sent a second.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        UsageError: The source is not an address of this host.
    """

    def __init__(
        self,
        addresses: U32,
        ports: NDArray[np.uint16],
        timeout_ns: int,
        found: Found,
        source: str = "",
        rate: int = 20_000,
    ) -> None:
        self._socket = SynSocket(4, source)
        self._routes = _Routes(source)
        self._fd = self._socket.fileno()
        self._reader = syn_batch.Reader(self._fd, self._socket.source_port)
        self._addresses, self._ports = addresses, ports
        self._sequences = syn_batch.positions(self._socket.key, addresses, ports, self._socket.source_port)
        keys = (addresses.astype(np.uint64) << np.uint64(16)) | ports
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        self._found = found
        self._timeout_ns = timeout_ns
        self._each_ns = 10**9 // rate
        self._at_once = min(_BATCH, max(rate // 1000, 1))
        count = len(addresses)
        self._open = np.ones(count, bool)
        self._left = count
        self._attempts = np.zeros(count, np.int64)
        self._sent = np.zeros(
            (count, 3), np.int64
        )  # first and last SYN, the latter's call; ns of the wall clock
        self._due = np.full(count, _NEVER)  # monotonic: the next SYN
        self._end = np.full(count, _NEVER)  # monotonic: it counts as filtered
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN | select.POLLERR)

    def run(self) -> None:
        """Ask all; an interrupt leaves the rest unasked."""
        count = len(self._addresses)
        next_ns = look_ns = time.monotonic_ns()
        waiting = [np.arange(at, min(at + _LOAD, count)) for at in range(0, count, _LOAD)]
        sending: Iterator[int] = iter(())
        unread = 0
        while self._left:
            now = time.monotonic_ns()
            if now >= look_ns:
                look_ns = now + _LOOK_NS
                waiting = self._late(now) + waiting
            if now >= next_ns:
                sent = next(sending, 0)
                if not sent and waiting:
                    sending = self._load(waiting.pop(0))
                    continue
                # what was missed is not made up for: a burst would fill queues on the way
                next_ns = max(next_ns, now - _LOAD * self._each_ns) + max(sent, 1) * self._each_ns
                unread += sent
                if unread < _UNREAD and sent:
                    continue
                unread = 0
                self._drain()
                if not sent:
                    self._receive(look_ns)
            elif next_ns - now > _NAP_NS:
                self._receive(min(next_ns, look_ns))
            else:
                time.sleep((next_ns - now) / 1e9)

    def _late(self, now: int) -> list[NDArray[np.intp]]:
        """Return the targets that are to be asked again, in batches, and give up those whose time is over."""
        over = np.flatnonzero(self._open & (self._end <= now))
        if len(over):
            self._drain()
            over = over[self._open[over]]
            for attempts in np.unique(self._attempts[over]):
                mine = over[self._attempts[over] == attempts]
                detail = f"no answer to {attempts} SYN"
                self._close(
                    mine,
                    Result(Opening.filtered, attempts=int(attempts), detail=detail),
                    np.full(len(mine), -1),
                )
        due = np.flatnonzero(self._open & (self._due <= now))
        self._due[due] = _NEVER
        return [due[at : at + _LOAD] for at in range(0, len(due), _LOAD)]

    def _load(self, batch: NDArray[np.intp]) -> Iterator[int]:
        """Send SYNs, a few at each step; yield how many."""
        addresses = self._addresses[batch]
        sources = self._routes.sources(addresses, exact=bool(self._attempts[batch[0]]))
        segments = syn_batch.syns(
            sources, addresses, self._ports[batch], self._socket.source_port, self._sequences[batch]
        )
        load = syn_batch.Load(segments, addresses)
        done = 0
        while done < len(batch):
            before = time.time_ns()
            sent, code = load.send(self._fd, done, min(done + self._at_once, len(batch)))
            after = time.time_ns()
            self._note(batch[done : done + sent], before, after)
            done += sent
            if code in syn_batch.FULL:
                self._receive(time.monotonic_ns() + 1_000_000)
            elif code:
                detail = syn_batch.error_name(code)
                result = Result(Opening.error, attempts=int(self._attempts[batch[done]]) + 1, detail=detail)
                self._close(batch[done : done + 1], result, np.full(1, -1))
                done += 1
            yield max(sent, 1)

    def _note(self, sent: NDArray[np.intp], before: int, after: int) -> None:
        """Keep when SYNs left: evenly spread over the call that sent them."""
        if not len(sent):
            return
        now = time.monotonic_ns()
        times = before + (after - before) * np.arange(len(sent)) // len(sent)
        fresh = self._attempts[sent] == 0
        self._sent[sent[fresh], 0] = times[fresh]
        self._sent[sent, 1] = times
        self._sent[sent, 2] = before
        self._end[sent[fresh]] = now + self._timeout_ns
        self._attempts[sent] += 1
        self._due[sent] = np.where(now + RETRY_NS < self._end[sent], now + RETRY_NS, _NEVER)

    def _receive(self, until_ns: int) -> None:
        """Take what comes until a time."""
        while (wait := until_ns - time.monotonic_ns()) > 0 and self._left:
            if self._poll.poll(wait / 1e6):
                time.sleep(min(wait, _NAP_NS) / 1e9)  # where one answer is, more are coming
            self._drain()

    def _drain(self) -> None:
        more = True
        while more:
            count, answers = self._reader.read()
            more = count > 0
            if answers is None or not len(answers):
                continue
            targets = self._targets(answers["address"], answers["port"])
            known = targets >= 0
            known &= self._sequences[targets] == answers["number"]
            targets, first = np.unique(targets[known], return_index=True)
            refused, at_ns = answers["refused"][known][first], answers["at_ns"][known][first]
            for closed, opening, detail in ((False, Opening.up, ""), (True, Opening.refused, "RST")):
                mine = (refused == closed) & self._open[targets]
                self._answered(targets[mine], opening, detail, at_ns[mine])
        for answer in self._socket.errors():
            target = self._targets(
                np.frombuffer(pack_address(answer.address), ">u4").astype(np.uint32),
                np.array([answer.port], np.uint16),
            )
            if target[0] < 0 or not self._open[target[0]] or answer.sequence != self._sequences[target[0]]:
                continue
            kind, code = answer.icmp or (None, None)
            attempts = int(self._attempts[target[0]])
            result = Result(Opening.unreachable, None, attempts, kind, code, answer.reporter, answer.detail)
            self._close(target, result, self._rtt(target, np.array([answer.at_ns])))

    def _targets(self, addresses: U32, ports: NDArray[np.uint16]) -> NDArray[np.intp]:
        """Return the numbers of targets, -1 for who was not asked."""
        keys = (addresses.astype(np.uint64) << np.uint64(16)) | ports
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found: NDArray[np.intp] = np.where(self._keys[at] == keys, self._order[at], -1)
        return found

    def _answered(self, targets: NDArray[np.intp], opening: Opening, detail: str, at_ns: I64) -> None:
        attempts = self._attempts[targets]
        for number in np.unique(attempts):
            mine = attempts == number
            result = Result(opening, attempts=int(number), detail=detail)
            self._close(targets[mine], result, self._rtt(targets[mine], at_ns[mine]))

    def _rtt(self, targets: NDArray[np.intp], at_ns: I64) -> I64:
        """Return round-trip times, at most the duration of a call too long or too short."""
        first, last, call = self._sent[targets].T
        sent = np.where(call <= at_ns, np.where(last <= at_ns, last, call), first)
        rtt: I64 = np.maximum(at_ns - sent, 0)
        return rtt

    def _close(self, targets: NDArray[np.intp], result: Result, rtt_ns: I64) -> None:
        self._open[targets] = False
        self._left -= len(targets)
        if len(targets):
            self._found(targets, result, rtt_ns)

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


class _Routes:
    """The local address that the kernel will send from: it is part of the checksum.

    One look for each block of 256 addresses; a target that does not answer is looked up itself before it is asked
    again.
    """

    def __init__(self, source: str) -> None:
        self._fixed = int.from_bytes(pack_address(source), "big") if source else None
        self._known: dict[int, int] = {}

    def sources(self, addresses: U32, *, exact: bool) -> U32:
        """Return the source for each address, 0 where there is no route."""
        if self._fixed is not None:
            return np.full(len(addresses), self._fixed, np.uint32)
        if exact:
            return np.array([self._look(int(address)) for address in addresses], np.uint32)
        blocks, at = np.unique(addresses >> np.uint32(8), return_inverse=True)
        found = []
        for block in blocks.tolist():
            if block not in self._known:
                self._known[block] = self._look(int(addresses[addresses >> np.uint32(8) == block][0]))
            found.append(self._known[block])
        return np.array(found, np.uint32)[at]

    @staticmethod
    def _look(address: int) -> int:
        packed = source_to(socket.inet_ntoa(address.to_bytes(4, "big")))
        return int.from_bytes(packed, "big")
