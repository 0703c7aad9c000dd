"""Ends what is left of a lab when the process that built it is gone, also by `kill -9`.

A small process of its own, started with each lab: it holds the lab's namespaces and waits for the builder to close
a pipe or to die. Then it kills every process inside these namespaces (daemons that a script left behind, for
example), removes the lab's files, and ends; with it goes the last hold on the namespaces.

The file is also that process's program: run as a script it imports nothing but the standard library's small parts.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

_DEADLINE_S = 5.0


class Reaper:
    """The process that cleans up behind a lab.

    Args:
        fds: Descriptors of the lab's namespaces.
        files: Folder to be removed in the end, empty for none.
    """

    def __init__(self, fds: Sequence[int], files: str) -> None:
        import subprocess

        wake, self._pipe = os.pipe()
        numbers = [str(fd) for fd in fds]
        command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(wake), files, *numbers]
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                pass_fds=[wake, *fds],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(wake)

    def finish(self) -> None:
        """Have it clean up now, and return when it has."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
            self._process.wait()


def processes_in(inodes: set[int]) -> list[int]:
    """Return the processes of this user whose network namespace is one of these."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile, or is somebody else's
                if (process / "ns/net").stat().st_ino in inodes:
                    found.append(int(process.name))
    return found


def kill(processes: Sequence[int]) -> None:
    """Kill processes; those that have ended are fine."""
    for pid in processes:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def kill_all(inodes: set[int], spared: set[int], deadline_s: float = _DEADLINE_S) -> list[int]:
    """Kill every process inside these namespaces, and those that they start meanwhile.

    Args:
        inodes: Numbers of the namespaces; somebody must hold them open, or a number may have a new owner.
        spared: Processes that must not be killed.
        deadline_s: Seconds after which it stops trying.

    Returns:
        Those that are still there.
    """
    end = time.monotonic() + deadline_s
    while left := [pid for pid in processes_in(inodes) if pid not in spared]:
        kill(left)
        if time.monotonic() > end:
            break
        time.sleep(0.002)
    return left


def _main(arguments: list[str]) -> None:
    builder, wake, files = int(arguments[0]), int(arguments[1]), arguments[2]
    inodes = {os.fstat(int(fd)).st_ino for fd in arguments[3:]}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    waiting = select.poll()
    waiting.register(wake, select.POLLIN)
    # a process forked from the builder may keep the pipe open after the builder's death: watch both
    with contextlib.suppress(ProcessLookupError):
        waiting.register(os.pidfd_open(builder), select.POLLIN)
        waiting.poll()
    kill_all(inodes, {builder, os.getpid()})
    if files:
        shutil.rmtree(files, ignore_errors=True)


if __name__ == "__main__":
    _main(sys.argv[1:])
