"""Ways into the hosts of a lab from outside the program that built it: a command line, scripts, a shell's prompt."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from lastack.lab.registry import Running
from lastack.lab.topology import Lab


def command_for(running: Running, host: str, command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command on a host of a lab that another program holds.

    Args:
        running: The lab.
        host: `client`, `box` or `server`.
        command: What to run there.

    Raises:
        UsageError: It has no such host.
    """
    words = ["nsenter", f"--net={running.path(host)}"]
    theirs, ours = f"/proc/{running.pid}/ns/user", "/proc/self/ns/user"
    # a lab without root lives in a user namespace, in which alone we may enter it
    if Path(theirs).stat().st_ino != Path(ours).stat().st_ino:
        words += [f"--target={running.pid}", "--user", "--preserve-credentials"]
    told = [f"LASTACK_LAB={running.name}", f"LASTACK_HOST={host}"]
    for name, addresses in running.addresses.items():
        for version, address in addresses.items():
            told.append(f"LAB_{name.upper()}{'6' if version == '6' else ''}={address}")
    return [*words, "--", "env", *told, *command]


def write_scripts(lab: Lab) -> Path:
    """Write `on-client`, `on-box` and `on-server`, which run a command on that host, and return their folder.

    They work for whatever runs inside the lab, which has them on its path.
    """
    folder = lab.folder / "bin"
    folder.mkdir(exist_ok=True)
    for name, host in lab.hosts.items():
        script = folder / f"on-{name}"
        path = shlex.quote(host.namespace.path)
        script.write_text(
            f'#!/bin/sh\nLASTACK_HOST={name} exec nsenter --net={path} -- "$@"\n', encoding="utf-8"
        )
        script.chmod(0o700)
    for host in lab.hosts.values():
        host.environment["PATH"] = f"{folder}:{os.environ.get('PATH', os.defpath)}"
    return folder


def shell_for(lab: Lab, host: str) -> list[str]:
    """Return the command of an interactive shell whose prompt says on which host of which lab it is."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    if Path(shell).name != "bash":
        return [shell, "-i"]
    start = lab.folder / f"{host}.bashrc"
    start.write_text(
        f"[ -r ~/.bashrc ] && . ~/.bashrc\nPATH={shlex.quote(str(lab.folder / 'bin'))}:$PATH\n"
        f"PS1='[{lab.name} {host}] \\w\\$ '\n",
        encoding="utf-8",
    )
    return [shell, "--rcfile", str(start), "-i"]
