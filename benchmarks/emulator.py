"""The emulated box beside plain kernel forwarding and kernel NAT, one after the other in the same run.

    python -m benchmarks.emulator                 all of it, about two minutes
    python -m benchmarks.emulator --seconds 2 --tuples 100000
    python -m benchmarks.emulator --only router,emulator --json

Throughput is one TCP stream of iperf3 with the offloads that the kernel has by default; packets a second are small
segments with the offloads off; new sessions are opened and closed one at a time; latency is the round trip of one byte.
Everything shares the machine's processors: iperf3 at both ends, the kernel and the box.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine
from lastack.emulator.control import ask
from lastack.lab import Host, Lab, missing, wait_until
from lastack.wire import build

PORT = 5201
AT_ONCE = 5_000  #: SYNs of a flood between two looks at the box
FULL = 100_000  #: entries that the full emulator holds besides
COMMAND = (sys.executable, "-m", "lastack.cli.main", "emulate", "--inside", "inside", "--outside", "outside", "-q",
           "--config", "none")  # fmt: skip
#: Name -> topology, whether the box is routed, options of the emulator (None without one).
BOXES: dict[str, tuple[str, bool, tuple[str, ...] | None]] = {
    "router": ("router", False, None),
    "kernel NAT": ("nat", False, None),
    "emulator": ("emulator", False, ("--profile", "panos")),
    "full emulator": ("emulator", False, ("--profile", "panos", "--set", "tcp_init=1h")),
    "emulator NAT": ("emulator", True, ("--profile", "rfc5382", "--nat", "outside")),
}


@contextlib.contextmanager
def built(name: str, *more: str) -> Iterator[tuple[Lab, int, str]]:
    """Yield a lab with a box at work, the box's process (0 for the kernel) and its control socket."""
    topology, routed, words = BOXES[name]
    with tempfile.TemporaryDirectory() as folder, Lab(topology, routed=routed) as lab:
        if words is None:
            yield lab, 0, ""
            return
        control = Path(folder) / "box.sock"
        process = lab.box.popen([*COMMAND, *words, "--control", str(control), *more])
        wait_until(lambda: control.exists() or process.poll() is not None, "the emulator", 90)
        yield lab, process.pid, str(control)


def throughput(lab: Lab, seconds: float, *options: str) -> dict[str, float]:
    """Return what iperf3 says of one stream from client to server, and the packets a second that the server got."""
    server = lab.server.popen(["iperf3", "-s", "-1", "-p", str(PORT)], stdout=subprocess.DEVNULL)
    wait_until(
        lambda: f":{PORT:04X} " in lab.server.read("/proc/net/tcp") + lab.server.read("/proc/net/tcp6"),
        "iperf3",
    )
    before = packets(lab.server)
    words = ["iperf3", "-c", lab.server.address(), "-p", str(PORT), "-t", f"{seconds:g}", "-J", *options]
    done = lab.client.run(words, timeout_s=seconds + 20)
    passed = packets(lab.server) - before
    server.wait(10)
    end = json.loads(done.stdout)["end"]
    took = end["sum_received"]["seconds"]
    return {"gbit_s": end["sum_received"]["bits_per_second"] / 1e9, "packets_s": passed / took}


def packets(host: Host) -> int:
    """Return the packets that a host's eth0 has received."""
    line = next(line for line in host.read("/proc/net/dev").splitlines() if line.strip().startswith("eth0:"))
    return int(line.split(":")[1].split()[1])


def sessions(lab: Lab, number: int) -> float:
    """Return sessions a second, opened and closed one after the other."""
    with lab.server.socket() as listener:
        listener.bind((lab.server.address(), 80))
        listener.listen(128)
        began = time.perf_counter()
        with lab.client.entered():
            for _ in range(number):
                client = socket.create_connection((lab.server.address(), 80), 5)
                server, _address = listener.accept()
                client.close()
                server.close()
        return number / (time.perf_counter() - began)


def round_trips(lab: Lab, number: int) -> list[float]:
    """Return the times that one byte takes there and back, in microseconds, sorted."""
    with lab.server.socket() as listener, lab.client.socket() as client:
        listener.bind((lab.server.address(), 81))
        listener.listen()
        client.connect((lab.server.address(), 81))
        server, _ = listener.accept()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = []
        with server:
            for _ in range(number):
                began = time.perf_counter()
                client.send(b"x")
                server.recv(1)
                server.send(b"x")
                client.recv(1)
                times.append((time.perf_counter() - began) * 1e6)
    return sorted(times)


def measure(name: str, seconds: float) -> dict[str, Any]:
    """Return the figures of one kind of box."""
    with built(name) as (lab, pid, control):
        if name == "full emulator":
            while ask(control, "stats")["live"] < FULL:
                send_syns(lab, 0, FULL)
        result: dict[str, Any] = throughput(lab, seconds)
        result["cpu_s_per_gbit"] = cpu_s(pid) / (result["gbit_s"] * seconds) if pid else None
        result["sessions_s"] = sessions(lab, 2000)
        times = round_trips(lab, 3000)
        result["rtt_p50_us"], result["rtt_p99_us"] = statistics.median(times), times[len(times) * 99 // 100]
        for host in (lab.client, lab.server):
            host.run(["ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off"])
        result["small_packets_s"] = throughput(lab, seconds, "-M", "200", "-l", "100")["packets_s"]
    return result


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def send_syns(lab: Lab, first: int, number: int) -> None:
    """Send SYNs of so many tuples from the client, as fast as it can."""
    frame = bytearray(
        bytes.fromhex("0200000000020200000000010800")
        + build.ipv4("10.0.0.0", "192.0.2.2", build.syn(1, 80)).data
    )
    with lab.client.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        for tuple_ in range(first, first + number):
            struct.pack_into(">I", frame, 26, 0x0A000000 + (tuple_ >> 15))
            struct.pack_into(">H", frame, 34, 1024 + (tuple_ & 0x7FFF))
            raw.send(frame)


def flood(tuples: int) -> dict[str, Any]:
    """Return the emulator's memory while SYNs of so many tuples come as fast as it takes them, and how fast that is."""
    memory: list[float] = []
    with built("emulator", "--set", "tcp_init=1s") as (lab, pid, control):
        began = time.perf_counter()
        made = lost = 0
        for first in range(0, tuples, AT_ONCE):
            send_syns(lab, first, AT_ONCE)
            before = -1
            # until it has taken, or missed, all of them
            while made + lost < first + AT_ONCE and made + lost != before:
                before = made + lost
                stats = ask(control, "stats")
                made = sum(row["packets"] for row in stats["packets"] if row["reason"] == "made")
                lost = stats["counts"]["lost"]
            if (first + AT_ONCE) * 10 // tuples > len(memory):
                found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
                memory.append(int(found[1]) / 1024 if found else 0.0)
        took = time.perf_counter() - began
    return {"tuples": tuples, "made": made, "made_s": made / took, "lost": lost, "memory_mib": memory}


COLUMNS = {
    "gbit_s": "Gbit/s", "packets_s": "packets/s", "small_packets_s": "small packets/s", "sessions_s": "sessions/s",
    "rtt_p50_us": "rtt p50 us", "rtt_p99_us": "rtt p99 us", "cpu_s_per_gbit": "box CPU s/Gbit",
}  # fmt: skip


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the figures side by side."""
    lines = [["", *COLUMNS.values()]]
    for name, result in results.items():
        lines.append([name, *(cell(result.get(key)) for key in COLUMNS)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines
    )


def cell(value: float | None) -> str:
    """Return a figure with three digits that count."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=5, help="of each stream")
    parser.add_argument("--tuples", type=int, default=1_000_000, help="of the flood, 0 for none")
    parser.add_argument("--only", default=",".join(BOXES), help="boxes, of: " + ",".join(BOXES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    absent = [tool for tool in ("iperf3", "ethtool") if shutil.which(tool) is None]
    reason = missing() or (
        f"needs {' and '.join(absent)} (apt-get install {' '.join(absent)})" if absent else ""
    )
    names = [name.strip() for name in options.only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in BOXES]:
        reason = f"no box {', '.join(unknown)}; there are {', '.join(BOXES)}"
    if reason:
        print(f"benchmarks.emulator: {reason}", file=sys.stderr)
        return 2
    results = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr)
        results[name] = measure(name, options.seconds)
    flooded = flood(options.tuples) if options.tuples else None
    if options.json:
        print(json.dumps({"machine": machine.facts(), "boxes": results, "flood": flooded}, indent=1))
        return 0
    print("  ".join(f"{key}: {value}" for key, value in machine.facts().items()) + "\n")
    print(table(results))
    if flooded:
        memory = ", ".join(f"{one:.0f}" for one in flooded["memory_mib"])
        print(
            f"\nflood of {flooded['tuples']:,} SYN tuples: {flooded['made']:,} entries made, "
            f"{flooded['made_s']:,.0f} a second, {flooded['lost']:,} frames too many for the box; memory {memory} MiB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
