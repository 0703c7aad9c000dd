"""Packets a second that `lastack watch` takes without a kernel drop, beside `tcpdump -w /dev/null` on the same traffic.

python -m benchmarks.live [--seconds 4] [--rates 50000 150000 300000] [--alone] [--soak 0]

Needs root (network namespaces) and tcpdump. Both see the same packets at the same time; sessions of ten packets open
and close without end (`benchmarks.blast`). `--alone` measures each program without the other too: with two of them and
the sender, two processors are the limit. `--soak` runs the watch alone for so many seconds at 15,000 packets a second,
writing every 2 s so that segments are merged at several levels, and prints how its memory went.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lastack.lab.host import Host
from lastack.lab.netns import missing
from lastack.lab.topology import Lab

_TICK = os.sysconf("SC_CLK_TCK")
_WATCH, _DUMP = "lastack watch", "tcpdump"


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process has taken."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
    return (int(words[11]) + int(words[12])) / _TICK


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+)", text)
    return int(found.group(1)) / 1024 if found else 0.0


def start(host: Host, words: list[str], log: Path, ready: str) -> subprocess.Popen[str]:
    """Start a program on a host and return it when its log says that it is ready."""
    with log.open("w") as stream:
        process = host.popen(words, stderr=stream, stdin=subprocess.DEVNULL)
    for _ in range(600):
        if ready in log.read_text(encoding="utf-8"):
            return process
        time.sleep(0.05)
    raise SystemExit(f"{words[0]} did not start: {log.read_text(encoding='utf-8')}")


def run(lab: Lab, folder: Path, seconds: float, rate: float, who: tuple[str, ...]) -> list[float]:
    """Measure one rate, print a line for each program, and return the memory of the watch, MiB, every second."""
    name = "-".join([f"{rate:.0f}", *(word.split()[0] for word in who)])
    words = [sys.executable, "-m", "lastack.cli.main", "watch", "eth0", "-o", str(folder / name)]
    words += ["--closed-linger", "2s", "--roll", "2s", "--no-screen"]
    dump = ["tcpdump", "-i", "eth0", "-n", "-s", "256", "-B", "65536", "-w", "/dev/null"]
    programs = {_WATCH: (words, "sessions leave"), _DUMP: (dump, "listening")}
    logs = {one: folder / f"{name}.{one.split()[0]}.log" for one in who}
    running = {one: start(lab.server, programs[one][0], logs[one], programs[one][1]) for one in who}
    time.sleep(2)  # imports are over; what follows is work on packets
    before = {one: cpu_s(process.pid) for one, process in running.items()}
    sender = [
        sys.executable,
        "-m",
        "benchmarks.blast",
        "eth0",
        "--seconds",
        str(seconds),
        "--rate",
        str(rate),
    ]
    sending = lab.client.popen(sender, stdout=subprocess.PIPE)
    memory: list[float] = []
    while sending.poll() is None:
        time.sleep(min(1.0, seconds / 4))
        if _WATCH in running:
            memory.append(memory_mib(running[_WATCH].pid))
    assert sending.stdout is not None
    sent, took = sending.stdout.read().split()
    time.sleep(1.5)
    print(f"sent {int(sent):,} packets in {float(took):.1f} s: {int(sent) / float(took):,.0f}/s")
    for one, process in running.items():
        cpu = cpu_s(process.pid) - before[one]
        process.send_signal(signal.SIGINT)
        process.wait(120)
        text = logs[one].read_text(encoding="utf-8")
        pattern = (
            r"([\d,]+) packets, ([\d,]+) dropped"
            if one == _WATCH
            else r"(\d+) packets captured[\s\S]*?(\d+) packets dropped"
        )
        seen, dropped = (int(word.replace(",", "")) for word in re.findall(pattern, text)[-1])
        print(
            f"  {one:14} {seen:>11,} seen {dropped:>9,} dropped   {cpu:6.2f} CPU-s   "
            f"{seen / max(cpu, 0.01):>11,.0f} packets/CPU-s",
            flush=True,
        )
    return memory


def tell_memory(memory: list[float]) -> None:
    """Print how the memory of a soak went, minute by minute, and how it changed after the first third."""
    for first in range(0, len(memory), 60):
        minute = memory[first : first + 60]
        print(f"  minute {first // 60 + 1:2}: {min(minute):5.0f} to {max(minute):5.0f} MiB")
    third = len(memory) // 3
    if third >= 30:
        middle, last = statistics.median(memory[third : 2 * third]), statistics.median(memory[-third:])
        print(
            f"  median of the second third {middle:.0f} MiB, of the last {last:.0f} MiB: {last - middle:+.0f} MiB"
        )


def main() -> int:
    """Measure and print; speed never makes it fail."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[50e3, 150e3, 300e3, 1e9])
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--soak", type=float, default=0.0)
    options = parser.parse_args()
    if reason := missing():
        print(f"not measured: {reason}", file=sys.stderr)
        return 0
    with Lab("direct") as lab, tempfile.TemporaryDirectory() as folder:
        if options.soak:
            tell_memory(run(lab, Path(folder), options.soak, 15e3, (_WATCH,)))
            return 0
        for rate in options.rates:
            for who in [(_WATCH, _DUMP), *([(_WATCH,), (_DUMP,)] if options.alone else [])]:
                run(lab, Path(folder), options.seconds, rate, who)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
