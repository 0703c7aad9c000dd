"""The labs that run now: one folder each, with what another program needs to enter their hosts."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lastack.lab.netns import LabError
from lastack.model.errors import UsageError

#: A folder without a description is that of a lab being built, for this long.
_BUILDING_S = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A lab that runs, as its folder tells it.

    Attributes:
        name: Its name, unique among the labs of this user.
        topology: How it is built.
        pid: Process that holds it.
        pid_start: When that process started, in the kernel's ticks: tells it from a later one of the same number.
        started_ns: When the lab was built, ns since the epoch.
        hosts: Host -> descriptor of its namespace in that process.
        addresses: Host -> IP version -> address.
    """

    name: str
    topology: str
    pid: int
    pid_start: int
    started_ns: int
    hosts: dict[str, int]
    addresses: dict[str, dict[str, str]]

    def alive(self) -> bool:
        """Return whether the process that holds the lab still runs."""
        return self.pid_start >= 0 and process_start(self.pid) == self.pid_start

    def path(self, host: str) -> str:
        """Return where the namespace of a host is found.

        Raises:
            UsageError: It has no such host.
        """
        if host not in self.hosts:
            raise UsageError(f"lab {self.name} has no host {host!r}; it has {', '.join(self.hosts)}")
        return f"/proc/{self.pid}/fd/{self.hosts[host]}"


def home() -> Path:
    """Return the folder of this user's labs, made if need be.

    Raises:
        LabError: It belongs to somebody else, who could then lead us astray.
    """
    # Inside a user namespace we are root, but not the root that may write to /run.
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    candidates = [Path(runtime) / "lastack"] if runtime else []
    if os.access("/run", os.W_OK):
        candidates.insert(0, Path("/run/lastack"))
    folder = (candidates or [Path(f"/dev/shm/lastack-{_real_uid()}")])[0] / "labs"
    for path in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            raise LabError(f"{path} is not a folder of yours; remove it")
    return folder


def _real_uid() -> int:
    """Return the user's number outside of a user namespace."""
    inside, outside, count = (int(word) for word in Path("/proc/self/uid_map").read_text().split()[:3])
    uid = os.getuid()
    return outside + uid - inside if inside <= uid < inside + count else uid


def process_start(pid: int) -> int:
    """Return when a process started, in ticks since boot; -1 if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return -1
    # the second word is the program's name in parentheses, and may hold anything
    words = text.rpartition(")")[2].split()
    return -1 if words[0] in "ZX" else int(words[19])


def claim(name: str) -> Path:
    """Take a name for a new lab and return the folder for its files.

    Raises:
        UsageError: A lab of that name runs, or it is no name for a folder.
    """
    if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or name.startswith("."):
        raise UsageError(f"{name!r} is no name for a lab: use letters, digits, - and _")
    folder = home() / name
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        known = read(folder)
        if known is None or known.alive():
            raise UsageError(f"a lab {name!r} runs already; take another name (`lastack lab list`)") from None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    return folder


def write(folder: Path, running: Running) -> None:
    """Record a lab in its folder."""
    part = folder / ".lab.json"
    part.write_text(json.dumps(asdict(running), indent=1), encoding="utf-8")
    part.replace(folder / "lab.json")


def read(folder: Path) -> Running | None:
    """Return the lab of a folder, None while it is built or when the folder makes no sense."""
    try:
        return Running(**json.loads((folder / "lab.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def labs() -> list[Running]:
    """Return the labs of this user that run, oldest first."""
    found = [read(folder) for folder in home().iterdir()]
    return sorted((lab for lab in found if lab is not None and lab.alive()), key=lambda lab: lab.started_ns)


def find(name: str = "") -> Running:
    """Return the lab of that name; without a name the only one that runs.

    Raises:
        UsageError: There is none, or several and no name.
    """
    running = labs()
    if name:
        running = [lab for lab in running if lab.name == name]
    if len(running) == 1:
        return running[0]
    if not running:
        raise UsageError(f"no lab {name!r} runs" if name else "no lab runs; start one: lastack lab run nat")
    raise UsageError(f"several labs run, name one: {', '.join(lab.name for lab in running)}")


def stale() -> list[Path]:
    """Return folders of labs whose process is gone: their reaper was killed too."""
    found = []
    for folder in home().iterdir():
        known = read(folder)
        being_built = known is None and time.time() - folder.lstat().st_mtime < _BUILDING_S
        if not being_built and (known is None or not known.alive()):
            found.append(folder)
    return found


def leftovers() -> list[tuple[Path, list[int]]]:
    """Return the folder of each lab whose process and reaper are gone, with the processes that it left running."""
    return [(folder, _processes_of(folder.name)) for folder in stale()]


def _processes_of(name: str) -> list[int]:
    """Return processes that were started in a lab, by the mark in their environment."""
    mark = f"LASTACK_LAB={name}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended meanwhile, or is somebody else's
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
    return found


def remove(folder: Path) -> None:
    """Remove a lab's folder; one that is gone already is fine."""
    shutil.rmtree(folder, ignore_errors=True)
