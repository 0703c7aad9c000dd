"""Half-open probes beside nmap on the same targets, and a path test with 2,000 connections at once.

python -m benchmarks.probe [--prefix 18] [--rounds 3]

Needs root (network namespaces); nmap is compared with when it is installed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from lastack.lab.netns import missing
from lastack.lab.topology import Lab

COMMAND = [sys.executable, "-m", "lastack.cli.main", "probe"]


def main() -> int:
    """Measure and print; speed never makes it fail."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefix", type=int, default=18, help="of the network of targets (18: 16,382)")
    options = parser.parse_args()
    if reason := missing():
        print(f"not measured: {reason}", file=sys.stderr)
        return 0
    with Lab("direct") as lab:
        network = f"10.90.0.0/{options.prefix}"
        lab.server.ip(f"route add local {network} dev lo")
        lab.client.ip(f"route add {network} via {lab.server.address()}")
        with lab.server.socket() as listener:
            listener.bind(("", 80))
            listener.listen(4096)
            targets = (1 << (32 - options.prefix)) - 2
            print(f"{targets:,} targets, every one up; the best of {options.rounds} rounds, whole processes")
            _sweeps(lab, network, targets, options.rounds)
    with Lab("nat", timers={"half_closed": 5}) as lab:
        _path(lab)
    return 0


def _sweeps(lab: Lab, network: str, targets: int, rounds: int) -> None:
    # without a --rate it sends 20,000 a second, out of politeness to what is on the way
    commands: dict[str, Sequence[str]] = {
        "lastack probe syn": [*COMMAND, "syn", f"{network}:80", "--method", "syn", "--format", "jsonl"],
        "  --rate 100000": [
            *COMMAND,
            "syn",
            f"{network}:80",
            "--method",
            "syn",
            "--format",
            "jsonl",
            "--rate",
            "100000",
        ],
    }
    if shutil.which("nmap"):
        commands["nmap -sS"] = [
            "nmap", "-sS", "-n", "-Pn", "-p", "80", "--max-retries", "1", "-T5", "--min-rate", "20000",
            "-oG", "-", network,
        ]  # fmt: skip
    else:
        print("not measured: nmap is not installed")
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, command in commands.items():
            wall, cpu, out = _timed(lab, command)
            up = out.count("/open/") if name.startswith("nmap") else out.count('"result": "up"')
            best[name] = min(best.get(name, wall), wall)
            print(
                f"  {name:18} {wall:6.2f} s wall  {cpu:6.2f} s CPU  {up:6,} up  {targets / wall:10,.0f} targets/s"
            )
    if "nmap -sS" in best:
        for name in ("lastack probe syn", "  --rate 100000"):
            print(f"  {name.strip()} takes {best[name] / best['nmap -sS']:.2f} times the wall time of nmap")


def _timed(lab: Lab, command: Sequence[str]) -> tuple[float, float, str]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = lab.client.run(command, check=False, timeout_s=120)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def _path(lab: Lab) -> None:
    responder = lab.server.popen([*COMMAND, "responder", "-q"], stdout=subprocess.PIPE)
    assert responder.stdout is not None
    port = responder.stdout.readline().strip()
    done = lab.client.run(
        [*COMMAND, "path", lab.server.address(), "-p", port, "-n", "2000", "--rate", "1000", "--longest", "12s",
         "--no-reuse", "--no-raw", "--format", "json"],
        check=False,
        timeout_s=120,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    print(
        f"path test: {answer['connections_at_once']:,} connections at once through a Linux NAT with a 5 s timer, "
        f"{answer['elapsed_ns'] / 1e9:.1f} s"
    )
    for finding in answer["findings"]:
        kept, broken = finding["kept_up_to_ns"], finding["broken_from_ns"]
        bound = f"kept to {kept / 1e9:.3f} s" + (f", broken from {broken / 1e9:.3f} s" if broken else "")
        print(f"  {finding['title']:28} {bound}, {finding['kind']}, {finding['expiry']}")


if __name__ == "__main__":
    sys.exit(main())
