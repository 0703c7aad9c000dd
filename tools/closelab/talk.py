"""A connection of two real sockets, with the words that recipes need: say, shut, close, crash, state."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from closelab import netns
from closelab.lab import Lab

PORT, CLIENT_PORT = 8080, 40001
_TCP_REPAIR = 19
#: Linux's numbers of /proc/net/tcp in the words of RFC 9293
STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECEIVED", 4: "FIN_WAIT_1", 5: "FIN_WAIT_2", 6: "TIME_WAIT",
    7: "CLOSED", 8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "SYN_RECEIVED",
}  # fmt: skip


def listen(
    lab: Lab, version: int = 4, port: int = PORT, receive_buffer: int = 0, fast_open: bool = False
) -> socket.socket:
    """Return a listening socket of the server."""
    listener = lab.socket("srv", version)
    if receive_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if fast_open:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    listener.bind((lab.server[version], port))
    listener.listen(64)
    return listener


def client(lab: Lab, version: int = 4, port: int = CLIENT_PORT) -> socket.socket:
    """Return an unconnected socket of the client with a fixed port."""
    sock = lab.socket("clt", version)
    sock.bind((lab.client[version], port))
    return sock


def start_connecting(sock: socket.socket, address: str, port: int = PORT) -> None:
    """Send the SYN and return at once."""
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        sock.connect((address, port))
    sock.settimeout(8)


def kernel_states(lab: Lab, side: str) -> dict[tuple[int, int], str]:
    """Return what the host's own kernel says of its connections, by (own port, other port)."""
    found = {}
    with netns.inside(lab.namespace(side)):
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]:
                _, local, remote, state = line.split()[:4]
                ports = int(local.rsplit(":", 1)[1], 16), int(remote.rsplit(":", 1)[1], 16)
                found[ports] = STATES[int(state, 16)]
    return found


@dataclass
class Talk:
    """An established connection between the two hosts of a lab."""

    lab: Lab
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
        netns.wait_until(lambda: unacknowledged(self.end(side)) == 0, "the last acknowledgement")

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
        return kernel_states(self.lab, side).get(ports, "CLOSED")

    def wait_state(self, side: str, state: str) -> None:
        """Return when the end is in `state`."""
        netns.wait_until(lambda: self.state(side) == state, f"{side} to be in {state}")

    def wait_readable_end(self, side: str) -> None:
        """Return when the end has read the other's FIN."""
        if self.end(side).recv(1):
            raise netns.LabError(f"{side} read data where the end of the stream should be")

    def expect_error(self, side: str, *errors: int) -> None:
        """Return when the kernel has failed this end's connection with one of these errno values."""
        last = 0

        def failed() -> bool:
            nonlocal last
            last = last or self.end(side).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return last != 0

        netns.wait_until(failed, f"an error at {side}")
        if last not in errors:
            raise netns.LabError(f"{side} failed with errno {last}, not one of {errors}")


def talk(
    lab: Lab, version: int = 4, listener: socket.socket | None = None, clt_port: int = CLIENT_PORT
) -> Talk:
    """Return an established connection."""
    listener = listener or listen(lab, version)
    sock = client(lab, version, clt_port)
    port = listener.getsockname()[1]
    sock.connect((lab.server[version], port))
    accepted, _ = listener.accept()
    accepted.settimeout(8)
    lab.open.append(accepted)
    return Talk(lab, sock, accepted, clt_port, port)


def unacknowledged(sock: socket.socket) -> int:
    """Return how many segments of a socket are sent and not acknowledged (TCP_INFO)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("=I", info, 24)[0])
