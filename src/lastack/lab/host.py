"""One host of a lab: a namespace with addresses, in which commands are run and sockets are opened."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from lastack.lab.netns import LabError, Namespace

_File = IO[Any] | int | None


class Host:
    """A host: its own interfaces, routes, packet filter and TCP, as another computer would have.

    Attributes:
        name: `client`, `box` or `server`.
        namespace: The network namespace behind it.
        addresses: Its address towards the other end, by IP version (4, 6).
        environment: What commands on it find in their environment beside the caller's own.
        processes: Processes started by `popen` that may still run; they end with the lab.
    """

    def __init__(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.namespace = Namespace()
        self.addresses: dict[int, str] = {}
        self.environment: dict[str, str] = {**(environment or {}), "LASTACK_HOST": name}
        self.processes: list[subprocess.Popen[Any]] = []

    def address(self, version: int = 4) -> str:
        """Return the host's address of an IP version (4 or 6)."""
        return self.addresses[version]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread to the host: sockets made and processes started meanwhile belong to the host for good."""
        with self.namespace.entered():
            yield

    def socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        """Return a new socket of this host."""
        with self.entered():
            return socket.socket(family, kind, protocol)

    def popen(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        stdin: _File = None,
        stdout: _File = None,
        stderr: _File = None,
        text: bool = True,
        environment: Mapping[str, str] | None = None,
        **others: Any,
    ) -> subprocess.Popen[Any]:
        """Start a command on this host; it is ended with the lab at the latest.

        Args:
            command: The program and its arguments.
            stdin: As `subprocess.Popen`; so are `stdout`, `stderr`, `text` and all others.
            stdout: See above.
            stderr: See above.
            text: See above.
            environment: More for its environment.
            **others: See above.

        Raises:
            LabError: There is no such program, or it cannot be run.
        """
        surroundings = {**os.environ, **self.environment, **(environment or {})}
        try:
            with self.entered():
                started = subprocess.Popen(
                    list(command),
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    text=text,
                    env=surroundings,
                    **others,
                )
        except OSError as error:
            raise LabError(f"{os.fspath(command[0])}: {error.strerror} (on {self.name})") from error
        self.processes = [process for process in self.processes if process.poll() is None]
        self.processes.append(started)
        return started

    def run(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        stdin: str = "",
        check: bool = True,
        timeout_s: float | None = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end and return its result, output as text.

        Args:
            command: The program and its arguments.
            stdin: Text for its standard input.
            check: Whether failure is an error here.
            timeout_s: Seconds that it may take; None for ever.
            environment: More for its environment.

        Raises:
            LabError: It failed (with what it said), took too long, or there is no such program.
        """
        pipe = subprocess.PIPE
        words = [os.fspath(word) for word in command]
        process = self.popen(words, stdin=pipe, stdout=pipe, stderr=pipe, environment=environment)
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise LabError(f"{' '.join(words)}: not done after {timeout_s:g} s (on {self.name})") from error
        if check and process.returncode:
            said = err.strip() or out.strip() or f"exit {process.returncode}"
            raise LabError(f"{' '.join(words)}: {said} (on {self.name})")
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def ip(self, *lines: str) -> None:
        """Run lines of `ip -batch` on this host, such as `addr add 192.0.2.9/24 dev eth0`."""
        self.run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")

    def nft(self, body: str, table: str = "lab", family: str = "inet") -> None:
        """Replace one table of the host's packet filter by `body`, its chains; an empty body removes it."""
        name = f"table {family} {table}"
        text = f"{name}\ndelete {name}\n"
        self.run(["nft", "-f", "-"], stdin=text + (f"{name} {{\n{body}\n}}\n" if body else ""))

    def sysctl(self, key: str, value: str | int) -> None:
        """Set a network sysctl of this host; the key with slashes, such as `net/ipv4/ip_forward`.

        Raises:
            FileNotFoundError: This kernel does not have it.
        """
        with self.entered():
            Path(f"/proc/sys/{key}").write_text(str(value), encoding="ascii")

    def read(self, path: str) -> str:
        """Return a file below `/proc/sys/net` or `/proc/net` as this host sees it (`/proc/net/tcp`)."""
        with self.entered():
            return Path(path.replace("/proc/net/", "/proc/thread-self/net/")).read_text(encoding="ascii")

    def interfaces(self) -> dict[int, str]:
        """Return the names of the host's interfaces by their numbers."""
        with self.entered():
            return dict(socket.if_nameindex())

    def packet_sockets(self) -> list[int]:
        """Return the interfaces, by number, that programs other than this one watch with packet sockets."""
        own = _own_sockets()
        rows = [line.split() for line in self.read("/proc/net/packet").splitlines()[1:]]
        return [int(row[4]) for row in rows if int(row[8]) not in own]

    def end_processes(self, grace_s: float = 1.0) -> None:
        """Ask what `popen` started to end, and end by force what is left after a grace period."""
        running = [process for process in self.processes if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self.processes:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        self.processes.clear()


def _own_sockets() -> set[int]:
    """Return the inodes of this process's sockets."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            kind, _, inode = str(each.readlink()).partition(":")
            if kind == "socket":
                found.add(int(inode.strip("[]")))
    return found
