"""Network namespaces: create with a unique name, enter, run a command in, and always remove."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_SERIAL = itertools.count()


class LabError(Exception):
    """The lab could not be built, or a pattern did not happen before its deadline."""


def missing_requirements() -> str:
    """Return why no lab can be built here, or an empty text."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    from shutil import which

    absent = [tool for tool in ("ip", "nft") if which(tool) is None]
    return f"needs {' and '.join(absent)} (apt-get install iproute2 nftables)" if absent else ""


def run(*command: str, stdin: str = "") -> str:
    """Return the standard output of a command; its failure is a `LabError` with what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 8.0) -> None:
    """Return once the condition holds; polls every 2 ms, and raises when the deadline passes."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {deadline_s:g} s for {what}")
        time.sleep(0.002)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Move this thread into a namespace; sockets opened here belong to it for their whole life."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(home)
            os.close(there)
    finally:
        os.close(home)


def _setns(fd: int) -> None:
    # os.setns is new in Python 3.12
    if _LIBC.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def add(role: str) -> str:
    """Create a namespace whose name no other process uses, and return the name."""
    name = f"lastack-{os.getpid()}-{next(_SERIAL)}-{role}"
    run("ip", "netns", "add", name)
    return name


def remove(name: str) -> None:
    """Remove a namespace with all that is in it; one that is already gone is fine."""
    if Path(f"/run/netns/{name}").exists():
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def sysctl(name: str, key: str, value: str) -> None:
    """Set a network sysctl (`net/ipv4/...`) in a namespace."""
    with inside(name):
        Path(f"/proc/sys/{key}").write_text(value)


def rules(name: str, text: str, table_name: str = "lab") -> None:
    """Replace a table of the namespace's packet filter by `text`, the body of it; empty removes it."""
    table = f"table inet {table_name}"
    body = f"{table} {{\n{text}\n}}\n" if text else ""
    run("ip", "netns", "exec", name, "nft", "-f", "-", stdin=f"{table}\ndelete {table}\n{body}")
