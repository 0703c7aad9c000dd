"""Network namespaces without names: held open by a descriptor, gone with the last process and descriptor.

A namespace that has a name (`ip netns add`) outlives the program that made it when that is killed. One that only
a descriptor holds does not: the kernel removes it, with its interfaces, when the holder is gone. A thread enters
it to open a socket or to start a process, and leaves it again; what was made inside stays inside.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from shutil import which

from lastack.model.errors import AccessError, LastackError

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_OWN = "/proc/thread-self/ns/net"
_UNSHARE_HINT = (
    "run as root, or allow user namespaces (sysctl user.max_user_namespaces; on Ubuntu also "
    "kernel.apparmor_restrict_unprivileged_userns=0)"
)


class LabError(LastackError):
    """The lab could not be built, or what it waited for did not happen before its deadline."""


class Namespace:
    """A new network namespace, empty but for a loopback that is down.

    Attributes:
        fd: The descriptor that holds it open.
        inode: Its number, as in `/proc/PID/ns/net`; unique among the namespaces that exist.

    Raises:
        AccessError: The process may not make namespaces (CAP_SYS_ADMIN).
    """

    def __init__(self) -> None:
        home = os.open(_OWN, os.O_RDONLY)
        try:
            # os.unshare and os.setns are new in Python 3.12
            if _LIBC.unshare(_CLONE_NEWNET):
                raise AccessError(f"no network namespace can be made ({_last_error()}): {_UNSHARE_HINT}")
            try:
                self.fd = os.open(_OWN, os.O_RDONLY)
            finally:
                _setns(home)
        finally:
            os.close(home)
        self.inode = os.fstat(self.fd).st_ino

    @property
    def path(self) -> str:
        """Where other programs find it while this process lives (`nsenter --net=PATH`, `ip link … netns PATH`)."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread into the namespace for a while; no `await` inside, other tasks would come along."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _setns(self.fd)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)

    def close(self) -> None:
        """Let go of it; the kernel removes it when no process and no socket is left inside."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _setns(fd: int) -> None:
    if _LIBC.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns: {_last_error()}")


def _last_error() -> str:
    return os.strerror(ctypes.get_errno())


def may_build() -> bool:
    """Return whether this process may make network namespaces as it is (root, or CAP_SYS_ADMIN)."""
    status = Path("/proc/thread-self/status").read_text(encoding="ascii")
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    sys_admin, net_admin = 1 << 21, 1 << 12
    return int(effective, 16) & (sys_admin | net_admin) == sys_admin | net_admin


def missing() -> str:
    """Return why no lab can be built by this process as it is, or an empty text: the reason a test skips with."""
    absent = [tool for tool in ("ip", "nft") if which(tool) is None]
    if absent:
        return f"a lab needs {' and '.join(absent)} (apt-get install iproute2 nftables)"
    return "" if may_build() else "a lab needs root, or a user namespace"


def become_root_of_namespaces() -> None:
    """Give this process, if it may not build a lab yet, a user namespace of its own in which it may.

    As `unshare -Urn`, but in place: the process keeps its number and stays the same user outside; files that it
    writes belong to that user. Only a process with one thread can do it, so do it first.

    Raises:
        AccessError: The system does not allow it; the message says how to.
    """
    if may_build():
        return
    uid, gid = os.getuid(), os.getgid()
    if _LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        raise AccessError(f"no user namespace can be made ({_last_error()}): {_UNSHARE_HINT}")
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")
    except OSError as error:
        raise AccessError(
            f"a user namespace has no rights here ({error.strerror}): {_UNSHARE_HINT}"
        ) from error
    if not may_build():
        raise AccessError(f"a user namespace has no rights here: {_UNSHARE_HINT}")
