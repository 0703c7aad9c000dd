"""How much memory may be used, by what the system says in its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lastack.app import room
from lastack.capture.writer import PcapWriter
from lastack.wire import build

SAMPLE = Path(__file__).parents[3] / "samples" / "closes.pcapng"
GB = 1 << 30
_COUNT = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({4 * GB}, {4 * GB}))
import lastack
print(len(lastack.track(sys.argv[1])))
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_group_limits__are_those_of_the_group_and_its_ancestors(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    write(proc / "self/cgroup", "0::/system.slice/job.scope\n")
    write(groups / "system.slice/memory.max", f"{2 * GB}\n")
    write(groups / "system.slice/job.scope/memory.max", "max\n")
    assert room._group_limits(proc, groups) == [2 * GB]


def test_group_limits__are_read_in_a_container(tmp_path: Path) -> None:
    write(tmp_path / "self/cgroup", "0::/\n")
    write(tmp_path / "memory.max", f"{GB}\n")
    assert room._group_limits(tmp_path, tmp_path) == [GB]


def test_group_limits__of_version_1_are_those_of_its_memory_controller(tmp_path: Path) -> None:
    write(tmp_path / "self/cgroup", "5:cpu,memory:/docker/abc\n4:devices:/elsewhere\n")
    write(tmp_path / "memory/docker/abc/memory.limit_in_bytes", f"{3 * GB}\n")
    assert room._group_limits(tmp_path, tmp_path) == [3 * GB]


def test_group_limits__are_none_where_the_system_says_nothing(tmp_path: Path) -> None:
    assert room._group_limits(tmp_path, tmp_path) == []


@pytest.mark.parametrize(("setting", "left"), [("0", None), ("1", None), ("2", 3 * GB)])
def test_promises__are_counted_where_the_kernel_never_overcommits(
    tmp_path: Path, setting: str, left: int | None
) -> None:
    write(tmp_path / "sys/vm/overcommit_memory", f"{setting}\n")
    write(
        tmp_path / "meminfo",
        f"MemTotal: 9 kB\nCommitLimit: {5 * GB >> 10} kB\nCommitted_AS: {2 * GB >> 10} kB\n",
    )
    assert room._promises_left(tmp_path) == left


def test_track__works_under_a_limit_of_the_address_space() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, str(SAMPLE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_track__reads_a_file_that_is_takes_much_of_a_limited_address_space(tmp_path: Path) -> None:
    large = tmp_path / "large.pcap"
    with PcapWriter(large, link=101) as writer:
        for port in range(2000):
            writer.write(
                port, build.ipv4("10.0.0.1", "192.0.2.1", build.syn(1 + port, 443)).data + bytes(1400)
            )
    with large.open("r+b") as file:
        file.truncate(GB * 5 // 8)  # what is behind is damage, and takes no room on the disk
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, str(large)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 2000
