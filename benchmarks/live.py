"""Packets a second that `lastack watch` takes without a kernel drop, beside `tcpdump -w /dev/null` on the same traffic.

python -m benchmarks.live [--seconds 4] [--rates 50000 150000] [--soak 0]

Needs root (network namespaces) and tcpdump. Both see the same packets at the same time; sessions of ten packets open
and close without end. `--soak` runs the watch alone for so many seconds at 15,000 packets a second
and prints its memory.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lastack.lab.host import Host
from lastack.lab.netns import missing
from lastack.lab.topology import Lab

_TICK = os.sysconf("SC_CLK_TCK")
_SESSIONS = 6_000
_QDISC_BYPASS = 20
_SOL_PACKET = 263


def frames() -> list[bytes]:
    """Return the packets of many sessions, ten each: open, ask, answer, close."""
    made: list[list[bytes]] = []
    for number in range(_SESSIONS):
        client = bytes([10, 200, number >> 8, number & 255])
        server, port = bytes([10, 250, 0, 1 + number % 200]), 1024 + number
        steps = [
            (1, 100, 0, 0x02, 0), (0, 500, 101, 0x12, 0), (1, 101, 501, 0x10, 0), (1, 101, 501, 0x18, 200),
            (0, 501, 301, 0x18, 1000), (1, 301, 1501, 0x10, 0), (1, 301, 1501, 0x11, 0), (0, 1501, 302, 0x10, 0),
            (0, 1501, 302, 0x11, 0), (1, 302, 1502, 0x10, 0),
        ]  # fmt: skip
        made.append([_frame(client, server, port, *step) for step in steps])
    # Thousands of sessions at a time, as on a real link.
    return [
        session[step]
        for first in range(0, _SESSIONS, 1000)
        for step in range(10)
        for session in made[first : first + 1000]
    ]


def _frame(
    client: bytes, server: bytes, port: int, up: int, seq: int, ack: int, flags: int, size: int
) -> bytes:
    source, target = (client, server) if up else (server, client)
    ports = (port, 443) if up else (443, port)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + size, 1, 0x4000, 64, 6, 0, source, target)
    tcp = struct.pack("!HHIIBBHHH", *ports, seq, ack, 0x50, flags, 1024, 0, 0)
    return bytes.fromhex("0200000000020200000000010800") + ip + tcp + bytes(size)


def send(seconds: float, rate: float) -> None:
    """Send for some seconds, at most so many packets a second; print how many went out (run on the client)."""
    packets = frames()
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.setsockopt(_SOL_PACKET, _QDISC_BYPASS, 1)
    sender.bind(("eth0", 0))
    sent = 0
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        if sent > rate * passed:
            time.sleep(0.001)
            continue
        place = sent % len(packets)
        for packet in packets[place : place + 250]:
            sender.send(packet)
        sent += 250
    print(sent, time.monotonic() - begun)


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


def run(lab: Lab, folder: Path, seconds: float, rate: float, *, judge: bool = True) -> None:
    """Measure one rate and print a line for each program."""
    name = f"{rate:.0f}"
    words = [sys.executable, "-m", "lastack.cli.main", "watch", "eth0", "-o", str(folder / name)]
    words += ["--closed-linger", "1s", "--roll", "2s"]
    logs = {"lastack watch": folder / f"{name}.watch", "tcpdump": folder / f"{name}.tcpdump"}
    running = {"lastack watch": start(lab.server, words, logs["lastack watch"], "sessions leave")}
    if judge:
        dump = ["tcpdump", "-i", "eth0", "-n", "-s", "256", "-B", "65536", "-w", "/dev/null"]
        running["tcpdump"] = start(lab.server, dump, logs["tcpdump"], "listening")
    time.sleep(2)  # imports are over; what follows is work on packets
    before = {name: cpu_s(process.pid) for name, process in running.items()}
    sender = [sys.executable, "-m", "benchmarks.live", "--send", str(seconds), "--rate", str(rate)]
    sending = lab.client.popen(sender, stdout=subprocess.PIPE)
    memory: list[float] = []
    while sending.poll() is None:
        time.sleep(min(5.0, seconds / 4))
        memory.append(memory_mib(running["lastack watch"].pid))
    assert sending.stdout is not None
    sent, took = sending.stdout.read().split()
    time.sleep(1.5)
    print(f"sent {int(sent):,} packets in {float(took):.1f} s: {int(sent) / float(took):,.0f}/s")
    for name, process in running.items():
        cpu = cpu_s(process.pid) - before[name]
        process.send_signal(signal.SIGINT)
        process.wait(120)
        text = logs[name].read_text(encoding="utf-8")
        pattern = (
            r"([\d,]+) packets, ([\d,]+) dropped"
            if name != "tcpdump"
            else r"(\d+) packets captured[\s\S]*?(\d+) packets dropped"
        )
        seen, dropped = (int(word.replace(",", "")) for word in re.findall(pattern, text)[-1])
        print(
            f"  {name:14} {seen:>11,} seen {dropped:>9,} dropped   {cpu:6.2f} CPU-s   "
            f"{seen / max(cpu, 0.01):>11,.0f} packets/CPU-s"
        )
    steps = len(memory) // 10 or 1
    print("  memory of the watch, MiB: " + " ".join(f"{size:.0f}" for size in memory[::steps]))


def main() -> int:
    """Measure and print; speed never makes it fail."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rates", type=float, nargs="*", default=[50e3, 150e3, 1e9])
    parser.add_argument("--soak", type=float, default=0.0)
    parser.add_argument("--send", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        send(options.send, options.rate)
        return 0
    if reason := missing():
        print(f"not measured: {reason}", file=sys.stderr)
        return 0
    with Lab("direct") as lab, tempfile.TemporaryDirectory() as folder:
        if options.soak:
            run(lab, Path(folder), options.soak, 15e3, judge=False)
            return 0
        for rate in options.rates:
            run(lab, Path(folder), options.seconds, rate)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
