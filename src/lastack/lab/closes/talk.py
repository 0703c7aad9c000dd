"""A connection of two real sockets, with the words that patterns need: say, shut, close, crash, state."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass

from lastack.lab.closes.stage import PORT, Stage
from lastack.lab.netns import LabError
from lastack.lab.waiting import wait_until

_TCP_REPAIR = 19
#: Linux's numbers of /proc/net/tcp in the words of RFC 9293
STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECEIVED", 4: "FIN_WAIT_1", 5: "FIN_WAIT_2", 6: "TIME_WAIT",
    7: "CLOSED", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECEIVED",
}  # fmt: skip


def listen(
    stage: Stage, version: int = 4, port: int = PORT, receive_buffer: int = 0, fast_open: bool = False
) -> socket.socket:
    """Return a listening socket of the server."""
    listener = stage.socket("srv", version)
    if receive_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if fast_open:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    listener.bind((stage.server[version], port))
    listener.listen(64)
    return listener


def client(stage: Stage, version: int = 4, offset: int = 0) -> socket.socket:
    """Return an unconnected socket of the client with the stage's first port, or one `offset` ports on."""
    sock = stage.socket("clt", version)
    sock.bind((stage.client[version], stage.clt_port + offset))
    return sock


def start_connecting(sock: socket.socket, address: str, port: int = PORT) -> None:
    """Send the SYN and return at once."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect((address, port))
    sock.settimeout(8)


def kernel_states(stage: Stage, side: str) -> dict[tuple[int, int], str]:
    """Return what the host's own kernel says of its connections, by (own port, other port)."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in stage.host(side).read(f"/proc/net/{table}").splitlines()[1:]:
            _, local, remote, state = line.split()[:4]
            ports = int(local.rsplit(":", 1)[1], 16), int(remote.rsplit(":", 1)[1], 16)
            found[ports] = STATES[int(state, 16)]
    return found


@dataclass
class Talk:
    """An established connection between the two hosts of a lab."""

    stage: Stage
    clt: socket.socket
    srv: socket.socket
    clt_port: int
    srv_port: int

    def end(self, side: str) -> socket.socket:
        """Return the socket of `clt` or `srv`."""
        return self.clt if side == "clt" else self.srv

    def say(self, side: str, size: int) -> None:
        """Send `size` bytes, and return when the other end has read them."""
        self.end(side).sendall(b"x" * size)
        other = self.end("srv" if side == "clt" else "clt")
        while size:
            size -= len(other.recv(size))

    def acknowledged(self, side: str) -> None:
        """Return when all that this end sent is acknowledged."""
        wait_until(lambda: unacknowledged(self.end(side)) == 0, "the last acknowledgement")

    def shut(self, side: str) -> None:
        """Send a FIN and go on reading."""
        self.end(side).shutdown(socket.SHUT_WR)

    def close(self, side: str) -> None:
        """Close as an application does."""
        self.end(side).close()

    def reset(self, side: str) -> None:
        """Close with SO_LINGER 0, which sends a RST."""
        self.end(side).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.end(side).close()

    def crash(self, side: str) -> None:
        """Make the connection vanish without a packet, as when the host reboots (TCP_REPAIR)."""
        self.end(side).setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        self.end(side).close()

    def state(self, side: str) -> str:
        """Return the end's state as its own kernel tells it; CLOSED if it knows of none."""
        ports = (self.clt_port, self.srv_port) if side == "clt" else (self.srv_port, self.clt_port)
        return kernel_states(self.stage, side).get(ports, "CLOSED")

    def wait_state(self, side: str, state: str) -> None:
        """Return when the end is in `state`."""
        wait_until(lambda: self.state(side) == state, f"{side} to be in {state}")

    def wait_readable_end(self, side: str) -> None:
        """Return when the end has read the other's FIN."""
        if self.end(side).recv(1):
            raise LabError(f"{side} read data where the end of the stream should be")

    def expect_error(self, side: str, *errors: int) -> None:
        """Return when the kernel has failed this end's connection with one of these errno values."""
        last = 0

        def failed() -> bool:
            nonlocal last
            last = last or self.end(side).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return last != 0

        wait_until(failed, f"an error at {side}")
        if last not in errors:
            raise LabError(f"{side} failed with errno {last}, not one of {errors}")


def talk(stage: Stage, version: int = 4, listener: socket.socket | None = None, offset: int = 0) -> Talk:
    """Return an established connection."""
    listener = listener or listen(stage, version)
    sock = client(stage, version, offset)
    port = listener.getsockname()[1]
    sock.connect((stage.server[version], port))
    accepted, _ = listener.accept()
    accepted.settimeout(8)
    stage.open.append(accepted)
    return Talk(stage, sock, accepted, stage.clt_port + offset, port)


def greeted(stage: Stage, version: int = 4) -> Talk:
    """Return an established connection on which the client has said 5 bytes and the server 7."""
    made = talk(stage, version)
    made.say("clt", 5)
    made.say("srv", 7)
    made.acknowledged("srv")
    return made


def unacknowledged(sock: socket.socket) -> int:
    """Return how many segments of a socket are sent and not acknowledged (TCP_INFO)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("=I", info, 24)[0])
